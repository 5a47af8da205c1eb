"""The largest part of a rung's error, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from qvit_qiskit.comparison.findings.parts import LayerError
from qvit_qiskit.comparison.findings.shares import Share

Part = Literal["shots", "reported", "rest"]


@dataclass(frozen=True)
class Cause:
    """The largest part of the error of a rung's quantum layers."""

    part: Part
    share: float
    """The part's share of the outputs' mean square error; an estimate, at most 1."""
    layer: int
    """The quantum layer it is told of, counted from 1: the one that moved the logits most."""
    reported_known: bool
    """Whether the errors that the device reports could be told from the rest."""
    layers: int = 1
    """How many quantum layers the model has."""

    @property
    def text(self) -> str:
        """The cause in words."""
        words: dict[Part, str] = {
            "shots": "shot noise",
            "reported": "errors that the device reports (gates and readout)",
            "rest": "errors that the device does not report (drift, crosstalk)"
            if self.reported_known
            else "the device's own errors",
        }
        where = f" of quantum layer {self.layer}" if self.layers > 1 else ""
        share = f"{100 * self.share:.0f} %"
        return f"{words[self.part]}: {share} of the squared error of the outputs{where}"


def cause_of(rung: str, errors: Sequence[LayerError], largest: Mapping[str, Share]) -> Cause | None:
    """The largest part of the error of the layer that moved the logits most.

    Where nothing was recorded of what moved them, it is told of the layer with the largest error.

    Args:
        rung: Its name.
        errors: Of all rungs and layers, with their parts.
        largest: By rung the largest share of what moved the logits.

    Returns:
        The cause; None where the errors of the outputs are not known, or there are none.
    """
    errors = [one for one in errors if one.rung == rung]
    if not errors:
        return None
    number = _most_moving(largest.get(rung)) or max(errors, key=_size).layer
    error = next(one for one in errors if one.layer == number)
    if not _size(error) > 0:
        return None
    if error.parts is None:
        return Cause("reported", 1.0, number, reported_known=True, layers=len(errors))
    known: dict[Part, float] = {"shots": error.parts.shots.value, "rest": error.parts.rest.value}
    if error.parts.reported is not None:
        known["reported"] = error.parts.reported.value
    part = max(known, key=lambda name: known[name])
    whole = sum(max(0.0, value) for value in known.values())
    if not whole > 0:
        return None
    return Cause(
        part,
        known[part] / whole,
        number,
        reported_known=error.parts.reported is not None,
        layers=len(errors),
    )


def _most_moving(most: Share | None) -> int | None:
    """The layer with the largest share of what moved the logits; None if that is no layer."""
    if most is None or not most.part.startswith("layer "):
        return None
    return int(most.part.removeprefix("layer "))


def _size(error: LayerError) -> float:
    return error.error.value if error.error else math.nan
