"""Objects show themselves in a few lines of a shell and in one small table of a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from qvit_qiskit.card import Card, Facts, html_card, text_card
from qvit_qiskit.devices.prices import Mitigation, Procedure, Timing, estimate
from qvit_qiskit.metrics import Scores
from qvit_qiskit.runs import Status
from qvit_qiskit.runs.evaluation import Evaluation

SCORES = Scores(auc=0.8512, acc=0.75, n=156)
STATUS = Status(
    run=Path("runs/hello-hardware-20261128-160000"),
    state="finished",
    device="ibm_torino",
    stage=2,
    stages=2,
    jobs_done=1,
    jobs=1,
    executions=12_345,
    spent_seconds=31.5,
    budget_seconds=60.0,
    billed_seconds=20.0,
    estimated_seconds=11.5,
    reserved_seconds=18.0,
    scores=SCORES,
)
PRICE = estimate(
    [9600], 1024, Procedure(Timing("fake_fez", 250e-6, 4e-6), Mitigation(0), copies=20)
)
CARDS = [
    SCORES,
    STATUS,
    PRICE,
    Evaluation("aer-boston", np.zeros((156, 2)), np.zeros(156, int), SCORES, 1.5),
]


class Cells(HTMLParser):
    """The text of every cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_shell_and_notebook_say_the_same() -> None:
    for one in CARDS:
        title, facts = one.card()
        lines = repr(one).splitlines()
        assert lines[0] == title
        assert len(lines) <= 16
        assert max(map(len, lines)) <= 80
        words = " ".join(repr(one).split())
        assert all(" ".join(f"{name} {value}".split()) in words for name, value in facts.items())
        told = [text for name, value in facts.items() for text in (name, str(value))]
        assert Cells(one._repr_html_()).texts == [title, *told]


def test_the_numbers_are_the_object_s() -> None:
    assert "0.851" in repr(SCORES)
    assert "20.0 billed, 11.5 estimated" in " ".join(repr(STATUS).split())
    assert f"{PRICE.executions:,}" in repr(PRICE)
    assert "qvit compare runs/hello-hardware-20261128-160000 --out report" in repr(STATUS)


def test_strangers_names_are_text() -> None:
    html = html_card("<b>", {"<script>": "&<i>"})
    assert "<script>" not in html
    assert Cells(html).texts == ["<b>", "<script>", "&<i>"]


def test_long_words_stay_whole() -> None:
    path = "/".join(["folder"] * 20)
    assert path in text_card("Run", {"run": path})
    assert text_card("Nothing", {}) == "Nothing"


def test_a_new_card_says_its_own() -> None:
    @dataclass(frozen=True, repr=False)
    class Mine(Card):
        def card(self) -> tuple[str, Facts]:
            return "Mine", {"value": 1}

    assert repr(Mine()) == "Mine\n  value  1"
