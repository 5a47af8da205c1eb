"""What is known of a trained model of the package, read from its file's header."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError, safe_open

from qvit_qiskit.card import Card, Facts
from qvit_qiskit.exceptions import CheckpointError
from qvit_qiskit.zoo.names import FIRST, PREFIX, model_file, model_names

CARD = "card"
"""The key of a card among what a checkpoint says of its origin."""


@dataclass(frozen=True, repr=False)
class ModelCard(Card):
    """A trained model with its scores, and whose data it has learned from.

    Example:
        >>> from qvit_qiskit.zoo import model_card
        >>> card = model_card("qvit-breastmnist-1")
        >>> card.checkpoint, card.licence
        ('zoo:qvit-breastmnist-1', 'CC BY 4.0')
    """

    name: str
    """With its seed, such as ``qvit-retinamnist-3``."""
    model: str
    """``qvit``, or ``vit``: the classical model with as many parameters."""
    dataset: str
    """The set that it was trained and evaluated on."""
    seed: int
    """Of its training; it was chosen before any score was known."""
    parameters: int
    """How many weights were trained."""
    images: int
    """Images of the test split."""
    auc: float
    """Of the test split, exactly simulated."""
    acc: float
    """Of the test split, exactly simulated."""
    key: str
    """Of the training in its study: it stands in ``docs/results/three-sets/cells.csv``."""
    licence: str
    """The data's."""
    source: str
    """Who made the images."""
    citation: str
    """Who made the data set of them."""

    @property
    def checkpoint(self) -> str:
        """What commands and `load_checkpoint` take."""
        return PREFIX + self.name.removesuffix(FIRST)

    def card(self) -> tuple[str, Facts]:
        """The title and the facts."""
        return self.checkpoint, {
            "model": f"{self.model} of {self.parameters:,} parameters, seed {self.seed}",
            "trained on": f"{self.dataset}, train split",
            "test AUC": f"{self.auc:.3f}",
            "test ACC": f"{self.acc:.3f}",
            "scores": f"{self.images} test images, qvit evaluate {self.checkpoint}",
            "train anew": f"qvit train --preset {self.name.removesuffix(FIRST)}",
            "key": self.key,
            "data": f"{self.licence}. {self.source}",
            "data set": self.citation,
        }


def header(name: str) -> dict[str, str]:
    """The metadata of a model's file; no weight is read.

    Args:
        name: With or without its seed.

    Raises:
        CheckpointError: If there is no such model, or its file is damaged.
    """
    path = model_file(name)
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata())
    except (SafetensorError, OSError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}). Install qvit-qiskit again.") from error


def origin(name: str) -> dict[str, Any]:
    """What a model's file says of its training.

    Args:
        name: With or without its seed.

    Raises:
        CheckpointError: If there is no such model, or its file is damaged.
    """
    return dict(json.loads(header(name)["provenance"]))


def model_card(name: str) -> ModelCard:
    """The card of a trained model of the package.

    Args:
        name: Such as ``qvit-retinamnist-3``, with ``zoo:`` before it or not; without a seed, that
            of seed 0.

    Returns:
        Its scores, parameters, seed and key, and the data's licence and authors.

    Raises:
        CheckpointError: If there is no such model, or its file is damaged.

    Example:
        >>> from qvit_qiskit.zoo import model_card
        >>> model_card("zoo:qvit-retinamnist").parameters
        1093
    """
    return ModelCard(**origin(name.removeprefix(PREFIX))[CARD])


def model_cards() -> tuple[ModelCard, ...]:
    """The cards of all trained models of the package.

    Returns:
        By name and seed.

    Raises:
        CheckpointError: If a file is damaged.

    Example:
        >>> from qvit_qiskit.zoo import model_cards
        >>> {card.dataset for card in model_cards() if card.parameters > 1000}
        {'retinamnist'}
    """
    return tuple(model_card(name) for name in model_names())
