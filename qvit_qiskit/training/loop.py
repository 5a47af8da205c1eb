"""The training loop: AdamW, cosine schedule, best checkpoint by validation AUC, resumable."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qvit_qiskit import metrics
from qvit_qiskit.data import MedImages, stratified_subset
from qvit_qiskit.exceptions import CheckpointError, ConfigError, QvitError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.route import Route
from qvit_qiskit.files import atomic, write_text
from qvit_qiskit.models import ViT, ViTConfig, build_model
from qvit_qiskit.prediction import predict
from qvit_qiskit.training.checkpoint import save_checkpoint
from qvit_qiskit.training.config import TrainConfig

STATE, BEST, SETTINGS, HISTORY = "state.pt", "best.safetensors", "train.json", "history"


@dataclass(frozen=True)
class Epoch:
    """One line of the history."""

    epoch: int
    loss: float
    """Mean cross-entropy over the training images."""
    val_auc: float
    val_acc: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class FitResult:
    """A finished or interrupted training."""

    model: ViT
    """With the weights of the best epoch."""
    history: list[Epoch]
    best: Epoch
    interrupted: bool
    folder: Path | None


OnEpoch = Callable[[Epoch, int], None]
"""Called after every epoch with its record and the number of epochs planned."""


def fit(
    config: ViTConfig,
    train: TrainConfig,
    data: MedImages,
    *,
    folder: Path | None = None,
    route: Route | None = None,
    on_epoch: OnEpoch | None = None,
) -> FitResult:
    """Train a fresh model.

    Same seed, same machine, same threads: same weights, to the bit, also after a `resume`.

    Args:
        config: The model; ``channels`` and ``classes`` must fit the data.
        train: How to train.
        data: The images.
        folder: Where to write checkpoints and history; must not hold another training.
        route: Where circuits run; by default the profile ``train.backend``.
        on_epoch: Called after every epoch.

    Raises:
        ConfigError: If model and data do not fit.
        CheckpointError: If the folder holds a training already.
        RouteError: If the route is not for training.
    """
    if (config.channels, config.classes) != (data.channels, data.num_classes):
        raise ConfigError(
            f"Expected a model for {data.name} with {data.channels} channel(s) and "
            f"{data.num_classes} classes, but got {config.channels} and {config.classes}."
        )
    if folder is None:
        return _Fit(config, train, data, None, route).run(on_epoch)
    if (folder / SETTINGS).exists():
        raise CheckpointError(
            f"{folder} already holds a training. Continue it with --resume {folder}, or "
            "choose another --out."
        )
    training = _Fit(config, train, data, folder, route)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "model": config.model_dump(),
        "train": train.model_dump(),
        "md5": data.md5,
        "profile": training.route.profile.model_dump(),
    }
    write_text(folder / SETTINGS, json.dumps(settings, indent=2))
    try:
        return training.run(on_epoch)
    except QvitError:
        if not (folder / BEST).exists():  # nothing was trained: the folder stays free to use
            (folder / SETTINGS).unlink()
            with suppress(OSError):
                folder.rmdir()
        raise


def resume(
    folder: Path,
    load_data: Callable[[str], MedImages],
    *,
    route: Route | None = None,
    backends_dir: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> FitResult:
    """Continue an interrupted training from its last finished epoch.

    Args:
        folder: The training folder.
        load_data: Gets the data set's name, returns the images.
        route: Where circuits run; by default the profile the training began on.
        backends_dir: A folder to search for that profile first.
        on_epoch: Called after every epoch.

    Raises:
        CheckpointError: If the folder holds no training, or its data or profile have changed.
    """
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        config = ViTConfig.create(**settings["model"])
        train = TrainConfig.create(**settings["train"])
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(
            f"Expected a training folder with a readable {SETTINGS}, but got {folder} ({error}). "
            "Give the --out folder of `qvit train`."
        ) from error
    data = load_data(train.dataset)
    if data.md5 != settings.get("md5"):
        raise CheckpointError(
            f"{folder} was trained on {train.dataset} with MD5 {settings.get('md5')}, but the "
            f"file at hand has {data.md5}. Point --data-root at the original file."
        )
    route = route or registry.open(train.backend, backends_dir=backends_dir, training=True)
    if settings.get("profile") not in (None, route.profile.model_dump()):
        raise CheckpointError(
            f"{folder} was trained on a profile {train.backend!r} that said something else than "
            f"{route.path} does now. Restore it, or name its folder with --backends-dir."
        )
    return _Fit(config, train, data, folder, route).run(on_epoch)


class _Fit:
    """One training: what is set once, and the loop."""

    def __init__(
        self,
        config: ViTConfig,
        train: TrainConfig,
        data: MedImages,
        folder: Path | None,
        route: Route | None,
    ) -> None:
        self.train, self.data, self.folder = train, data, folder
        self.route = route or registry.open(train.backend, training=True)
        if not self.route.trainable:
            from qvit_qiskit.execution.route import refuse_training

            raise refuse_training(self.route)
        split = data.train
        if train.subset is not None:
            split = stratified_subset(split, train.subset, train.seed)
        self.images, self.labels = split.tensors()
        self.val_images, self.val_labels = data.val.tensors()[0], data.val.labels
        self.model = build_model(config, train.seed)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=train.learning_rate, weight_decay=train.weight_decay
        )
        weight = _class_weights(self.labels, config.classes) if train.class_weights else None
        self.loss = nn.CrossEntropyLoss(weight=weight)
        self.history: list[Epoch] = []
        self.best: Epoch | None = None
        self.best_weights: dict[str, Tensor] = {}

    def run(self, on_epoch: OnEpoch | None) -> FitResult:
        """Train to the last epoch, or until interrupted."""
        interrupted = False
        self._restore()
        with registry.route(self.model, self.route), _threads(self.train.threads):
            try:
                for epoch in range(len(self.history) + 1, self.train.epochs + 1):
                    record = self._epoch(epoch)
                    self._keep(record)
                    if on_epoch:
                        on_epoch(record, self.train.epochs)
            except KeyboardInterrupt:
                interrupted = True
                if self.best is None:  # not one epoch done: what there is, is the checkpoint
                    self._keep(self._validate(0, math.nan, time.perf_counter()))
        assert self.best is not None
        self.model.load_state_dict(self.best_weights)
        return FitResult(self.model.eval(), self.history, self.best, interrupted, self.folder)

    def _epoch(self, epoch: int) -> Epoch:
        started = time.perf_counter()
        self.route.reseed(self.train.seed, epoch)
        shuffle = np.random.default_rng([self.train.seed, epoch])
        order = torch.from_numpy(shuffle.permutation(len(self.labels)))
        batches = order.split(self.train.batch_size)
        total = 0.0
        self.model.train()
        for step, batch in enumerate(batches):
            rate = self._learning_rate(epoch - 1 + step / len(batches))
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss = self.loss(self.model(self.images[batch]), self.labels[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(batch)
        mean = total / len(self.labels)
        if not math.isfinite(mean):
            raise ConfigError(
                f"The loss became {mean} in epoch {epoch}: training diverged. Lower "
                "--learning-rate; the last good checkpoint is kept."
            )
        return self._validate(epoch, mean, started)

    def _learning_rate(self, time: float) -> float:
        """Linear warm-up, then half a cosine to zero; ``time`` in epochs."""
        warmup, total = self.train.warmup_epochs, self.train.epochs
        if time < warmup:
            return self.train.learning_rate * (time + 0.1) / (warmup + 0.1)
        progress = (time - warmup) / max(total - warmup, 1e-9)
        return 0.5 * self.train.learning_rate * (1 + math.cos(math.pi * progress))

    def _validate(self, epoch: int, loss: float, started: float) -> Epoch:
        scores = metrics.score(self.val_labels, predict(self.model, self.val_images))
        rate = self.optimizer.param_groups[0]["lr"]
        seconds = time.perf_counter() - started
        return Epoch(epoch, loss, scores.auc, scores.acc, rate, seconds)

    def _keep(self, record: Epoch) -> None:
        """Remember an epoch, and write it down; the state last, since resuming trusts it."""
        if record.epoch:
            self.history.append(record)
        if self.best is None or _merit(record) > _merit(self.best):
            weights = {name: t.clone() for name, t in self.model.state_dict().items()}
            if self.folder:
                save_checkpoint(self.folder / BEST, self.model, self._provenance(record))
            self.best, self.best_weights = record, weights  # an interrupt above loses neither
        if self.folder and record.epoch:  # within the first epoch there is nothing to continue
            _write_history(self.folder, self.history)
            with atomic(self.folder / STATE) as temporary:
                torch.save(self._state(), temporary)

    def _provenance(self, record: Epoch) -> dict[str, Any]:
        return {
            "dataset": self.data.name,
            "md5": self.data.md5,
            "synthetic": self.data.synthetic,
            "train": self.train.model_dump(),
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
        }

    def _restore(self) -> None:
        if self.folder is None or not (self.folder / STATE).exists():
            return
        path = self.folder / STATE
        try:
            state = torch.load(path, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.best_weights = state["best_weights"]
            self.history = [Epoch(**record) for record in state["history"]]
            self.best = Epoch(**state["best"])
        except Exception as error:  # torch raises many kinds for a damaged file
            raise CheckpointError(
                f"{path} is damaged ({type(error).__name__}). The best checkpoint beside it is "
                "still usable; train again into another --out to continue."
            ) from error


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Give torch this many threads; restore afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _merit(record: Epoch) -> tuple[float, float]:
    """What makes an epoch the best: validation AUC, then ACC; an undefined AUC comes last."""
    auc = -math.inf if math.isnan(record.val_auc) else record.val_auc
    return auc, record.val_acc


def _class_weights(labels: Tensor, classes: int) -> Tensor:
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return len(labels) / (classes * counts)


def _write_history(folder: Path, history: list[Epoch]) -> None:
    rows = [asdict(record) for record in history]
    write_text(folder / f"{HISTORY}.json", json.dumps(_nan_to_none(rows), indent=1))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(Epoch.__dataclass_fields__))
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / f"{HISTORY}.csv", text.getvalue())


def _nan_to_none(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()}
        for row in rows
    ]
