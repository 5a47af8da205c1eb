"""What a run's folder holds beside its jobs: images, labels, model, terms."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from qvit_qiskit.circuits.circuit_record import same_circuit
from qvit_qiskit.data import MedImages, as_split
from qvit_qiskit.exceptions import CheckpointError, JobError, RouteError
from qvit_qiskit.hardware.events import Finish, Order
from qvit_qiskit.hardware.hardware_run import HardwareRun
from qvit_qiskit.hardware.journal import digest, locked, pack_arrays
from qvit_qiskit.hardware.run_reader import CHECKPOINT, RunReader
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.models import ViT
from qvit_qiskit.qnn import QuantumLinear
from qvit_qiskit.training.checkpoint import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from qvit_qiskit.data.arrays import Given


@dataclass(frozen=True)
class Source:
    """What a run evaluates, beside the model: stored in its folder."""

    images: Tensor
    labels: np.ndarray
    facts: dict[str, Any]

    @classmethod
    def of(cls, data: Given, **facts: Any) -> Source:
        """Images and labels of a split, a pair of arrays, or a dataset of (image, label).

        Args:
            data: See `data.as_split`.
            facts: What is known of the data set.

        Raises:
            DataError: If the images or labels are no such.
        """
        split = as_split(data)
        more: dict[str, Any] = {} if split.own or "dataset" in facts else {"own": False}
        if split.own and split.class_names:  # of published sets they are known by the name
            more["class_names"] = list(split.class_names)
        return cls(split.tensors()[0], split.labels, more | facts)

    @property
    def own(self) -> bool:
        """Whether the images are the user's own; what came without a name is taken to be."""
        return bool(self.facts.get("own", "dataset" not in self.facts))


def facts_of_data(data: MedImages) -> dict[str, Any]:
    """What a run keeps of the data set beside the images.

    Args:
        data: Its name and digest are kept; of own images, too, that they are, and their classes.
    """
    own = {"own": True, "class_names": list(data.class_names)} if data.own else {}
    return {"dataset": data.name, "md5": data.md5, **own}


@dataclass(frozen=True)
class RunFolder:
    """A run that was begun, read back: what its reader knows, as a model, images and labels."""

    reader: RunReader
    terms: Terms

    @classmethod
    def open(cls, folder: Path, budget: float | None = None) -> RunFolder:
        """Read a folder.

        Args:
            folder: Of a run.
            budget: In QPU seconds, instead of the one that was named last.

        Raises:
            JobError: If it is unusable.
        """
        reader = RunReader.open(folder)
        terms = reader.terms
        return cls(reader, terms if budget is None else replace(terms, budget=budget))

    @property
    def order(self) -> Order:
        """What is evaluated."""
        return self.reader.order

    def source(self) -> Source:
        """The images and labels that the run was begun with."""
        arrays = self.reader.images()
        return Source(torch.from_numpy(arrays["images"]), arrays["labels"], self.order.data)

    @property
    def has_model(self) -> bool:
        """Whether the folder holds a checkpoint that its model is built from."""
        return self.order.checkpoint is not None

    def model(self, given: nn.Module | None) -> nn.Module:
        """The model that the run was begun with: the given one, or from the kept checkpoint.

        Raises:
            JobError: If it is another model, or there is none.
        """
        path = self.reader.checkpoint if given is None else None
        if given is None and path is None:
            raise JobError(
                "The run was begun with a model of your own code, so that the command line cannot "
                "go beyond the quantum layer that is out. From Python, pass the same model: "
                f"`resume({str(self.reader.folder)!r}, model=…, wait=True)`."
            )
        if path is not None:
            given = load_checkpoint(path).model
        if given is None or weights_digest(given) != self.order.model:
            raise JobError(
                f"The model's weights are not those that the run in {self.reader.folder} was begun "
                "with. Pass that model, or name a new folder for a run of this one."
            )
        return given


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of a model's weights and buffers."""
    state = {name: t.detach().cpu().numpy() for name, t in model.state_dict().items()}
    return digest(pack_arrays(dict(sorted(state.items()))))


def own_checkpoint(model: nn.Module) -> bytes | None:
    """A checkpoint of a model that its configuration alone rebuilds; None for any other module."""
    if type(model) is not ViT:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / CHECKPOINT
        save_checkpoint(path, model, {})
        try:
            rebuilt = load_checkpoint(path).model
        except CheckpointError:
            return None
        circuits = [
            [layer.circuit for layer in one.modules() if isinstance(layer, QuantumLinear)]
            for one in (rebuilt, model)
        ]
        same = len(circuits[0]) == len(circuits[1]) and all(
            one is other or same_circuit(one, other) for one, other in zip(*circuits, strict=True)
        )
        return path.read_bytes() if same else None


@contextmanager
def lock_new_run(run: HardwareRun) -> Iterator[HardwareRun]:
    """Lock a new run; a rehearsal that the local mode refuses at once leaves no folder."""
    try:
        with locked(run.folder):
            yield run
    except RouteError:
        if run.sender.local and not run.journal.of(Finish):
            shutil.rmtree(run.folder)
        raise
