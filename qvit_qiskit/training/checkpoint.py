"""Checkpoints: one safetensors file with weights, configuration and provenance."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from qvit_qiskit.exceptions import CheckpointError, CircuitError, ConfigError
from qvit_qiskit.files import atomic
from qvit_qiskit.formats import Format
from qvit_qiskit.models import Classifier, ViTConfig, build_model, read_config
from qvit_qiskit.training import module_checkpoint
from qvit_qiskit.zoo.names import checkpoint_file

FORMAT, PREFIX = Format("checkpoint", 1, CheckpointError), "qvit-checkpoint-"
DIGEST = "sha256"
"""The metadata's key of the weights' digest, which checkpoints of earlier versions lack."""
_PACKAGES = ("qiskit", "qiskit-aer", "qiskit-machine-learning", "qiskit-ibm-runtime", "torch")


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and where it came from.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model, load_checkpoint, save_checkpoint
        >>> save_checkpoint("mine", build_model(ViTConfig(), seed=0), {"dataset": "phantom"})
        >>> checkpoint = load_checkpoint("mine")
        >>> checkpoint.provenance["dataset"], checkpoint.model.config.heads
        ('phantom', 2)
    """

    model: Any
    """A `Classifier` of ours, or the module that was passed."""
    provenance: dict[str, Any]
    """Data set and its MD5, seed, epoch, validation scores, versions, git commit."""
    path: Path


def save_checkpoint(path: Path | str, model: nn.Module, provenance: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    A model of ours is rebuilt from its configuration. Of any other module the weights are stored,
    and the circuits of its quantum layers as QPY; its code is not.

    Args:
        path: The file, by convention ``*.safetensors``.
        model: Any module.
        provenance: Anything JSON can hold; versions are added.

    Raises:
        CheckpointError: If a module of the user's own holds what cannot be stored.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit import ViTConfig, build_model, load_checkpoint, save_checkpoint
        >>> save_checkpoint("mine", build_model(ViTConfig(), seed=0), {"dataset": "phantom"})
        >>> load_checkpoint("mine").provenance["dataset"]
        'phantom'
    """
    metadata = {
        "format": f"{PREFIX}{FORMAT.number}",
        "provenance": json.dumps({**provenance, "versions": versions()}),
    }
    if isinstance(model, Classifier):
        metadata |= {"kind": model.config.kind, "config": model.config.model_dump_json()}
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    else:
        metadata |= module_checkpoint.describe(model)
        tensors = module_checkpoint.weights(model)
    metadata[DIGEST] = digest_of(tensors)
    with atomic(Path(path)) as temporary:
        save_file(tensors, temporary, metadata)


def load_checkpoint(path: Path | str, model: nn.Module | None = None) -> Checkpoint:
    """Read a checkpoint and rebuild its model, or load it into one.

    Args:
        path: A checkpoint; a training folder, whose ``best.safetensors`` is taken; or a trained
            model of the package, such as ``"zoo:qvit-retinamnist"`` (see `qvit models`).
        model: Where the checkpoint is that of a module of one's own: such a module, which gets
            the weights. No code is ever run from a checkpoint.

    Returns:
        The model and its provenance.

    Raises:
        CheckpointError: If the file is missing, damaged, or not one of ours; its weights are not
            those that were saved; or its names, shapes or circuits are not those of ``model``,
            which is then left as it was.

    Example:
        >>> from qvit_qiskit import load_checkpoint
        >>> checkpoint = load_checkpoint("zoo:qvit-breastmnist")  # comes with the package
        >>> checkpoint.model.config.heads, checkpoint.provenance["dataset"]
        (2, 'breastmnist')
    """
    if model is not None and not isinstance(model, nn.Module):
        raise CheckpointError(
            f"Expected a module to load the weights into, but got {model!r}. Pass one of its kind, "
            "freshly made."
        )
    path = checkpoint_file(path)
    if not path.is_file():
        raise CheckpointError(
            f"The checkpoint {path} does not exist. Give a .safetensors file, a training folder of "
            "`qvit train`, or zoo:NAME, a trained model of the package (`qvit models`)."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged or no safetensors file ({error}). Train again or restore a copy."
        ) from error
    FORMAT.check(_number(metadata.get("format"), path), path)
    if metadata.get(DIGEST, digest := digest_of(tensors)) != digest:
        raise CheckpointError(
            f"{path} is damaged: its weights are not those that were saved (their SHA-256 is "
            f"{digest[:12]}…, but {metadata[DIGEST][:12]}… was stored with them). Train again or "
            "restore a copy."
        )
    try:
        provenance = dict(json.loads(metadata["provenance"]))
        rebuilt = _rebuilt(metadata, tensors, model)
    except (
        KeyError, ValueError, TypeError, RuntimeError, CircuitError, ConfigError,
    ) as error:  # fmt: skip
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2]).rstrip(".")
        raise CheckpointError(
            f"{path} does not hold a usable model: {reason}. Train again or restore a copy."
        ) from error
    except CheckpointError as error:
        raise CheckpointError(f"{path} does not fit: {str(error).rstrip('.')}.") from error
    return Checkpoint(rebuilt.eval(), provenance, path)


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors: their names, types, shapes and bytes, whatever their order.

    Args:
        tensors: Dense tensors by name.
    """
    hasher = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # The bytes count, whatever device or strides a tensor has.
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        hasher.update(flat.view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def _rebuilt(
    metadata: dict[str, str], tensors: dict[str, Tensor], given: nn.Module | None
) -> nn.Module:
    """The model of a checkpoint: the given one with its weights, or one of its configuration."""
    if given is not None:
        module_checkpoint.fill(given, tensors, metadata.get("circuits"))
        return given
    kind = metadata.get("kind", ViTConfig.kind)  # the only one before there were kinds
    if kind == module_checkpoint.KIND:
        raise CheckpointError(
            f"it holds the weights of a {metadata['class']}, a module of one's own, whose code is "
            "not stored: pass such a module, load_checkpoint(path, model=...)"
        )
    model = build_model(read_config(kind, json.loads(metadata["config"])), seed=0)
    model.load_state_dict(tensors)
    return model


def _number(label: str | None, path: Path) -> int:
    """The number in a file's metadata, whose values are text.

    Raises:
        CheckpointError: If there is none: the file is not one of ours.
    """
    digits = (label or "").removeprefix(PREFIX)
    if label is None or not label.startswith(PREFIX) or not (digits.isascii() and digits.isdigit()):
        raise CheckpointError(
            f"Expected a checkpoint of format {PREFIX}{FORMAT.number}, but {path} has {label!r}. "
            "Save it with qvit_qiskit.save_checkpoint."
        )
    return int(digits)


def versions() -> dict[str, str]:
    """Versions of what produced a result; nothing of the environment."""
    numbers = _installed() | {"python": platform.python_version()}
    commit = _git_commit(Path(__file__).resolve().parent.parent.parent)
    return numbers | ({"git": commit} if commit else {})


@cache
def _installed() -> dict[str, str]:
    """What is imported stays what it is, and a training asks in every epoch."""
    return {name: version(name) for name in (*_PACKAGES, "qvit-qiskit")}


@cache
def _git_commit(folder: Path) -> str | None:
    """The commit of the checkout this package runs from, if it runs from one."""
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
