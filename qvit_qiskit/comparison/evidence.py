"""What a comparison is made from: one model, the same images, several rungs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from qvit_qiskit.comparison.correction import Common
from qvit_qiskit.hardware.stages.stage import Rows
from qvit_qiskit.hardware.values.outputs import Outputs
from qvit_qiskit.hardware.values.readout_factors import Calibrated
from qvit_qiskit.runs.planning.chosen_plan import RunPlan
from qvit_qiskit.statistics.verdicts import TOLERANCE

Kind = Literal["exact", "shot noise", "device noise", "hardware", "corrected"]
"""The rungs of the ladder, from below; the last is a hardware rung corrected by its anchors."""


@dataclass(frozen=True)
class Executions:
    """Where and when the rows of one quantum layer ran."""

    rows: Rows
    """What was executed: equal rows ran once."""
    qubits: list[np.ndarray] | None = None
    """For each group the physical qubit behind every output, shape (U, K); −1 where an output is
    not the Z of one qubit. None for a simulator."""
    copies: list[np.ndarray] | None = None
    """For each group the copy on the chip, shape (U,)."""
    jobs: list[np.ndarray] | None = None
    """For each group the job, counted from 0 in the order of time, shape (U,)."""
    times: tuple[str, ...] = ()
    """When each job ran, or its result was stored where nobody said, UTC."""
    calibrated: Calibrated | None = None
    """Where readout was mitigated: what is each row's own noise, and what rows share."""


@dataclass(frozen=True)
class Rung:
    """The same model on the same images, evaluated in one way."""

    name: str
    """Unique in a comparison, e.g. ``"device noise"`` or a profile's name."""
    kind: Kind
    backend: str
    """The profile, and the device where there is one."""
    logits: np.ndarray
    """Of every image, shape (n, classes)."""
    layers: list[list[Outputs]]
    """What every quantum layer returned, projection by projection: Q, K and V of head 0, of head
    1, …"""
    draws: np.ndarray | None = None
    """Logits under redraws of the shot noise, shape (draws, n, classes); None where values are
    exact."""
    truths: int = 1
    """The draws are so many groups, one after the other, each around a truth of its own that the
    measurement leaves possible; one group around what was measured."""
    shots: int | None = None
    """Per row, at most where they are adaptive; None where values are exact."""
    mean_shots: float | None = None
    """Per row, on average; None where all rows have as many."""
    qpu_seconds: float | None = None
    """What the evaluation cost; None for a simulator."""
    dollars: float | None = None
    """What that costs in US dollars on the Pay-As-You-Go plan; None for a simulator."""
    resilience_level: int | None = None
    """How errors were mitigated, of a run or a rehearsal; None for other simulators."""
    readout: str = ""
    """Whether a run's or rehearsal's last CNOTs ran as gates or were read as parities."""
    cost_basis: str = ""
    """Whether ``qpu_seconds`` are billed or estimated."""
    deltas: list[list[np.ndarray]] | None = None
    """For each layer and projection the outputs minus the exact ones at the same angles, each
    (R, K); None where nobody worked them out."""
    beyond: list[list[np.ndarray]] | None = None
    """The outputs minus those that the device's reported errors predict at the same angles, each
    (R, K), where they are known and nothing was mitigated."""
    executions: list[Executions] | None = None
    """For each layer which rows were executed, and where; None where values are exact."""
    plan: RunPlan | None = None
    """Of a run that was planned for an accuracy: what was chosen and predicted."""


@dataclass(frozen=True)
class Attribution:
    """Which quantum layer moved the logits of a run away from the exact ones."""

    exact: np.ndarray  # shape: (n, classes), logits of the exact pass
    effects: np.ndarray  # shape: (layers, n, classes), logits with one layer's δ, minus exact
    total: np.ndarray  # shape: (n, classes), logits with the δ of all layers, minus exact

    @property
    def interaction(self) -> np.ndarray:
        """What the layers' effects do not add up to, shape (n, classes)."""
        return np.asarray(self.total - self.effects.sum(axis=0))

    def shares(self) -> np.ndarray:
        """Each layer's share of the total, and last the interaction's; they add up to 1.

        A share is the projection of an effect on the total: ⟨effect, total⟩ / ⟨total, total⟩.
        Shape (layers + 1,); nan where nothing moved.
        """
        parts = np.concatenate([self.effects, self.interaction[None]])
        along = np.einsum("lnc,nc->l", parts, self.total)  # (layers + 1,)
        size = float(np.sum(self.total**2))
        return along / size if size > 0 else np.full(len(parts), np.nan)


@dataclass(frozen=True)
class AnchorSeries:
    """Rows of one quantum layer that were measured in every job, in the order of time."""

    values: np.ndarray  # shape: (jobs, anchors, K)
    covariances: np.ndarray  # shape: (jobs, anchors, K, K)
    exact: np.ndarray  # shape: (anchors, K)
    times: tuple[str, ...] = ()
    """When each job ran, UTC."""
    calibrated: bool = False
    """Whether readout was mitigated: the rows of a job then share its calibration's noise."""


@dataclass(frozen=True)
class Corrected:
    """A recorded rung and the same corrected by its anchors."""

    rung: str
    """The corrected one."""
    than: str
    """The recorded one."""
    layers: tuple[Common, ...]
    """For each quantum layer what its anchors say of all outputs."""


@dataclass(frozen=True)
class Evidence:
    """One model on the same images, rung by rung, before anything is worked out of it."""

    title: str
    facts: dict[str, str]
    """What was compared, for people: data, model, checkpoint, device, versions."""
    images: np.ndarray  # shape: (n, C, H, W), as the model saw them
    labels: np.ndarray
    """Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels)."""
    class_names: tuple[str, ...]
    """Names of the classes or labels."""
    rungs: tuple[Rung, ...]
    """The first is exact; every other is compared with it."""
    attention: dict[str, np.ndarray] = field(default_factory=dict)
    """By rung: attention weights of the shown images, shape (shown, layers, heads, N, N)."""
    shown: tuple[int, ...] = ()
    """The images whose attention is shown."""
    attribution: Attribution | None = None
    """What moved the logits of the hardware rung, where there is one."""
    attributions: dict[str, Attribution] = field(default_factory=dict)
    """What moved the logits of every recorded rung, by its name; ``attribution`` is the first."""
    anchors: tuple[AnchorSeries, ...] = ()
    """One per quantum layer, where the first run repeated rows."""
    anchors_by_rung: dict[str, tuple[AnchorSeries, ...]] = field(default_factory=dict)
    """The repeated rows of every recorded rung, by its name; ``anchors`` are the first's."""
    seed: int = 0
    """The seed of all resampling, so that a report has the same bytes every time."""
    own: bool = False
    """Whether the images are the user's own."""
    tolerance: float = TOLERANCE
    """The loss of AUC or ACC that was said not to matter."""
    subset: bool = False
    """Whether the images are a part of their split, so that there are more."""
    split_images: int | None = None
    """How many images the whole split has; None where nobody knows."""
    pictures: bool = True
    """Whether pages show the images; of the user's own only on request."""
    corrections: tuple[Corrected, ...] = ()
    """Of the recorded rungs whose runs repeated rows."""
    judge_corrected: bool = False
    """Whether corrected rungs are judged like devices."""

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.labels.ndim == 2

    def named(self, image: int) -> str:
        """The class of an image, or its labels, in words."""
        if not self.multi_label:
            return self.class_names[int(self.labels[image])]
        present = [self.class_names[k] for k in np.flatnonzero(self.labels[image])]
        return ", ".join(present) or "none"

    @property
    def exact(self) -> Rung:
        """The rung that every other is compared with."""
        return self.rungs[0]

    @property
    def errors_known(self) -> tuple[Rung, ...]:
        """The rungs but the exact one whose outputs are compared with exact ones."""
        return tuple(rung for rung in self.rungs[1:] if rung.deltas is not None)

    @property
    def recorded_anchors(self) -> dict[str, tuple[AnchorSeries, ...]]:
        """Repeated rows by rung; where no rung is named they are of the first recorded one."""
        first = next(iter(self.attributions), "hardware")
        return self.anchors_by_rung or {first: self.anchors}
