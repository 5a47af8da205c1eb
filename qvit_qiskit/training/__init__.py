"""Training on Aer, with or without a teacher, and checkpoints that carry their configuration."""

from qvit_qiskit.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from qvit_qiskit.training.loop import FitResult
from qvit_qiskit.training.presets import Preset, preset
from qvit_qiskit.training.settings import Distillation, TrainConfig
from qvit_qiskit.training.teachers import Teacher, open_teacher
from qvit_qiskit.training.trainer import fit, resume

__all__ = [
    "Checkpoint",
    "Distillation",
    "FitResult",
    "Preset",
    "Teacher",
    "TrainConfig",
    "fit",
    "load_checkpoint",
    "open_teacher",
    "preset",
    "resume",
    "save_checkpoint",
]
