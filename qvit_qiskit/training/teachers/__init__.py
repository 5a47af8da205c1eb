"""Who teaches a small model, and what its logits are."""

from qvit_qiskit.training.teachers.source import TeacherLike, open_teacher
from qvit_qiskit.training.teachers.teacher import Teacher

__all__ = ["Teacher", "TeacherLike", "open_teacher"]
