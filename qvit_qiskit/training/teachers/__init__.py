"""Who teaches a small model, and what its logits are."""

from qvit_qiskit.training.teachers.teacher import Teacher, TeacherLike, open_teacher

__all__ = ["Teacher", "TeacherLike", "open_teacher"]
