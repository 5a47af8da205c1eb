"""Events are typed; their lines are what they were, and those of earlier versions are read."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.attempts import Attempts
from qvit_qiskit.hardware.events import (
    KINDS,
    Abandonment,
    ChunkEvent,
    Compilation,
    Creation,
    Doubt,
    End,
    Event,
    Failure,
    Finish,
    Intent,
    JobBill,
    Loss,
    Release,
    Submission,
    Surplus,
    Unknown,
    Workload,
    read_line,
)
from qvit_qiskit.hardware.journal import Journal, digest
from qvit_qiskit.hardware.run_reader import RunReader
from qvit_qiskit.hardware.stages.stage import Chunk

STORED = Path(__file__).parent.parent / "fixtures" / "stored"
RUNS = [STORED / "finished" / "run", STORED / "killed" / "unsent", STORED / "killed" / "unanswered"]

WRITTEN: list[tuple[Event, dict[str, Any]]] = [
    (Creation(format=1, identity="a"), {"event": "created", "format": 1, "identity": "a"}),
    (
        Intent(chunk="000-0", tag="t", content="c", key="k", seconds=2.0, executions=3,
               max_seconds=4),
        {"event": "intent", "chunk": "000-0", "tag": "t", "content": "c", "key": "k",
         "seconds": 2.0, "workload": None, "executions": 3, "max_seconds": 4},
    ),
    (Release(chunk="000-0"), {"event": "released", "chunk": "000-0"}),
    (Release(chunk="0", tag="t"), {"event": "released", "chunk": "0", "tag": "t"}),
    (
        Failure(chunk="0", tag="t", job="j", reason="r", way="cancelled", cut=True),
        {"event": "failed", "chunk": "0", "tag": "t", "job": "j", "reason": "r",
         "state": "cancelled", "cut": True},
    ),
    (
        Failure(chunk="0", tag="t", job="j", reason="r", remedy="never"),
        {"event": "failed", "chunk": "0", "tag": "t", "job": "j", "reason": "r",
         "state": "failed", "cut": False, "remedy": "never"},
    ),
    (
        Workload(workload="w", max_seconds=None, opening="o"),
        {"event": "workload", "workload": "w", "max_seconds": None, "opening": "o"},
    ),
    (JobBill(tag="t", job="j", seconds=1.5), {"event": "billed", "tag": "t", "job": "j",
                                             "seconds": 1.5}),
    (
        JobBill(tag="t", job="j", seconds=1.5, began="2026"),
        {"event": "billed", "tag": "t", "job": "j", "seconds": 1.5, "began": "2026"},
    ),
]  # fmt: skip
"""Events, and their lines without time and checksum, in the order of the keys."""


@pytest.mark.parametrize(("event", "line"), WRITTEN, ids=lambda x: getattr(x, "kind", ""))
def test_lines_are_what_they_were(event: Event, line: dict[str, Any], tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "run")
    written = journal.append(event)
    stored = json.loads(journal.path.read_text().splitlines()[-1])
    del stored["check"]
    assert list(stored)[1] == "time"
    assert stored.pop("time") == written.time
    assert list(stored.items()) == list(line.items())
    assert Journal.open(tmp_path / "run").events[-1] == written


@pytest.mark.parametrize("run", RUNS, ids=lambda path: path.name)
def test_lines_of_earlier_versions_say_what_they_said(run: Path) -> None:
    """Every value is in its event, and what came later has the value that it had then."""
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    events = Journal.open(run).events
    assert len(events) == len(lines)
    for line, event in zip(lines, events, strict=True):
        del line["check"]
        assert type(event) is KINDS[line["event"]]
        again = event.line()
        assert {key: again[key] for key in line} == line
        later = {one.name: one.default for one in fields(event)}
        assert all(value == later[key] for key, value in again.items() if key not in line)


def test_kinds_have_names_of_their_own() -> None:
    classes = [kind for kind in _below(Event) if kind.kind]
    assert {kind.kind: kind for kind in classes} == KINDS
    assert len(classes) == len(KINDS)


def _below(kind: type[Event]) -> list[type[Event]]:
    found = kind.__subclasses__()
    return found + [each for one in found for each in _below(one)]


def test_what_a_line_must_have() -> None:
    whole = {"event": "billed", "time": "t", "tag": "a", "job": "j", "seconds": 1.0}
    assert read_line({**whole, "later": 5}) == read_line(whole)
    assert type(read_line({"event": "of a later version", "time": "t", "x": 1})) is Unknown
    needed = [one.name for one in fields(JobBill) if one.default is MISSING]
    assert needed == ["tag", "job", "seconds"]
    for name in needed:
        with pytest.raises(KeyError):
            read_line({key: value for key, value in whole.items() if key != name})


def test_a_line_that_lacks_something_is_damaged(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "run")
    line = {"event": "billed", "time": "t", "tag": "a"}
    check = journal._checksum(line)  # noqa: SLF001 - a whole line that nothing public writes
    with journal.path.open("a") as stream:
        stream.write(json.dumps(line | {"check": check}) + "\n")
    with pytest.raises(JobError, match=r"Line 2 of .* is damaged"):
        Journal.open(tmp_path / "run")


def test_attempts_are_what_reading_everything_again_says(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Whatever happens to some chunks, and whenever somebody asks."""
    journal = Journal.create(tmp_path / "run")
    attempts, reader = Attempts(journal), RunReader(journal)
    chunks = [Chunk(f"000-{k}", (), 1, 2.0) for k in range(4)]
    for step in range(120):
        chunk = chunks[rng.integers(len(chunks))]
        facts = {"chunk": chunk.name, "tag": f"tag{rng.integers(3)}", "job": f"job{step}"}
        journal.append(_anything(rng, facts))
        if rng.random() < 0.5:
            continue
        for one in chunks:
            assert attempts.state(one) == _state(journal.events, one.name)
            assert attempts.tag(one) == _tag(journal, one.name)
            for kind in (Submission, Finish, Loss):
                assert attempts.find(one.name, kind) == _last(journal.events, one.name, kind)
        states = [_state(journal.events, one.name) for one in chunks]
        assert reader.jobs_out == sum(s in ("sent", "uncertain", "unanswered") for s in states)
    assert RunReader.open(tmp_path / "run").state == reader.state
    assert RunReader.open(tmp_path / "run").executions == reader.executions


def _anything(rng: np.random.Generator, facts: dict[str, str]) -> Event:
    bare = {key: facts[key] for key in ("chunk", "tag")}
    some: list[Event] = [
        Intent(**bare, key="k", seconds=1.0, executions=5, max_seconds=2),
        Submission(**facts),
        Release(**bare),
        Doubt(**bare),
        Abandonment(**bare),
        Failure(**facts, reason="r"),
        Loss(**facts, reason="r"),
        Finish(**facts, file="f", sha256="s"),
        Surplus(tag=facts["tag"], job=facts["job"]),
        JobBill(tag=facts["tag"], job=facts["job"], seconds=1.0),
    ]
    return some[rng.integers(len(some))]


def _state(events: list[Event], chunk: str) -> str:
    states = [e.state for e in events if isinstance(e, ChunkEvent) and e.chunk == chunk]
    return ["new", *states][-1]


def _tag(journal: Journal, chunk: str) -> str:
    ended: dict[str, set[str]] = defaultdict(set)
    for event in journal.events:
        if isinstance(event, End):
            ended[event.chunk].add(event.tag)
    text = f"{journal.identity} {chunk} {len(ended[chunk])}"
    return f"qvit-{digest(text.encode())[:32]}"


def _last(events: list[Event], chunk: str, kind: type[ChunkEvent]) -> Event | None:
    those = [e for e in events if isinstance(e, kind) and e.chunk == chunk]
    return [None, *those][-1]


def test_a_chunk_s_last_event_is_found_without_reading_all(tmp_path: Path) -> None:
    """Each event is looked at once, however many chunks ask."""

    class Counted(list[Event]):
        looks = 0

        def __getitem__(self, key: Any) -> Any:
            found = super().__getitem__(key)
            Counted.looks += len(found) if isinstance(key, slice) else 1
            return found

        def __iter__(self) -> Any:
            Counted.looks += len(self)
            return super().__iter__()

    journal = Journal.create(tmp_path / "run")
    journal.events = Counted(journal.events)
    attempts = Attempts(journal)
    chunks = [Chunk(f"000-{k}", (), 1, 2.0) for k in range(50)]
    for chunk in chunks:
        facts = {"chunk": chunk.name, "tag": attempts.tag(chunk)}
        journal.append(Intent(**facts, key="k", seconds=1.0, executions=5))
        journal.append(Submission(**facts, job="j"))
        assert attempts.state(chunk) == "sent"
        assert attempts.last(chunk, Submission).tag == facts["tag"]
    assert Counted.looks == len(journal.events)


def test_a_stage_compiled_again_keeps_both_compilations(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "run")
    facts: dict[str, Any] = {
        "stage": 0, "device": "d", "isa": "i", "seats": "s", "programs": [], "controls": [],
        "timing": {}, "shots": 1, "level": 0, "twirl_gates": False,
        "chunks": [{"name": "000-0", "seconds": 2.0}], "calibration": {"sha256": "c"},
    }  # fmt: skip
    reader = RunReader(journal)
    assert not reader.stage(0).compiled
    journal.append(Compilation(**facts))
    journal.append(Compilation(**facts, place="stages/000/again1"))
    assert reader.stage(0).compilations == 2
    assert reader.stage(0).compilation.place == "stages/000/again1"
    assert not reader.stage(0).finished
    journal.append(Finish(chunk="000-0", tag="t", job="j", file="f", sha256="s"))
    assert reader.stage(0).finished
    assert reader.stage(0).jobs_done == 1
