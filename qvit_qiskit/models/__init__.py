"""ViT and QViT, one attention with two kinds of projection; and a ResNet to teach them."""

from qvit_qiskit.models.classifier import Classifier
from qvit_qiskit.models.config import ResNetConfig, ViTConfig
from qvit_qiskit.models.cost import ModelCost
from qvit_qiskit.models.factory import ModelConfig, build_model, read_config
from qvit_qiskit.models.resnet import ResNet
from qvit_qiskit.models.vit import ViT

__all__ = [
    "Classifier",
    "ModelConfig",
    "ModelCost",
    "ResNet",
    "ResNetConfig",
    "ViT",
    "ViTConfig",
    "build_model",
    "read_config",
]
