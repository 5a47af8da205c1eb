"""One model on the same images, rung by rung: on backends, or from the folders of finished runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from qvit_qiskit.comparison.builder import build as build_comparison
from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.correction import correction_of
from qvit_qiskit.comparison.evidence import AnchorSeries, Attribution, Corrected, Evidence, Rung
from qvit_qiskit.comparison.findings.attention import attention_of, has_attention, most_moved
from qvit_qiskit.comparison.propagation import DRAWS
from qvit_qiskit.comparison.provenance import (
    CHECKED,
    checkpoint_facts,
    class_names,
    common_facts,
    run_facts,
    split_images,
)
from qvit_qiskit.comparison.run_record import RunRecord, anchors_of, check_same, read_recorded
from qvit_qiskit.comparison.rungs import (
    Ladder,
    rehearsal,
    shots_estimator,
)
from qvit_qiskit.exceptions import DataError, RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.profile_route import ProfileRoute
from qvit_qiskit.execution.recorded_noise import RecordedNoise, noise_of
from qvit_qiskit.inference.prediction import BATCH
from qvit_qiskit.pages.table import listed
from qvit_qiskit.profile import AerProfile
from qvit_qiskit.runs.run_folder import Source
from qvit_qiskit.statistics.verdicts import TOLERANCE, check_tolerance
from qvit_qiskit.training.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from qvit_qiskit.data.arrays import Given

Tick = Callable[[str], None]
"""Told in a few words what comes next."""

NAMED = 3
"""Devices that a title names; of more it names the first."""


def compare(
    *runs: Path | str,
    model: nn.Module | Path | str | None = None,
    data: Given | Source | None = None,
    backends: Sequence[str | ProfileRoute] = (),
    draws: int = DRAWS,
    seed: int = 0,
    batch_size: int = BATCH,
    tolerance: float = TOLERANCE,
    corrected: bool = False,
    backends_dir: Path | None = None,
    tick: Tick | None = None,
) -> Comparison:
    """One model on the same images, exactly and on every other rung.

    With finished runs, everything comes from their folders: the model, its images, and the
    recorded outputs of its quantum layers. Rungs with the run's shots and with its device's
    reported errors are simulated beside them. Without runs, a model and data are evaluated on
    backends. The exact rung is always there and comes first.

    Args:
        *runs: Folders of runs, all of the same model and images. Of one that is not finished the
            quantum layers count that are whole; the others are exact in its rung, whose name says
            that it is partial.
        model: A model or its checkpoint; with runs only where they were begun with a model of
            one's own code.
        data: Images and labels, where there are no runs: a split, a pair of arrays, or a torch
            dataset of (image, label); see `data.as_split`.
        backends: Profiles of kind ``aer`` or ``fake``, by name, path, or opened.
        draws: Redraws of the shot noise for each rung with shots; 0 for none.
        seed: Of all random streams: the same seed gives the same comparison.
        batch_size: Images per forward pass.
        tolerance: The loss of AUC or ACC that does not matter; a device whose loss is surely below
            it is called as good as the exact model.
        corrected: Whether rungs that are corrected by anchors are judged beside those as measured.
            They are shown in any case where a run repeated rows.
        backends_dir: A folder of profiles to search first.
        tick: Called before each step.

    Returns:
        The scores, differences and parts of the error, rung by rung.

    Raises:
        JobError: If a run is not finished, damaged, or not comparable with the others.
        DataError: If there is nothing to compare, fewer than two images, or the tolerance is not
            above 0 and below 1.
        CheckpointError: If ``model`` names no checkpoint, or a damaged one.
        ProfileError: If a backend's profile is missing or malformed.
        RouteError: If a backend cannot be opened.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model, compare, load
        >>> model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
        >>> images = load("phantom").val
        >>> comparison = compare(model=model, data=images, backends=["aer-shots"], draws=0)
        >>> [rung.name for rung in comparison.rungs]
        ['exact', 'aer-shots']
        >>> comparison = compare("runs/mine")  # doctest: +SKIP
    """
    if draws < 0 or draws == 1:
        raise DataError(f"Expected no draws or at least two, but got {draws}.")
    check_tolerance(tolerance)
    tell = tick or (lambda _: None)
    tell("reading")
    records = [read_recorded(run) for run in runs]
    loaded = load_checkpoint(model) if isinstance(model, str | Path) else None
    given, source = _subject(records, loaded.model if loaded else model, data)
    build = _Build(Ladder(given, source.images, draws, seed, batch_size), tell, tolerance)
    build.climb(records, [_opened(b, backends_dir) for b in backends])
    facts = common_facts(given, source)
    facts |= run_facts(records, list(build.attributions)) if records else checkpoint_facts(loaded)
    tell("scores")
    evidence = build.evidence(source, facts | build.notes)
    return build_comparison(replace(evidence, judge_corrected=corrected))


def _subject(
    runs: Sequence[RunRecord],
    model: nn.Module | Path | str | None,
    data: Given | Source | None,
) -> tuple[nn.Module, Source]:
    """The model and the images that are compared."""
    assert not isinstance(model, str | Path)
    if runs:
        if data is not None:
            raise DataError("Runs hold their own images: leave data out, or leave the runs out.")
        check_same(runs)
        model, source = runs[0].model(model), runs[0].source
    elif model is None or data is None:
        raise DataError(
            "Expected folders of finished runs, or a model and data to evaluate on backends."
        )
    else:
        source = data if isinstance(data, Source) else Source.of(data)
    if len(source.labels) < 2:
        raise DataError("Expected at least two images to compare rungs on.")
    return model, source


def _opened(backend: str | ProfileRoute, folder: Path | None) -> ProfileRoute:
    return registry.open(backend, backends_dir=folder) if isinstance(backend, str) else backend


@dataclass
class _Build:
    """A comparison in the making."""

    ladder: Ladder
    tell: Tick
    tolerance: float
    rungs: list[Rung] = field(default_factory=list)
    attributions: dict[str, Attribution] = field(default_factory=dict)
    anchors: dict[str, tuple[AnchorSeries, ...]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    """Of the recorded rungs, taken before any other rung's."""
    notes: dict[str, str] = field(default_factory=dict)
    corrections: list[Corrected] = field(default_factory=list)

    def climb(self, runs: Sequence[RunRecord], routes: Sequence[ProfileRoute]) -> None:
        """All rungs, from below."""
        self.tell("exact")
        self.rungs.append(self.ladder.exact_rung())
        for run in runs:
            device = run.results.device
            name = rehearsal(device) if run.rehearsal else device
            # Names of runs come first, so that no simulated rung takes one.
            self.names.append(self._free(f"{name}, partial" if run.partial else name))
        noisy = [self._noise_of(run) for run in runs]
        self._simulate(runs, noisy)
        for route in routes:
            # The exact rung stands already, whatever its profile is called.
            if route.profile != AerProfile(kind="aer", description=route.profile.description):
                self._add(self._on(route))
        for run, name, estimator in zip(runs, self.names, noisy, strict=True):
            self._record(run, name, estimator)
        for run, name, estimator in zip(runs, self.names, noisy, strict=True):
            self._correct(run, name, estimator)

    def _on(self, route: ProfileRoute) -> Rung:
        self.tell(f"on {route.name}")
        return self.ladder.on_backend(route, len(self.rungs))

    def _noise_of(self, run: RunRecord) -> RecordedNoise | None:
        if run.partial:  # its errors are of layers that were not all measured
            self.notes["device noise"] = f"left out, the run in {run.path} is {run.partial}"
            return None
        try:
            return noise_of(run.folder.reader.stages)
        except RouteError as error:
            self.notes["device noise"] = f"left out: {error}"
            return None

    def _simulate(self, runs: Sequence[RunRecord], noisy: Sequence[RecordedNoise | None]) -> None:
        """What simulators make of the runs: each number of shots once, and each noise once."""
        equal = [run.shots for run in runs if run.pool is None]
        for shots in dict.fromkeys(equal):
            self.tell("shot noise")
            estimator = shots_estimator(shots, self.ladder.seed)
            name = "shot noise" if len(set(equal)) == 1 else f"{shots:,} shots"
            self._add(
                self.ladder.simulated(
                    name, "shot noise", f"{shots:,} shots of a perfect device",
                    estimator, shots, len(self.rungs),
                )
            )  # fmt: skip
        known: dict[str, tuple[str, str, RecordedNoise]] = {}
        for run, label, estimator in zip(runs, self.names, noisy, strict=True):
            if estimator is not None:
                # runs of one calibration and one plan share a prediction
                known.setdefault(run.predicted, (run.results.device, label, estimator))
        devices = [device for device, _, _ in known.values()]
        for device, label, estimator in known.values():
            self.tell("device noise")
            name = "device noise"
            if len(known) > 1:  # by device where that tells them apart, else by run
                name = f"device noise of {device if devices.count(device) == 1 else label}"
            self._add(
                self.ladder.simulated(
                    name, "device noise", f"reported errors of {device}",
                    estimator, None, len(self.rungs),
                )
            )  # fmt: skip

    def _record(self, run: RunRecord, name: str, noisy: RecordedNoise | None) -> None:
        self.tell(name)
        rung, attribution = self.ladder.recorded(name, run, noisy, len(self.rungs))
        self.rungs.append(rung)
        self.attributions[name] = attribution
        self.anchors[name] = anchors_of(self.ladder.inner, run)

    def _correct(self, run: RunRecord, name: str, noisy: RecordedNoise | None) -> None:
        """The same run corrected by its anchors, where it has them and its noise is known."""
        if noisy is None:
            return  # a note says why
        if not all(stage.anchors for stage in run.stages):
            self.notes[f"{name}, corrected"] = (
                "left out: the run repeated no rows, from which errors that nobody reported are "
                "learned (anchor_rows in a job spec)"
            )
            return
        self.tell(f"{name}, corrected")
        if run.folder.terms.mitigation.level:
            noisy = noise_of(run.stages, mitigated=True)
        learned = [
            correction_of(stage, self.ladder.inner, predicts)
            for stage, predicts in zip(run.stages, noisy.layers, strict=True)
        ]
        measured = next(rung for rung in self.rungs if rung.name == name)
        corrections = [one for one in learned if one is not None]
        own = self._free(f"{name}, corrected")
        self.rungs.append(self.ladder.corrected(own, measured, corrections, len(self.rungs)))
        self.corrections.append(Corrected(own, name, tuple(one.common for one in corrections)))

    def _add(self, rung: Rung) -> None:
        self.rungs.append(replace(rung, name=self._free(rung.name)))

    def _free(self, name: str) -> str:
        """The name, numbered if it is taken."""
        taken = {*self.names, *(rung.name for rung in self.rungs)}
        # one more than there are names, so that one is free
        tries = [name, *(f"{name} ({k})" for k in range(2, len(taken) + 2))]
        return next(one for one in tries if one not in taken)

    def evidence(self, source: Source, facts: dict[str, str]) -> Evidence:
        """All rungs, with what was recorded of them."""
        hardware = [rung for rung in self.rungs if rung.kind == "hardware"]
        recorded = [rung for rung in hardware if rung.name in self.attributions]
        top = [*recorded, *hardware, self.rungs[-1]][0]  # what people came for
        several = source.labels.ndim == 2
        moved = most_moved(self.rungs[0], top, multi_label=several)
        shown = moved if len(self.rungs) > 1 else (0,)
        attention: dict[str, np.ndarray] = {}
        whole = len(self.rungs[0].layers)  # of a partial run there is no map to compare
        if has_attention(self.ladder.model) and all(len(r.layers) == whole for r in self.rungs):
            count = len(source.labels)
            attention = {r.name: attention_of(r.layers, count, shown) for r in self.rungs}
        classes = self.rungs[0].logits.shape[1]
        against = "the exact rung" if len(self.rungs) > 2 else "exact"
        corrected = {one.rung for one in self.corrections}
        devices = [rung.name for rung in hardware if rung.name not in corrected]
        names = devices if 1 < len(devices) <= NAMED else [top.name]
        what = [facts["data"].split(",")[0], *([facts[CHECKED]] if CHECKED in facts else [])]
        return Evidence(
            title=f"{', '.join(what)}: {listed(names)} against {against}",
            facts=facts,
            images=source.images.to(torch.float32).numpy(),
            labels=source.labels,
            class_names=class_names(source, classes),
            rungs=tuple(self.rungs),
            attention=attention,
            shown=shown if attention else (),
            attribution=next(iter(self.attributions.values()), None),
            attributions=self.attributions,
            anchors=next(iter(self.anchors.values()), ()),
            anchors_by_rung=self.anchors,
            seed=self.ladder.seed,
            own=source.own,
            tolerance=self.tolerance,
            subset=source.facts.get("subset") is not None,
            split_images=split_images(source),
            pictures=not source.own,  # people's own images are shown on request only
            corrections=tuple(self.corrections),
        )
