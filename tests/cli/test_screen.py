"""What a person sees, without a terminal: tables of a width, spinners, lines beside them."""

from __future__ import annotations

import re
import sys

import pytest

from qvit_qiskit.cli import screen
from qvit_qiskit.pages.table import Entry, Table

INTERVALS = ("[0.444, 0.805]", "[0.446, 0.737]", "[0.871, 0.996]")


def rung(name: str) -> tuple[Entry, ...]:
    return (Entry(name), *(Entry("0.645", interval) for interval in INTERVALS))


@pytest.mark.parametrize(
    ("name", "whole"), [("device noise of fake_torino", True), ("a" * 34, False)]
)
def test_names_of_several_words_make_room_for_intervals(
    name: str, whole: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    heads = ("rung", "AUC", "ACC", "agrees with exact")
    screen.report_table(Table("Scores", heads, (rung("exact"), rung(name))))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert all((interval in said) == whole for interval in INTERVALS)
    assert all(word in said for word in name.split())


@pytest.mark.parametrize("terminal", [True, False])
def test_lines_beside_a_spinner(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed stays on standard output, wherever the spinner turns."""
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    with screen.watching("watching") as show:
        show("one")
        show("two")
    said = capsys.readouterr()
    assert said.out == "one\ntwo\n"
    assert ("watching" in said.err) == terminal


def test_a_module_that_is_there_is_not_waited_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delitem(sys.modules, "this", raising=False)
    screen.load("this")
    assert "loading" in capsys.readouterr().err
    screen.load("this")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("total", [None, 8])
def test_no_time_is_left_where_nobody_knows(
    total: int | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with screen.images("images", total) as tick:  # type: ignore[arg-type]
        tick(1)
    last = re.split("\r", capsys.readouterr().err)[-1]
    assert (" left" in last) == (total is not None)
