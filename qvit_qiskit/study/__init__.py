"""Studies: grids of trainings, resumable, on a process pool or Dask, and their tables."""

from qvit_qiskit.study.cells import Cell
from qvit_qiskit.study.frozen_configuration import check_frozen, freeze
from qvit_qiskit.study.grid import expand
from qvit_qiskit.study.plan import Places, Plan, make_plan
from qvit_qiskit.study.running.pool import Pool, in_process
from qvit_qiskit.study.running.session import Summary, Watcher, run_study
from qvit_qiskit.study.spec import StudySpec, load_study

__all__ = [
    "Cell",
    "Places",
    "Plan",
    "Pool",
    "StudySpec",
    "Summary",
    "Watcher",
    "check_frozen",
    "expand",
    "freeze",
    "in_process",
    "load_study",
    "make_plan",
    "run_study",
]
