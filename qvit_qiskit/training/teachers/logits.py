"""The logits of a teacher, computed once: a cache whose keys are made of contents."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from qvit_qiskit.data import MedImages
from qvit_qiskit.files import atomic

log = logging.getLogger(__name__)

FORMAT = 1


def cache_folder() -> Path:
    """``QVIT_CACHE``, or the platform's cache folder for ``qvit``."""
    import pooch

    named = os.environ.get("QVIT_CACHE")
    return Path(named).expanduser() if named else Path(pooch.os_cache("qvit"))


def key(teacher: str, preprocessing: str, data: MedImages, split: str) -> str:
    """SHA-256 of everything that the logits depend on.

    Args:
        teacher: The teacher's digest.
        preprocessing: How it gets the images, in words or as JSON.
        data: The data set; its MD5 and the pixels of the split count.
        split: ``"train"``, ``"val"`` or ``"test"``.
    """
    images = data.split(split).images
    ingredients = {
        "format": FORMAT,
        "teacher": teacher,
        "preprocessing": preprocessing,
        "md5": data.md5,
        "split": split,
        "shape": images.shape,
        "pixels": hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(),
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


def load(name: str, count: int) -> np.ndarray | None:
    """The logits of a key, or none if they are not there; a damaged file counts as not there.

    Args:
        name: The key.
        count: How many images there are.

    Returns:
        Logits, shape (count, classes), float64.
    """
    path = _path(name)
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, zipfile.ZipFile(file):
            pass  # NOTE: np.load would take any other file for a pickle and speak of that
        with np.load(path, allow_pickle=False) as arrays:
            logits, key_inside = arrays["logits"], str(arrays["key"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("%s is damaged (%s) and is made again.", path, error)
        return None
    fits = logits.ndim == 2 and len(logits) == count and logits.dtype == np.float64
    if key_inside != name or not fits or not np.isfinite(logits).all():
        log.warning("%s does not hold the logits of its name and is made again.", path)
        return None
    return np.asarray(logits)


def store(name: str, logits: np.ndarray) -> None:
    """Keep a teacher's logits under a key; where nothing can be written, go without.

    Args:
        name: The key, as `key` makes it.
        logits: Shape (n, classes).
    """
    path = _path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, logits=logits, key=np.array(name))
    except OSError as error:
        log.warning("The teacher's logits are not kept: %s (%s).", error.strerror, path)


def _path(name: str) -> Path:
    return cache_folder() / "teacher-logits" / f"{name}.npz"
