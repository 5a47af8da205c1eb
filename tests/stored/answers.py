"""What stored folders say, by public interfaces: it is written down once, and compared ever after.

`fixtures/make_stored.py` calls these functions with the code that stored a folder, the tests call
them with the code at hand.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from service.handle import Service, start_service

from qvit_qiskit import load, load_checkpoint
from qvit_qiskit.cli import run
from qvit_qiskit.data import stratified_subset
from qvit_qiskit.runs import read_results
from qvit_qiskit.study import make_plan, run_study

STORED = Path(__file__).resolve().parent.parent / "fixtures" / "stored"
TOLERANCE = 1e-6


def qvit(*line: object) -> str:
    """What a command that must succeed prints."""
    said = io.StringIO()
    with redirect_stdout(said):
        code = run([str(word) for word in line])
    assert code == 0, (line, code, said.getvalue())
    return said.getvalue()


def as_json(*line: object) -> dict[str, Any]:
    """What a command that must succeed prints as JSON."""
    return json.loads(qvit(*line, "--json"))


def plain(array: Any) -> list[Any]:
    """An array as nested lists; nine decimals are more than any test asks for."""
    found = np.asarray(array)
    return (found.astype(float).round(9) if found.dtype.kind == "f" else found).tolist()


# --- what is read -----------------------------------------------------------------------------


def run_answers(folder: Path) -> dict[str, Any]:
    """A finished run: its state, its logits, and what every quantum layer measured."""
    found = read_results(folder)
    state = as_json("status", folder)
    del state["run"]
    return {
        "status": state,
        "logits": plain(found.logits),
        "labels": plain(found.labels),
        "layers": [
            [
                {"values": plain(o.values), "stds": plain(o.stds), "copies": plain(o.copies)}
                for o in layer
            ]
            for layer in found.layers
        ],
        "controls": [
            [{"packed": plain(c.packed), "alone": plain(c.alone)} for c in layer]
            for layer in found.controls
        ],
        "anchors": [
            [
                {
                    "jobs": list(a.jobs),
                    "times": [moment.isoformat() for moment in a.times],
                    "values": plain(a.values),
                    "drift": plain(a.drift()),
                }
                for a in layer
            ]
            for layer in found.anchors
        ],
    }


def comparison_answers(folder: Path) -> dict[str, Any]:
    """The numbers of a comparison, and the names of its rungs; no other words.

    Rungs that are corrected by anchors are younger than the stored answers.
    """
    found = as_json("compare", folder, "--draws", 4)
    for words in ("title", "facts", "classes"):
        del found[words]
    for younger in ("tolerance", "verdicts", "between devices"):
        del found[younger]
    for part, lines in found.items():
        if isinstance(lines, list):
            found[part] = [
                {k: v for k, v in line.items() if k == "rung" or not isinstance(v, str)}
                for line in lines
                if not str(line.get("rung", "")).endswith(", corrected")
            ]
    return found


def training_answers(folder: Path) -> dict[str, Any]:
    """A training's last word after `qvit train --resume`: its weights and its history."""
    told = as_json("train", "--resume", folder)
    history = json.loads((folder / "history.json").read_text())
    return {
        "epochs": told["epochs"],
        "best epoch": told["best epoch"],
        "losses": plain([epoch["loss"] for epoch in history]),
        "val AUC": plain([epoch["val_auc"] for epoch in history]),
        "weights": weights(folder),
    }


def weights(checkpoint: Path) -> dict[str, Any]:
    """Every tensor of a checkpoint's model."""
    state = load_checkpoint(checkpoint).model.state_dict()
    return {name: plain(tensor) for name, tensor in state.items()}


def checkpoint_answers(path: Path) -> dict[str, Any]:
    """A checkpoint's kind of model, size, epoch, and its logits for four images."""
    found = load_checkpoint(path)
    images, _ = stratified_subset(load("phantom").test, 4, 0).tensors()
    with torch.no_grad():
        logits = found.model(images)
    return {
        "model": found.model.config.name,
        "parameters": sum(p.numel() for p in found.model.parameters()),
        "epoch": found.provenance["epoch"],
        "logits": plain(logits),
    }


def study_answers(spec: Path, folder: Path) -> dict[str, Any]:
    """A study after its last cell: what this call found and did, its scores, its tables."""
    summary = run_study(make_plan(spec), folder)
    told = as_json("study", spec, "--out", folder)
    qvit("study", spec, "--out", folder, "--tables", "tables")
    return {
        "found": summary.found,
        "done": summary.done,
        "configuration": told["configuration"],
        "cells": told["cells"],
        "scores": told["scores"],
        "tables": {path.stem: _table(path) for path in sorted(Path("tables").glob("*.csv"))},
    }


def _table(path: Path) -> list[dict[str, Any]]:
    """The lines of a table, without times: these are another machine's."""
    frame = pd.read_csv(path)
    lines = json.loads(frame.to_json(orient="records", double_precision=9))
    return [{k: v for k, v in line.items() if "seconds" not in k} for line in lines]


# --- runs that were killed --------------------------------------------------------------------


@contextmanager
def restarted(store: Path) -> Iterator[Service]:
    """The service of a store, and the environment pointing at it.

    Its batches are made new first: a service closes batches that are old.
    """
    for path in (store / "sessions").glob("*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"created": time.time()}))
    before = dict(os.environ)
    with start_service(store, devices="fake_guadalupe", restless=True) as service:
        os.environ |= service.environment
        try:
            yield service
        finally:
            os.environ.clear()
            os.environ |= before


def killed_answers(folder: Path, service: Service, *options: str) -> dict[str, Any]:
    """A killed run after `qvit resume`, and what of it the service has executed."""
    qvit("resume", folder, "--wait", "--patience", 20, *options)
    found = run_answers(folder)
    for layer in found["anchors"]:
        for circuit in layer:
            del circuit["times"]  # of this day
    tags = {event["tag"] for event in events(folder, "intent")}
    jobs = [job["id"] for job in service.jobs() if tags & set(job["tags"])]
    done = [job for job in service.executed() if job["id"] in jobs]
    return found | {
        "jobs": len(jobs),
        "executed": [job["times"] for job in done],
        "programs": len({job["program"] for job in done}),
    }


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Events of a kind in a run's journal."""
    lines = (folder / "journal.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


# --- comparing --------------------------------------------------------------------------------


def check(found: Any, expected: Any, tolerance: float = TOLERANCE) -> None:
    """Everything that is expected is there; counts and words are equal, numbers nearly so.

    Raises:
        AssertionError: If something differs; it says where.
    """
    for place, one, other in _pairs(found, expected, ""):
        if isinstance(other, float) and isinstance(one, int | float):
            assert one == pytest.approx(other, rel=tolerance, abs=tolerance), place
        else:
            assert one == other, place


def _pairs(found: Any, expected: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """Every expected value with the one that was found in its place."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), where
        assert expected.keys() <= found.keys(), where
        inside: Iterable[tuple[Any, Any]] = expected.items()
    elif isinstance(expected, list):
        assert isinstance(found, list), where
        assert len(found) == len(expected), where
        inside = enumerate(expected)
    else:
        yield where, found, expected
        return
    for key, value in inside:
        yield from _pairs(found[key], value, f"{where}/{key}")
