"""Whatever teaches: a checkpoint of ours, a module, a function, an image classifier of the Hub."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from qvit_qiskit.data import MedImages, Split
from qvit_qiskit.exceptions import ConfigError, DataError
from qvit_qiskit.models import Classifier
from qvit_qiskit.training.teachers import logits as cache

Tick = Callable[[int], None]
"""Called with a number of images that are done."""

BATCH = 64
HUB = "hf:"
OURS = "28 x 28, -1 to 1"


class Teacher:
    """Logits for images, computed once for each split of a data set.

    They are kept in memory, and, where the teacher has a digest, in the cache folder.

    Example:
        >>> from qvit_qiskit import load
        >>> from qvit_qiskit.training import open_teacher
        >>> teacher = open_teacher(lambda images: images.mean((2, 3)).repeat(1, 2))
        >>> teacher.logits(load("phantom"), "val").shape  # (n, classes)
        (120, 2)
    """

    def __init__(
        self,
        name: str,
        answer: Callable[[Split, Tick], np.ndarray],
        digest: str | None = None,
        preprocessing: str = OURS,
    ) -> None:
        """A teacher of any making.

        Args:
            name: What it is called in histories and errors.
            answer: From a split to logits (n, classes); tells how many images are done.
            digest: Changes when its answers change; without one nothing is kept on disk.
            preprocessing: What it does with the images before it looks at them.
        """
        self.name, self.digest, self.preprocessing = name, digest, preprocessing
        self._answer = answer
        self._known: dict[str, np.ndarray] = {}

    def logits(self, data: MedImages, split: str = "train", tick: Tick | None = None) -> np.ndarray:
        """Its logits for a split.

        Args:
            data: The data set.
            split: ``"train"``, ``"val"`` or ``"test"``.
            tick: Called with a number of images that are done.

        Returns:
            Shape (n, classes), float64.

        Raises:
            ConfigError: If it does not know as many classes as the data set has.
            DataError: If an answer is not finite or has no such shape.
        """
        images, tell = data.split(split), tick or (lambda _: None)
        key = cache.key(self.digest or "", self.preprocessing, data, split)
        answers = self._known.get(key)
        if answers is None and self.digest:
            answers = cache.load(key, len(images))
        if answers is None:
            answers = self._ask(images, tell)
            if self.digest:
                cache.store(key, answers)
        else:
            tell(len(images))
        if answers.shape[1] != data.num_classes:
            raise ConfigError(
                f"Expected a teacher of {data.num_classes} classes for {data.name}, but "
                f"{self.name} knows {answers.shape[1]}. Train a teacher on {data.name}."
            )
        self._known[key] = answers
        return answers

    def _ask(self, images: Split, tell: Tick) -> np.ndarray:
        answers = np.asarray(self._answer(images, tell), np.float64)
        if answers.ndim != 2 or len(answers) != len(images):
            raise DataError(
                f"Expected logits of shape ({len(images)}, classes) from the teacher {self.name}, "
                f"but got {answers.shape}."
            )
        if not np.isfinite(answers).all():
            raise DataError(
                f"Expected finite logits from the teacher {self.name}, but got NaN or infinity. "
                "Was it trained to the end?"
            )
        return answers


def ask(forward: Callable[[Tensor], Tensor], images: Tensor, tell: Tick) -> np.ndarray:
    """Logits of images without gradients, batch by batch.

    Args:
        forward: From images (B, C, H, W) to logits (B, classes), or an object with ``logits``.
        images: Shape (n, C, H, W).
        tell: Called with the size of every batch that is done.

    Returns:
        Shape (n, classes), float64.
    """
    parts = []
    with torch.no_grad():
        for batch in images.split(BATCH):
            out = forward(batch)
            out = getattr(out, "logits", out)  # as the Hub's models answer
            parts.append(out.double().cpu().numpy())
            tell(len(batch))
    return np.concatenate(parts)


def digest(model: nn.Module) -> str:
    """SHA-256 of a module: its weights and buffers, and how they are used.

    That is the configuration of a model of ours; of another one its structure as printed, and
    the source of its classes where Python finds it.
    """
    hasher = hashlib.sha256()
    if isinstance(model, Classifier):
        hasher.update(f"{model.config.kind} {model.config.ingredients_json()}".encode())
    else:
        hasher.update(re.sub(r" at 0x[0-9a-f]+", "", repr(model)).encode())  # addresses change
        for kind in sorted({type(m) for m in model.modules()}, key=lambda kind: kind.__qualname__):
            hasher.update(f"{kind.__module__}.{kind.__qualname__}\n{_source(kind)}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        hasher.update(f"\n{name} {array.dtype} {tuple(array.shape)}\n".encode())
        hasher.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def _source(kind: type[nn.Module]) -> str:
    if kind.__module__.startswith("torch."):
        return ""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""
