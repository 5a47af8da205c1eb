"""The rungs of the ladder: one model on the same images, exactly, simulated, and as recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from qiskit.primitives import BaseEstimatorV2
from torch import Tensor, nn

from qvit_qiskit.comparison.attribution import attribute, residuals, unpredicted
from qvit_qiskit.comparison.correction import Correction
from qvit_qiskit.comparison.evidence import Attribution, Executions, Kind, Rung
from qvit_qiskit.comparison.propagation import (
    DRAWS,
    CorrectedNoise,
    Noise,
    PooledNoise,
    ShotNoise,
    redraw,
)
from qvit_qiskit.comparison.run_record import REHEARSED, RunRecord, check_reproduced
from qvit_qiskit.devices.prices import prices
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.execution.profile_route import ProfileRoute, open_route
from qvit_qiskit.execution.recorded_noise import RecordedNoise
from qvit_qiskit.hardware.values.floors import raised
from qvit_qiskit.hardware.values.outputs import Outputs
from qvit_qiskit.hardware.values.readout_factors import Calibrated
from qvit_qiskit.inference.passes import Pass, run_pass
from qvit_qiskit.inference.prediction import BATCH
from qvit_qiskit.models.cost import count_rows
from qvit_qiskit.profile import AerProfile, AnyProfile, FakeProfile, IbmProfile
from qvit_qiskit.runs.adaptive.settling import rule_of
from qvit_qiskit.runs.planning.chosen_plan import RunPlan
from qvit_qiskit.runs.pricing import price
from qvit_qiskit.runs.results import layer_of
from qvit_qiskit.statistics.stopping import possible_logits, repeat

PLAN = "pay-as-you-go"
"""The plan whose price is told."""
AROUND = 2
"""Repeats of a run with adaptive shots around each truth that its measurement leaves possible: as
few as tell what is no truth's doing, so that there are many truths."""


@dataclass
class Ladder:
    """A model on some images, and what its exact pass gave."""

    model: nn.Module
    images: Tensor  # shape: (n, C, H, W)
    draws: int = DRAWS
    seed: int = 0
    batch_size: int = BATCH
    inner: BaseEstimatorV2 = field(default_factory=lambda: _exact_estimator())
    """Evaluates the quantum layers exactly."""

    @cached_property
    def exact(self) -> Pass:
        """The pass without any error."""
        return run_pass(self.model, self.images, self.inner, batch_size=self.batch_size)

    def exact_rung(self, name: str = "exact") -> Rung:
        """The lowest rung."""
        # it is its own reference
        deltas = [[np.zeros_like(out.values) for out in layer] for layer in self.exact.layers]
        reference = self.exact
        return Rung(name, "exact", "aer-exact", reference.logits, reference.layers, deltas=deltas)

    def simulated(
        self,
        name: str,
        kind: Kind,
        backend: str,
        estimator: BaseEstimatorV2,
        shots: int | None,
        number: int,
    ) -> Rung:
        """A rung that is evaluated now.

        Args:
            name: Of the rung.
            kind: Of the rung.
            backend: For people.
            estimator: Evaluates the rows; equal rows of a batch once.
            shots: Per row; None where values have no shot noise.
            number: Tells the random streams of a comparison's rungs apart.
        """
        done = run_pass(self.model, self.images, estimator, batch_size=self.batch_size, once=True)
        deltas = residuals(self.inner, done.executed, done.layers)
        executions = [Executions(rows) for rows in done.executed]
        drawn = self._redraw(done.layers, executions, deltas, shots, number) if shots else None
        return Rung(
            name,
            kind,
            backend,
            done.logits,
            done.layers,
            draws=drawn,
            shots=shots,
            deltas=deltas,
            executions=executions,
        )

    def recorded(
        self, name: str, run: RunRecord, noisy: RecordedNoise | None, number: int
    ) -> tuple[Rung, Attribution]:
        """A run as a rung, and which of its layers moved the logits.

        Quantum layers that were not measured are exact, at the angles that follow from the others.

        Args:
            name: Of the rung.
            run: The run.
            noisy: Values under the device's reported errors, where they are known.
            number: See `simulated`.

        Raises:
            JobError: If the recorded outputs do not give the recorded logits.
        """
        layers, rows = run.results.layers, [e.rows for e in run.executions]
        deltas = residuals(self.inner, rows, layers)
        first = self.exact.values[0]
        rest = [None] * (len(self.exact.layers) - len(deltas))
        try:
            replayed = run_pass(
                self.model, self.images, self.inner, [*deltas, *rest], self.batch_size, first=first
            )
        except JobError as error:
            raise JobError(f"{run.path}: {error}") from error
        if not run.partial:
            check_reproduced(run, replayed)
        seconds, basis = run.cost()
        planned = run.folder.order.plan
        level = run.folder.terms.profile.resilience_level
        beyond = None
        if noisy is not None and level == 0:  # reported errors predict what is not mitigated
            beyond = _beyond(noisy, run)
        draws, truths = self._draws_of(run, deltas, number)
        rung = Rung(
            name,
            "hardware",
            f"{run.profile_name} ({run.results.device}), resilience level {level}",
            replayed.logits if run.partial else run.results.logits,
            layers,
            draws=draws,
            truths=truths,
            shots=run.shots,
            mean_shots=float(run.pool.shots.mean()) if run.pool else None,
            qpu_seconds=seconds,
            dollars=dollars(seconds),
            resilience_level=level,
            readout=run.folder.terms.profile.readout,
            cost_basis=basis,
            deltas=deltas,
            beyond=beyond,
            executions=run.executions,
            plan=RunPlan.from_record(planned) if planned else None,
        )
        attribution = attribute(
            self.model, self.images, self.inner, self.exact, deltas, replayed.logits,
            self.batch_size, len(rest),
        )  # fmt: skip
        return rung, attribution

    def _redraw(
        self,
        layers: Sequence[Sequence[Outputs]],
        executions: Sequence[Executions],
        deltas: Sequence[Sequence[np.ndarray]],
        shots: int,
        number: int,
    ) -> np.ndarray | None:
        if self.draws == 0:
            return None
        noise = [
            ShotNoise.of(where, layer, shots)
            for where, layer in zip(executions, layers, strict=True)
        ]
        return self._redrawn(noise, deltas, number)

    def _draws_of(
        self, run: RunRecord, deltas: Sequence[Sequence[np.ndarray]], number: int
    ) -> tuple[np.ndarray | None, int]:
        """Logits of redraws of a run's shots, of repeats of the whole run where it stops by a rule.

        Returns:
            The logits, and how many truths they are around.
        """
        if run.pool is None or self.draws == 0:
            return self._redraw(run.results.layers, run.executions, deltas, run.shots, number), 1
        stages = run.folder.reader.layers[0]
        drawn = self._redrawn([PooledNoise.of(run.pool, stages, run.shares)], deltas, number)
        if run.folder.terms.quiet:  # every repeat has the same shares
            return drawn, 1
        centred = drawn - drawn.mean(axis=0)
        covariances = np.einsum("dnk,dnl->nkl", centred, centred) / (len(drawn) - 1)  # (n, K, K)
        rule = rule_of(run.folder.terms.adaptive, run.folder.terms.shots)
        # or as much of it as the budget had room for
        rule = replace(rule, sizes=rule.sizes[: len(run.pool.shares)])
        rng = np.random.default_rng([self.seed, number, 1])
        truths = max(1, self.draws // AROUND)
        possible = possible_logits(run.results.logits, covariances, truths, rng)
        around = np.repeat(possible, self.draws // truths, axis=0)
        per_shot = covariances * run.pool.shots[0][:, None, None]
        several = run.source.labels.ndim == 2
        found = repeat(around, per_shot, rule, len(around), rng, multi_label=several)
        return found.logits, truths

    def _redrawn(
        self, noise: Sequence[Noise], deltas: Sequence[Sequence[np.ndarray]], number: int
    ) -> np.ndarray:
        return redraw(
            self.model,
            self.images,
            self.inner,
            self.exact.values[0],
            deltas,
            noise,
            draws=self.draws,
            seed=(self.seed, number),
            batch_size=self.batch_size,
            rest=len(self.exact.layers) - len(deltas),
        )

    def corrected(
        self, name: str, rung: Rung, corrections: Sequence[Correction], number: int
    ) -> Rung:
        """A recorded rung with the outputs of its layers corrected by anchors.

        A later layer was run at the angles that the earlier ones gave as they were measured; what
        its corrected outputs still differ by from the exact ones there is taken along to the angles
        that follow from the corrected ones.

        Args:
            name: Of the corrected rung.
            rung: As it was measured.
            corrections: One for each quantum layer.
            number: See `simulated`.
        """
        assert rung.deltas is not None
        assert rung.executions is not None
        assert rung.shots is not None
        layers, executions, noise = [], [], []
        for where, layer, one in zip(rung.executions, rung.layers, corrections, strict=True):
            layers.append(_corrected_outputs(where, layer, one, rung.shots))
            executions.append(_stretched(where, one))
            shots = ShotNoise.of(where, layer, rung.shots)
            measured = where.rows.executed([out.values for out in layer])
            noise.append(CorrectedNoise(shots, one, measured))
        deltas = [
            [delta + new.values - old.values for delta, new, old in zip(*each, strict=True)]
            for each in zip(rung.deltas, layers, rung.layers, strict=True)
        ]
        done = run_pass(
            self.model, self.images, self.inner, deltas, self.batch_size,
            first=self.exact.values[0], notes=False,
        )  # fmt: skip
        return replace(
            rung,
            name=name,
            kind="corrected",
            backend=f"{rung.backend}, corrected by anchors",
            logits=done.logits,
            layers=layers,
            draws=self._redrawn(noise, deltas, number) if self.draws else None,
            qpu_seconds=None,
            dollars=None,
            cost_basis="",
            deltas=deltas,
            beyond=None,
            executions=executions,
            plan=None,
        )

    def on_backend(self, route: ProfileRoute, number: int) -> Rung:
        """A rung on an open profile of kind ``aer`` or ``fake``.

        Where readout is mitigated, its calibration's noise is taken for each row's own.

        Args:
            route: The open profile.
            number: The rung's place in the comparison, which seeds its redraws.
        """
        profile, shots = route.profile, None
        if isinstance(profile, AerProfile):
            shots = profile.shots
        elif isinstance(profile, FakeProfile):
            shots = profile.mitigation.executed(profile.stated_shots)
        route.reseed()
        backend = f"{route.name} ({profile.simulates})"
        if isinstance(profile, FakeProfile):
            backend += f", resilience level {profile.resilience_level}"
        rung = self.simulated(
            name_of(route), kind_of(profile), backend, route.estimator, shots, number
        )
        if route.drawn:
            rung = replace(rung, backend=f"{route.name} ({profile.simulates}{route.drawn})")
        if not isinstance(profile, FakeProfile):
            return rung
        rows = count_rows(self.model, self.images[:1])
        priced = price(self.model, rows, len(self.images), profile, profile.stated_shots).estimate
        return replace(
            rung,
            qpu_seconds=priced.seconds,
            dollars=dollars(priced.seconds),
            resilience_level=profile.resilience_level,
            readout=profile.readout,
            cost_basis=REHEARSED,
        )


def _beyond(noisy: RecordedNoise, run: RunRecord) -> list[list[np.ndarray]]:
    """The outputs minus what reported errors predict, each share of shots on its own copies."""
    if run.pool is None:
        return unpredicted(noisy, run.executions, run.results.layers)
    stages, rests = run.folder.reader.layers[0], []
    for stage, share, predicts in zip(stages, run.pool.shares, noisy.layers, strict=True):
        layer = layer_of([stage], len(share.images))
        one = unpredicted(RecordedNoise([predicts]), [Executions(share.rows)], [layer])
        rests.append(one[0])
    return [run.pool.mean(rests)]


def _corrected_outputs(
    where: Executions, layer: Sequence[Outputs], correction: Correction, shots: int
) -> list[Outputs]:
    """The outputs of a layer corrected, with the covariances of their own noise."""
    measured = where.rows.executed([out.values for out in layer])
    values = [correction.corrected(g, one) for g, one in enumerate(measured)]
    outputs = []
    for (g, index), out in zip(where.rows.pubs, layer, strict=True):
        stretch = correction.stretch(g)[index]
        own = raised(out.covariances, where.rows.groups[g], shots)
        covariances = own * stretch[:, :, None] * stretch[:, None, :]
        outputs.append(replace(out, values=values[g][index], covariances=covariances))
    return outputs


def _stretched(where: Executions, correction: Correction) -> Executions:
    """Where rows ran; the noise that rows share through a calibration grows with the outputs."""
    if where.calibrated is None:
        return where
    stretches = [correction.stretch(g) for g in range(len(where.rows.groups))]
    own = [
        covariances * stretch[:, :, None] * stretch[:, None, :]
        for covariances, stretch in zip(where.calibrated.own, stretches, strict=True)
    ]
    shared = [
        replace(one, pull=one.pull * stretches[one.group][one.rows][:, None, :])
        for one in where.calibrated.shared
    ]
    return replace(where, calibrated=Calibrated(own, shared))


def _exact_estimator() -> BaseEstimatorV2:
    return open_route("aer-exact", AerProfile(kind="aer"), Path("built in")).estimator


def shots_estimator(shots: int, seed: int) -> BaseEstimatorV2:
    """A perfect device with shot noise alone.

    Args:
        shots: Bitstrings per row.
        seed: Of the bitstrings.
    """
    profile = AerProfile(kind="aer", shots=shots, seed=seed)
    return open_route("shot noise", profile, Path("built in")).estimator


def kind_of(profile: AnyProfile) -> Kind:
    """The rung that a profile stands for."""
    if isinstance(profile, FakeProfile | IbmProfile):
        return "hardware"
    if profile.noise:
        return "device noise"
    return "shot noise" if profile.shots else "exact"


def name_of(route: ProfileRoute) -> str:
    """A rung's name: the profile's, or what it rehearses."""
    if isinstance(route.profile, FakeProfile):
        return rehearsal(route.profile.device)
    return route.name


def rehearsal(device: str) -> str:
    """How a rehearsal is named, never as hardware."""
    return f"rehearsal on {device}"


def dollars(seconds: float) -> float:
    """The price of QPU time."""
    return seconds * float(prices()["per_second"][PLAN])
