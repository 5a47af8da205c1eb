"""Evaluation of trained models, at once or as runs that outlive the process."""

from qvit_qiskit.hardware.shot_shares import Adaptive, Quiet
from qvit_qiskit.runs.evaluation import Evaluation, evaluate
from qvit_qiskit.runs.planning.chosen_plan import RunPlan
from qvit_qiskit.runs.planning.planner import plan
from qvit_qiskit.runs.pricing import Price, price
from qvit_qiskit.runs.results import Results, read_results
from qvit_qiskit.runs.run_status import Status, status
from qvit_qiskit.runs.submission import cancel, resume, submit
from qvit_qiskit.runs.watcher import watch

__all__ = [
    "Adaptive",
    "Evaluation",
    "Price",
    "Quiet",
    "Results",
    "RunPlan",
    "Status",
    "cancel",
    "evaluate",
    "plan",
    "price",
    "read_results",
    "resume",
    "status",
    "submit",
    "watch",
]
