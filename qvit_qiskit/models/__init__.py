"""ViT and QViT: one attention, two kinds of projection."""

from qvit_qiskit.models.config import ViTConfig
from qvit_qiskit.models.cost import ModelCost
from qvit_qiskit.models.vit import ViT, build_model

__all__ = ["ModelCost", "ViT", "ViTConfig", "build_model"]
