"""What correction by anchors takes off the outputs' error, on devices that err otherwise than told.

    python benchmarks/anchors.py CHECKPOINT ... [--data DIR] [--draws 20] [--markdown F] [--json F]

The circuits of a checkpoint's first quantum layer lie on as many copies as fit on fake_fez; what is
predicted for them comes from its calibration, waits included. The simulated device either keeps to
that ("honest"), or turns every `sx` 3 % too far, has twice the reported errors of CZ and half as
much again of readout ("other errors"). Each draw has new seats, new anchors (16 a copy) and new
shots: 32 a row, drawn from the probabilities of its bits. "Beyond shot noise" are root mean squares
of expected outputs less exact ones, corrected with what was learned from drawn anchors; "with
shots" are those of drawn outputs. Changes are medians over the draws, and beside that of the
honest device its mean change with its standard error.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import report
from simulated_chip import HONEST, OTHERWISE, Chip, Truth, build

from qvit_qiskit.comparison.correction import MOST_ROWS, AnchorValues, Correction, Lines, learn
from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.hardware.stages.stage_plan import sample_rows, seat
from qvit_qiskit.training.checkpoint import load_checkpoint

SHOTS, EACH = 32, 16


def copies_of(seats: np.ndarray, rows: int) -> np.ndarray:
    """The copy of each row."""
    found = np.zeros(rows, int)
    for copy, seated in enumerate(seats.T):
        found[seated[seated >= 0]] = copy
    return found


def projections_of(chip: Chip) -> np.ndarray:
    """The projection that asks each row first."""
    owner = np.full(len(chip.exact), -1)
    for pub, (_, index) in enumerate(chip.rows.pubs):
        owner[index[owner[index] < 0]] = pub
    return owner


def predicted_lines(chip: Chip, owner: np.ndarray) -> Lines:
    """For each projection and copy, from the honest chip's values; shape (projections, C, K)."""
    noisy, found = chip.values(HONEST), []
    for pub in range(len(chip.rows.pubs)):
        mine = np.flatnonzero(owner == pub)
        sample = mine[np.unique(np.linspace(0, len(mine) - 1, MOST_ROWS).round().astype(int))]
        found.append(Lines.through(chip.exact[sample], noisy[:, sample]))
    return Lines(np.stack([f.scale for f in found]), np.stack([f.offset for f in found]))


def one_draw(chip: Chip, truth: Truth, lines: Lines, owner: np.ndarray, seed: int) -> dict:
    """Errors as measured and corrected, beyond shot noise and with shots."""
    rng, rows = np.random.default_rng(seed), len(chip.exact)
    places = np.arange(rows)
    copies = copies_of(seat(rows, chip.copies, seed), rows)
    picked = sample_rows(chip.rows.groups, EACH * chip.copies, seed)[0]
    seats = seat(len(picked), chip.copies, seed, np.arange(len(picked)))
    where = copies_of(seats, len(picked))
    own = Lines(lines.scale[owner[picked], where], lines.offset[owner[picked], where])
    values, covariances = chip.draw(truth, picked, where, SHOTS, rng)
    anchors = AnchorValues(values[None], covariances[None], own.of(chip.exact[picked]), where)
    of_rows = Lines(lines.scale[owner, copies], lines.offset[owner, copies])
    correction = Correction(learn([anchors]), [of_rows])
    expected = chip.values(truth)[copies, places]
    drawn, _ = chip.draw(truth, places, copies, SHOTS, rng)

    def size(values: np.ndarray) -> float:
        return float(np.sqrt(np.mean((values - chip.exact) ** 2)))

    return {
        "measured": size(expected), "corrected": size(correction.corrected(0, expected)),
        "predicted": size((expected - of_rows.offset) / of_rows.scale),
        "measured with shots": size(drawn),
        "corrected with shots": size(correction.corrected(0, drawn)),
        "factor": correction.common.factor, "shift": correction.common.shift,
    }  # fmt: skip


def summary(name: str, truth: Truth, draws: list[dict]) -> dict:
    """Medians of changes over the draws."""

    def change(after: str, before: str) -> np.ndarray:
        return np.array([d[after] / d[before] - 1 for d in draws])

    beyond = change("corrected", "measured")
    with_shots = change("corrected with shots", "measured with shots")
    return {
        "model": name, "device": truth.name, "draws": len(draws),
        "measured": float(np.median([d["measured"] for d in draws])),
        "change": float(np.median(beyond)),
        "worst change": float(beyond.max()),
        "mean change": float(beyond.mean()),
        "standard error": float(beyond.std(ddof=1) / np.sqrt(len(beyond))),
        "by prediction alone": float(np.median(change("predicted", "measured"))),
        "with shots": float(np.median([d["measured with shots"] for d in draws])),
        "change with shots": float(np.median(with_shots)),
        "factor": float(np.median([d["factor"] for d in draws])),
        "shift": float(np.median([d["shift"] for d in draws])),
    }  # fmt: skip


def markdown(lines: list[dict]) -> str:
    """The table of the documentation."""
    heads = (
        *("model", "device", "error beyond shots", "corrected", "worst draw"),
        *("predicted lines alone", "error with shots", "corrected", "factor", "shift"),
    )
    out = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for one in lines:
        cells = [
            one["model"], one["device"], f"{one['measured']:.4f}", f"{one['change']:+.0%}",
            f"{one['worst change']:+.0%}", f"{one['by prediction alone']:+.0%}",
            f"{one['with shots']:.4f}", f"{one['change with shots']:+.1%}",
            f"{one['factor']:.3f}", f"{one['shift']:+.4f}",
        ]  # fmt: skip
        out.append("| " + " | ".join(cells).replace("-", "−") + " |")
    return "\n".join(out) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device", default="fake_fez")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines = []
    for path in options.checkpoints:
        loaded = load_checkpoint(path)
        name = str(loaded.provenance["dataset"])
        split = load(name, root=options.data).test
        images = stratified_subset(split, min(options.images, len(split)), 0).tensors()[0]
        chip = build(loaded.model, images, options.device, "auto", (HONEST, OTHERWISE))
        owner = projections_of(chip)
        predicted = predicted_lines(chip, owner)
        for truth in (HONEST, OTHERWISE):
            draws = [one_draw(chip, truth, predicted, owner, s) for s in range(options.draws)]
            lines.append(summary(name, truth, draws))
            print(json.dumps(lines[-1], indent=1), flush=True)
    print(markdown(lines))
    if options.markdown:
        options.markdown.write_text(markdown(lines))
    if options.json:
        record = {"machine": report.machine(1), "lines": lines}
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
