"""The training loop: epochs in phases, the best checkpoint by validation AUC, resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from torch import Tensor, nn

from qvit_qiskit import metrics
from qvit_qiskit.exceptions import CheckpointError, ConfigError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.profile_route import ProfileRoute
from qvit_qiskit.files import atomic
from qvit_qiskit.inference.prediction import predict
from qvit_qiskit.simulation.kernel.availability import loops
from qvit_qiskit.training.arithmetic import Arithmetic
from qvit_qiskit.training.augmentation import augmented, contrasted
from qvit_qiskit.training.averaging import WeightAverage
from qvit_qiskit.training.checkpoint import save_checkpoint
from qvit_qiskit.training.history import Epoch as Epoch
from qvit_qiskit.training.history import write_history
from qvit_qiskit.training.losses import Objective
from qvit_qiskit.training.own_model import heads
from qvit_qiskit.training.phases import Phase
from qvit_qiskit.training.settings import TrainConfig
from qvit_qiskit.zoo.names import BEST

STATE = "state.pt"


@dataclass(frozen=True)
class FitResult:
    """A finished or interrupted training.

    Example:
        >>> from qvit_qiskit import TrainConfig, ViTConfig, fit, load
        >>> config = ViTConfig(projection="linear")
        >>> result = fit(config, TrainConfig(epochs=2, subset=32), load("phantom"))
        >>> [record.epoch for record in result.history]
        [1, 2]
    """

    model: Any
    """The model with the weights of the best epoch: a `Classifier`, or a copy of the module
    passed."""
    history: list[Epoch]
    best: Epoch
    interrupted: bool
    folder: Path | None


OnEpoch = Callable[[Epoch, int], None]
"""Called after every epoch with its record and the number of epochs planned."""


class Loop:
    """One training: what is set once, and the loop."""

    phase: Phase
    model: nn.Module
    objective: Objective
    optimizer: torch.optim.Optimizer

    def __init__(
        self,
        phases: Sequence[Phase],
        route: ProfileRoute,
        folder: Path | None = None,
        teacher: dict[str, Any] | None = None,
        arithmetic: Arithmetic | None = None,
    ) -> None:
        """A training, not begun.

        Args:
            phases: What to do, in order.
            route: Where circuits run.
            folder: Where to write checkpoints and history.
            teacher: Name and digest of the teacher, for the checkpoints' provenance.
            arithmetic: What the training began with; by default what new ones begin with.
        """
        self.arithmetic = arithmetic or Arithmetic.now()
        self.phases, self.route, self.folder, self.teacher = phases, route, folder, teacher
        self.train: TrainConfig = phases[-1].train
        self.history: list[Epoch] = []
        self.best: Epoch | None = None
        self.best_weights: dict[str, Tensor] = {}

    def run(self, on_epoch: OnEpoch | None) -> FitResult:
        """Train to the last epoch, or until interrupted."""
        interrupted = False
        self._restore()
        with torch_threads(self.train.threads), loops(bool(self.arithmetic.loops)):
            try:
                for phase in self.phases:
                    if len(self.history) < phase.last:
                        self._enter(phase)
                        self._epochs(on_epoch)
            except KeyboardInterrupt:
                interrupted = True
                if self.best is None:  # not one epoch done: what there is, is the checkpoint
                    with registry.route(self.judged, self.route):
                        self._keep(self._validate(0, (math.nan,) * 3, time.perf_counter()))
        assert self.best is not None
        return FitResult(self._best(), self.history, self.best, interrupted, self.folder)

    def _enter(self, phase: Phase) -> None:
        """Begin a phase with the weights that the one before leaves behind."""
        before = getattr(self, "phase", None)
        if before is phase:
            return
        self.model = phase.model((before, self.model) if before else None)
        self.images, self.labels = phase.shown.pixels(), torch.tensor(phase.shown.labels)
        self.val_images = phase.data.val.pixels()
        self.objective = phase.objective(self.labels)
        self.optimizer = _optimizer(self.train, self.model, self.arithmetic.fused)
        self.average = WeightAverage(self.model, self.train.ema) if self.train.ema else None
        self.phase = phase

    @property
    def judged(self) -> nn.Module:
        """What is validated and kept: the model, or the average of its weights over the steps."""
        return self.model if self.average is None else self.average.module

    def _epochs(self, on_epoch: OnEpoch | None) -> None:
        with registry.route(self.model, self.route), registry.route(self.judged, self.route):
            for epoch in range(len(self.history) + 1, self.phase.last + 1):
                record = self._epoch(epoch)
                self._keep(record)
                if on_epoch:
                    on_epoch(record, self.phases[-1].last)

    def _epoch(self, epoch: int) -> Epoch:
        started = time.perf_counter()
        # A resumed training draws the same shots, order and moves as one that never stopped.
        self.route.reseed(self.train.seed, epoch)
        shuffle = np.random.default_rng([self.train.seed, epoch])
        order = torch.from_numpy(shuffle.permutation(len(self.labels)))
        moves = np.random.default_rng([self.train.seed, epoch, 1])
        batches = order.split(self.train.batch_size)
        sums = np.zeros(3)
        self.model.train()
        for step, batch in enumerate(batches):
            rate = self._learning_rate(epoch - 1 - self.phase.before + step / len(batches))
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            sums += len(batch) * np.array(self._step(batch, moves))
        means = tuple(float(total) for total in sums / len(self.labels))  # by image, not by batch
        if not math.isfinite(means[0]):
            raise ConfigError(
                f"The loss became {means[0]} in epoch {epoch}: training diverged. Lower "
                "--learning-rate; the last good checkpoint is kept."
            )
        return self._validate(epoch, means, started)

    def _step(self, batch: Tensor, moves: np.random.Generator) -> tuple[float, float, float]:
        """One step of the optimiser; returns the loss, cross-entropy and distillation."""
        images, targets = self.images[batch], self.phase.targets
        if self.train.augment != "none":
            images = augmented(images, self.phase.flips, moves)
        if self.train.contrast:
            images = contrasted(images, self.train.contrast, moves)
        taught = None if targets is None else targets[batch]
        scores = heads(self.model, images, self.phase.data.num_classes)
        terms = self.objective(scores, self.labels[batch], taught)
        if not terms.total.requires_grad:
            raise ConfigError(
                "Expected scores that the model's parameters can learn from, but no gradient leads "
                "back from them. Take detach() and torch.no_grad() out of its forward pass."
            )
        self.optimizer.zero_grad()
        terms.total.backward()
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        distillation = math.nan if terms.distillation is None else terms.distillation.item()
        return terms.total.item(), terms.cross_entropy.item(), distillation

    def _learning_rate(self, time: float) -> float:
        """Linear warm-up, then half a cosine to zero; ``time`` in epochs of the phase."""
        warmup, total = self.train.warmup_epochs, self.phase.epochs
        if time < warmup:
            return self.train.learning_rate * (time + 0.1) / (warmup + 0.1)  # never 0 at the start
        progress = (time - warmup) / max(total - warmup, 1e-9)
        return 0.5 * self.train.learning_rate * (1 + math.cos(math.pi * progress))

    def _validate(self, epoch: int, losses: tuple[float, ...], started: float) -> Epoch:
        logits = predict(self.judged, self.val_images, self.arithmetic.batch)
        scores = metrics.score(self.phase.data.val.labels, logits)
        loss, cross_entropy, distillation = losses
        return Epoch(
            epoch=epoch,
            loss=loss,
            val_auc=scores.auc,
            val_acc=scores.acc,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=time.perf_counter() - started,
            phase=self.phase.name,
            cross_entropy=cross_entropy,
            distillation=None if math.isnan(distillation) else distillation,
        )

    def _keep(self, record: Epoch) -> None:
        """Remember an epoch, and write it down; the state last, since resuming trusts it."""
        if record.epoch:
            self.history.append(record)
        last = self.train.select == "last"
        if self.best is None or last or record.merit > self.best.merit:
            weights = {name: t.clone() for name, t in self.judged.state_dict().items()}
            if self.folder:
                save_checkpoint(self.folder / BEST, self.judged, self._provenance(record))
            self.best, self.best_weights = record, weights  # an interrupt above loses neither
        if self.folder and record.epoch:  # within the first epoch there is nothing to continue
            write_history(self.folder, self.history)
            with atomic(self.folder / STATE) as temporary:
                torch.save(self._state(), temporary)

    def _best(self) -> nn.Module:
        """The model of the best epoch, which may be one of an earlier phase."""
        assert self.best is not None
        same = self.best.phase == self.phase.name  # another phase may have other classes
        model = self.model if same else self._named(self.best.phase).model()
        model.load_state_dict(self.best_weights)
        return model.eval()

    def _provenance(self, record: Epoch) -> dict[str, Any]:
        data = self.phase.data
        return {
            "dataset": data.name,
            "md5": data.md5,
            "synthetic": data.synthetic,
            **({"own": True} if data.own else {}),
            "train": self.train.model_dump(),
            "teacher": self.teacher,
            "phase": record.phase,
            "epoch": record.epoch,
            "val_auc": record.val_auc,
            "val_acc": record.val_acc,
        }

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "best_weights": self.best_weights,
            "optimizer": self.optimizer.state_dict(),
            "history": [asdict(record) for record in self.history],
            "best": asdict(self.best) if self.best else None,
            "average": self.average.state_dict() if self.average else None,
        }

    def _restore(self) -> None:
        """Enter the first phase, or the one that the folder's state was written in."""
        path = self.folder / STATE if self.folder else None
        if path is None or not path.exists():
            self._enter(self.phases[0])
            return
        try:
            with ZipFile(path) as archive:  # torch reads it without looking at its checksums
                if archive.testzip() is not None:
                    raise BadZipFile("a checksum differs")
            state = torch.load(path, weights_only=True)
            history = [Epoch.read(record) for record in state["history"]]
            self._enter(self._named(history[-1].phase))
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
            self.best_weights = state["best_weights"]
            self.history, self.best = history, Epoch.read(state["best"])
        except Exception as error:  # torch raises many kinds for a damaged file
            raise CheckpointError(
                f"{path} is damaged ({type(error).__name__}). The best checkpoint beside it is "
                "still usable; train again into another --out to continue."
            ) from error

    def _named(self, name: str) -> Phase:
        return {phase.name: phase for phase in self.phases}[name]  # type: ignore[index]


def _optimizer(train: TrainConfig, model: nn.Module, fused: bool) -> torch.optim.Optimizer:
    rate, decay = train.learning_rate, train.weight_decay
    weights = list(model.parameters())
    # torch's fused steps know real numbers on these devices only
    fused &= all(one.is_floating_point() and one.device.type in _FUSED for one in weights)
    if train.optimizer == "sgd":
        return torch.optim.SGD(
            weights, lr=rate, momentum=0.9, nesterov=True, weight_decay=decay, fused=fused
        )
    return torch.optim.AdamW(weights, lr=rate, weight_decay=decay, fused=fused)


_FUSED = ("cpu", "cuda")


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Give torch this many threads; restore afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
