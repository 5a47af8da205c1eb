"""Rows of a quantum layer evaluated on any estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit.primitives import BaseEstimatorV2

from qvit_qiskit.hardware.stages.stage import Answers, Group, Rows


def answers_at(inner: BaseEstimatorV2, rows: Rows) -> Answers:
    """Values and covariances of every PUB, each different row evaluated once.

    A group is sent as one PUB for each projection that asks a row first: rows that share their
    weights share a simulation.

    Args:
        inner: The estimator.
        rows: What a layer asks.
    """
    shares: list[tuple[int, np.ndarray]] = []
    taken = [np.zeros(len(group.rows), bool) for group in rows.groups]
    for g, index in rows.pubs:
        mine = np.zeros(len(taken[g]), bool)
        mine[index] = True
        mine &= ~taken[g]  # whoever asks a row first, sends it
        taken[g] |= mine
        if mine.any():
            shares.append((g, np.flatnonzero(mine)))
    groups = rows.groups
    outputs = evaluate(inner, [(groups[g].circuit, groups[g].terms, groups[g].rows[own])
                             for g, own in shares])  # fmt: skip
    tables = [_table(group) for group in groups]
    for (g, own), (values, covariances) in zip(shares, outputs, strict=True):
        tables[g][0][own], tables[g][1][own] = values, covariances
    return [(tables[g][0][index], tables[g][1][index]) for g, index in rows.pubs]


def _table(group: Group) -> tuple[np.ndarray, np.ndarray]:
    count, width = len(group.rows), len(group.terms)
    return np.zeros((count, width)), np.zeros((count, width, width))


def evaluate(
    inner: BaseEstimatorV2, asked: Sequence[tuple[Any, Sequence[Any], np.ndarray]]
) -> Answers:
    """Means (R, K) and covariances (R, K, K) from one estimator call.

    Args:
        inner: The estimator; one without covariances is taken to be exact.
        asked: Circuits with K observables at parameter values (R, P).
    """
    # observables (K, 1), rows (R,)
    pubs = [(circuit, [[o] for o in observables], values) for circuit, observables, values in asked]
    out: Answers = []
    for (_, observables, values), result in zip(asked, inner.run(pubs).result(), strict=True):
        count, width = len(values), len(observables)
        means = np.asarray(result.data.evs).reshape(width, count).T  # (R, K)
        known = getattr(result.data, "covariances", None)
        if known is None:
            covariances = no_covariances(count, width)
        else:
            # (R, K, K)
            covariances = np.asarray(known).reshape(width, count, width).transpose(1, 0, 2)
        out.append((means, covariances))
    return out


def no_covariances(rows: int, width: int) -> np.ndarray:
    """Covariances of exact values, shape (rows, width, width), read-only and without memory.

    Args:
        rows: R.
        width: K.
    """
    return np.broadcast_to(0.0, (rows, width, width))


def join_rows(batches: Sequence[Rows]) -> Rows:
    """The rows of consecutive batches as one; equal rows of different batches stay apart."""
    first = batches[0]
    starts = [np.zeros(len(first.groups), int)]
    for batch in batches[:-1]:
        # where each batch's rows begin
        starts.append(starts[-1] + [len(group.rows) for group in batch.groups])
    groups = [
        Group(g.circuit, g.terms, np.concatenate([batch.groups[k].rows for batch in batches]))
        for k, g in enumerate(first.groups)
    ]
    pubs = [
        (g, np.concatenate([b.pubs[k][1] + s[g] for b, s in zip(batches, starts, strict=True)]))
        for k, (g, _) in enumerate(first.pubs)
    ]
    return Rows(groups, pubs)
