"""The trained models that come with the package: names and cards, without anything heavy."""

from qvit_qiskit.zoo.cards import ModelCard, model_card, model_cards
from qvit_qiskit.zoo.names import checkpoint_file, model_names

__all__ = [
    "ModelCard",
    "checkpoint_file",
    "model_card",
    "model_cards",
    "model_names",
]
