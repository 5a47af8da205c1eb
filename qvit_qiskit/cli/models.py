"""``qvit models``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson

if TYPE_CHECKING:
    from qvit_qiskit.zoo import ModelCard


def models(
    name: Annotated[
        str | None, typer.Argument(help="A model, whose card is shown, e.g. qvit-retinamnist-3.")
    ] = None,
    json: AsJson = False,
) -> None:
    """List the trained models of the package, with their test scores; or show one's card.

    Example: qvit models qvit-retinamnist
    """
    from qvit_qiskit.zoo import model_card, model_cards

    if name is not None:
        card = model_card(name)
        if json:
            screen.as_json(asdict(card) | {"checkpoint": card.checkpoint})
        else:
            screen.facts(*card.card())
        return
    cards = model_cards()
    if json:
        screen.as_json([asdict(card) | {"checkpoint": card.checkpoint} for card in cards])
        return
    screen.lines(
        [
            f"{len(cards)} trained models. Wherever a checkpoint is expected, zoo:NAME is one: "
            "that of seed 0; NAME-1 is that of seed 1. No score chose any."
        ]
    )
    screen.table("Exact test scores", [_row(group) for group in _groups(cards)])
    screen.lines(
        [
            "Check one: qvit evaluate zoo:NAME. Train it anew: qvit train --preset NAME. Its card, "
            "with the data's licence: qvit models NAME."
        ]
    )


def _groups(cards: Sequence[ModelCard]) -> list[list[ModelCard]]:
    """The cards of each model and set, by seed."""
    groups: dict[str, list[ModelCard]] = {}
    for card in cards:
        groups.setdefault(f"{card.model}-{card.dataset}", []).append(card)
    return list(groups.values())


def _row(group: Sequence[ModelCard]) -> dict[str, Any]:
    """A line of the table: seed 0, and the mean over the seeds."""
    first = group[0]
    return {
        "name": f"{first.model}-{first.dataset}",
        "weights": f"{first.parameters:,}",
        "AUC": first.auc,
        "ACC": first.acc,
        "seeds": f"{group[0].seed}–{group[-1].seed}",
        "mean AUC": fmean(card.auc for card in group),
        "mean ACC": fmean(card.acc for card in group),
    }
