"""Cells: one training each, with a key made of all that determines its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from qvit_qiskit.models import ViTConfig
from qvit_qiskit.training import TrainConfig

FORMAT = 1
"""The keys' format; another one makes every cell new. New options need none: see
`Spec.ingredients`."""


@dataclass(frozen=True)
class SetSource:
    """A data set as far as keys are concerned."""

    channels: int
    """1 for grey images, 3 for colour."""
    classes: int
    """How many classes or labels there are."""
    md5: str
    images: int
    """How many images there are to train on: what a cell costs, and nothing of its key."""
    side: int = 28
    """Pixels on a side of an image; part of the model's options."""


@dataclass(frozen=True)
class TeacherSource:
    """A teacher as far as keys are concerned."""

    digest: str
    preprocessing: str


@dataclass(frozen=True)
class Sources:
    """What a spec names, looked up: contents instead of names and paths."""

    sets: Mapping[str, SetSource]
    teachers: Mapping[str, TeacherSource]
    """Teachers by the names that cells have for them."""
    backends: Mapping[str, str]
    """SHA-256 of the profiles that models are trained on, by name."""


@dataclass(frozen=True)
class Cell:
    """One training and its evaluation.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import make_plan
        >>> cell = make_plan(Path("tiny.toml")).cells[0]
        >>> cell.dataset, cell.model
        ('phantom', 'vit')
    """

    dataset: str
    model: str
    """Its name in the study."""
    heads: int
    """Attention heads of its model."""
    qubits: int
    """Features of a head."""
    regime: str
    fold: int | None
    """Which fold validates, from 0; none on the official splits."""
    folds: int
    """How many folds its data set is cut into; 0 on the official splits."""
    split: str
    config: ViTConfig
    train: TrainConfig
    """How it is trained, without the teacher's name: the teacher is known by its digest."""
    source: SetSource
    pretrain: SetSource | None
    teacher: TeacherSource | None
    teacher_name: str | None
    backend: str
    """SHA-256 of the profile it is trained on."""

    @property
    def seed(self) -> int:
        """The training's seed."""
        return self.train.seed

    @property
    def label(self) -> str:
        """What people call it."""
        fold = "" if self.fold is None else f" fold {self.fold + 1}/{self.folds}"
        size = f"{self.heads}x{self.qubits}"
        return f"{self.dataset} {self.model} {size} {self.regime} seed {self.seed}{fold}"

    @property
    def work(self) -> int:
        """Training images shown, all epochs together: what progress counts."""
        how = self.train.distill
        first = (self.pretrain or self.source).images * (how.pretrain_epochs if how else 0)
        shown = min(self.train.subset or self.source.images, self.source.images)
        return first + shown * self.train.epochs

    def recipe(self) -> dict[str, Any]:
        """Everything that determines the trained model on the official splits."""
        return {
            "format": FORMAT,
            "model": self.config.ingredients(),
            "train": self.train.ingredients(),
            "md5": self.source.md5,
            "pretrain_md5": self.pretrain.md5 if self.pretrain else None,
            "teacher": [self.teacher.digest, self.teacher.preprocessing] if self.teacher else None,
            "backend": self.backend,
        }

    @cached_property
    def key(self) -> str:
        """SHA-256 of everything that determines its result, in 32 hexadecimal digits."""
        ingredients = {
            "recipe": self.recipe(),
            # The recipe says what is trained; a key says besides on what it is judged.
            "split": self.split,
            "fold": [self.fold, self.folds],
        }
        return digest(ingredients)[:32]


def digest(value: Any) -> str:
    """SHA-256 of what JSON can hold, whatever the order of its keys."""
    # one text for equal values
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def configuration(cells: Iterable[Cell]) -> str:
    """SHA-256 of what is trained, however it is judged: what `qvit study --freeze` freezes.

    It holds every training with its options, defaults included, its seed, its data and its
    teacher; neither the split and folds, nor the profiles of the evaluation.
    """
    return digest(sorted({digest(cell.recipe()) for cell in cells}))
