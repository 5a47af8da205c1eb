"""What others have published, with their sources."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources


@dataclass(frozen=True)
class Peer:
    """A published system."""

    system: str
    parameters: str
    """The model's size as the source rounds it; empty if it does not say."""
    source: str
    note: str
    scores: dict[str, dict[str, float]]
    """By data set, "auc" and "acc"; what the source does not state is not there."""


@lru_cache(maxsize=1)
def _all() -> tuple[Peer, ...]:
    text = (
        resources.files("qvit_qiskit.study.results")
        .joinpath("peers.toml")
        .read_text(encoding="utf-8")
    )
    return tuple(
        Peer(
            entry["system"], entry.get("parameters", ""), entry["source"], entry.get("note", ""),
            entry["scores"],
        )
        for entry in tomllib.loads(text)["peer"]
    )  # fmt: skip


def peers(datasets: Sequence[str]) -> list[Peer]:
    """The published systems with a score on one of these data sets."""
    return [peer for peer in _all() if set(datasets) & peer.scores.keys()]
