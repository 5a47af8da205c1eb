"""The trained models that come with the package: their names, cards and settings."""

from qvit_qiskit.training.zoo.cards import ModelCard, model_card, model_cards
from qvit_qiskit.training.zoo.names import PREFIX, checkpoint_file, model_names
from qvit_qiskit.training.zoo.presets import Preset, preset

__all__ = [
    "PREFIX",
    "ModelCard",
    "Preset",
    "checkpoint_file",
    "model_card",
    "model_cards",
    "model_names",
    "preset",
]
