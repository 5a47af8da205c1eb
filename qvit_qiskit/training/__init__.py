"""Training on Aer, with checkpoints that carry their own configuration."""

from qvit_qiskit.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from qvit_qiskit.training.config import TrainConfig
from qvit_qiskit.training.loop import FitResult, fit, resume

__all__ = [
    "Checkpoint",
    "FitResult",
    "TrainConfig",
    "fit",
    "load_checkpoint",
    "resume",
    "save_checkpoint",
]
