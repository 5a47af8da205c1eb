"""Image classifiers of the Hugging Face Hub, or of a folder in its format, as teachers."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from qvit_qiskit.data import Split
from qvit_qiskit.exceptions import ConfigError, DataError
from qvit_qiskit.training.teachers.teacher import BATCH, HUB, Teacher, Tick, digest


def open_hub(name: str) -> Teacher:
    """An image classifier as a teacher; images are prepared as its own processor says.

    Only weights in safetensors are read, and no code of the model's repository is run.

    Args:
        name: A name on the Hub, or a folder, which needs no network.

    Raises:
        ConfigError: If transformers is not installed, or the classifier cannot be loaded.
    """
    with _without_torchvision():
        try:
            from transformers import AutoImageProcessor, AutoModelForImageClassification
        except (ImportError, RuntimeError) as error:
            raise ConfigError(
                f"Expected the package transformers for the teacher {HUB}{name}, but it cannot be "
                f"imported ({_line(error)}). Run `pip install 'qvit-qiskit[teachers]'`."
            ) from error
        try:
            model, loading = AutoModelForImageClassification.from_pretrained(
                name, use_safetensors=True, output_loading_info=True
            )
            processor = AutoImageProcessor.from_pretrained(name)
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise ConfigError(
                f"The teacher {HUB}{name} cannot be loaded ({_line(error)}). Give the folder of "
                "an image classifier with its preprocessor_config.json, or a name on the Hub "
                "while there is a network."
            ) from error
    if loading["missing_keys"]:
        raise ConfigError(
            f"Expected a trained image classifier, but {HUB}{name} has no weights for "
            f"{', '.join(sorted(loading['missing_keys']))}. Choose one with a classification head."
        )
    return _teacher(name, model.eval(), processor)


def _teacher(name: str, model: Any, processor: Any) -> Teacher:
    """A loaded classifier as a teacher; its digest is made of weights and configuration."""
    prepared = json.dumps(processor.to_dict(), sort_keys=True, default=str)
    config = {k: v for k, v in model.config.to_dict().items() if k != "_name_or_path"}
    identity = f"{digest(model)} {json.dumps(config, sort_keys=True, default=str)}"

    def answer(split: Split, tell: Tick) -> np.ndarray:
        pictures = _pictures(split, getattr(model.config, "num_channels", 3), HUB + name)
        parts = []
        with torch.no_grad():
            for start in range(0, len(pictures), BATCH):
                batch = list(pictures[start : start + BATCH])  # each (28, 28, C), uint8
                inputs = processor(batch, return_tensors="pt", input_data_format="channels_last")
                parts.append(model(pixel_values=inputs["pixel_values"]).logits.double().numpy())
                tell(len(batch))
        return np.concatenate(parts)

    sha256 = hashlib.sha256(identity.encode()).hexdigest()
    return Teacher(HUB + name, answer, sha256, prepared)


def _pictures(split: Split, channels: int, name: str) -> np.ndarray:
    """Images as the processor takes them, (n, 28, 28, channels); grey ones in three copies."""
    images = split.images if split.images.ndim == 4 else split.images[..., None]
    if images.shape[-1] == channels:
        return images
    if images.shape[-1] == 1 and channels == 3:
        return images.repeat(3, axis=-1)
    raise DataError(
        f"Expected images of {channels} channel(s) for the teacher {name}, but got "
        f"{images.shape[-1]}. Choose a classifier of colour images."
    )


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Let transformers believe that there is no torchvision.

    It would import it, which fails beside a torch that it was not built for; the processors have
    a way without it.
    """
    hidden: dict[str, Any] = sys.modules  # None says that a module is not there
    if "torchvision" in hidden:
        yield
        return
    hidden["torchvision"] = None
    try:
        yield
    finally:
        hidden.pop("torchvision", None)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else repr(error)
