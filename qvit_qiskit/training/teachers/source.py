"""A teacher from whatever names or computes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from qvit_qiskit.data import Split
from qvit_qiskit.training.checkpoint import load_checkpoint
from qvit_qiskit.training.teachers.huggingface import open_hub
from qvit_qiskit.training.teachers.teacher import HUB, Teacher, Tick, ask, digest

TeacherLike = Teacher | nn.Module | Callable[[Tensor], Tensor] | str | Path
"""A checkpoint or training folder, ``"hf:NAME_OR_FOLDER"``, a module, a function of images."""


def open_teacher(source: TeacherLike) -> Teacher:
    """A teacher from what names or computes it.

    Args:
        source: A checkpoint or training folder of ours; ``"hf:NAME_OR_FOLDER"``, an image
            classifier of the Hugging Face Hub; a module or function from images
            (B, C, 28, 28), the range of `Split.tensors`, to logits (B, classes). A function's
            answers are not kept on disk, since nothing tells when they change.

    Returns:
        The teacher.

    Raises:
        CheckpointError: If there is no such checkpoint.
        ConfigError: If the Hub's classifier cannot be had.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model
        >>> from qvit_qiskit.training import open_teacher
        >>> open_teacher(build_model(ViTConfig(), seed=0)).name
        'ViT'
    """
    if isinstance(source, Teacher):
        return source
    if isinstance(source, str) and source.startswith(HUB):
        return open_hub(source.removeprefix(HUB))
    if isinstance(source, str | Path):
        return _from_module(load_checkpoint(source).model, str(source))
    if isinstance(source, nn.Module):
        return _from_module(source, type(source).__name__)
    name = getattr(source, "__name__", type(source).__name__)
    return Teacher(name, lambda split, tell: ask(source, split.tensors()[0], tell))


def _from_module(model: nn.Module, name: str) -> Teacher:
    def answer(split: Split, tell: Tick) -> np.ndarray:
        images = split.tensors()[0].to(next(model.parameters(), torch.zeros(())))
        modes = {module: module.training for module in model.modules()}
        model.eval()
        try:
            return ask(model, images, tell)
        finally:
            for module, mode in modes.items():
                module.training = mode

    return Teacher(name, answer, digest(model))
