"""The first screen: verdict, cause and advice, and the same numbers wherever they are shown."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from comparison.comparisons import RETINA, make_comparison, rebuilt

from qvit_qiskit.cli import comparison_tables
from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.evidence import Rung
from qvit_qiskit.comparison.export import as_dict, write_tables
from qvit_qiskit.comparison.page import page
from qvit_qiskit.comparison.summary import plain_text, summaries
from qvit_qiskit.statistics.differences import acc_difference, auc_difference


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return make_comparison(n=60, layers=1, draws=10, shown=1)


def device(comparison: Comparison, **changes: object) -> Comparison:
    """The same with another hardware rung."""
    *rest, hardware = comparison.rungs
    return rebuilt(comparison, rungs=(*rest, replace(hardware, **changes)))


def exactly(comparison: Comparison, scale: float = 1.0) -> dict[str, object]:
    """A device that answers as the exact model does."""
    logits = comparison.exact.logits * scale
    return {"logits": logits, "draws": np.repeat(logits[None], 4, 0)}


def second(comparison: Comparison, logits: np.ndarray) -> Comparison:
    """The same with a further device."""
    hardware = comparison.rungs[-1]
    other: Rung = replace(hardware, name="ibm_fez", logits=logits, draws=None)
    return rebuilt(comparison, rungs=(*comparison.rungs, other), attention={}, shown=())


def test_a_device_without_loss_is_as_good_where_images_suffice() -> None:
    many = make_comparison(n=1500, layers=1, draws=2, shown=0)
    (answer,) = device(many, **exactly(many)).answers
    assert [v.word for v in answer.verdicts] == ["as good", "as good"]
    assert answer.advice.text.startswith("Change nothing")
    assert answer.advice.command == ""


def test_few_images_are_undecided_not_without_difference() -> None:
    few = make_comparison(n=24, layers=1, draws=4, shown=0)
    (answer,) = device(few, **exactly(few)).answers
    assert [v.word for v in answer.verdicts] == ["undecided", "undecided"]
    text = " ".join(plain_text(device(few, **exactly(few)).outcome))
    assert re.search(r"undecided: about [\d,]+ images \(these are 24\)", text)
    assert "no difference" not in text
    (part,) = rebuilt(device(few, **exactly(few)), subset=True).answers
    assert re.match(r"Evaluate more of the split: about [\d,]+ images", part.advice.text)
    assert re.fullmatch(r"qvit estimate JOB.toml --set subset=\d+", part.advice.command)
    (part,) = rebuilt(device(few, **exactly(few)), subset=True, split_images=200).answers
    assert "the whole split has 200" in part.advice.text
    assert "subset" not in part.advice.command


@pytest.mark.parametrize(
    ("changes", "shares", "advice", "command"),
    [
        ({}, (1, 0.1, 0.1), "Ask for 4,096 shots a row instead of 1,024", "shots=4096"),
        ({"resilience_level": 0}, (0.1, 1, 0.1), "Mitigate readout errors", "resilience_level=1"),
        ({"resilience_level": 1, "readout": "gates"}, (0.1, 1, 0.1), "Let the predicted errors",
         "readout=auto"),
        ({"resilience_level": 1, "readout": "auto"}, (0.1, 1, 0.1), "Try another", "backend="),
        ({"resilience_level": 1}, (0.1, 0.1, 1), "Use fewer copies", "k=3"),
    ],
)  # fmt: skip
def test_advice_follows_from_the_largest_part(
    comparison: Comparison, changes, shares, advice, command
) -> None:
    """A device that answers at random is worse; what to do depends on why."""
    random = np.random.default_rng(5).normal(size=comparison.exact.logits.shape)
    hardware = comparison.rungs[-1]
    exact = [[layer.values - d for layer, d in zip(*pair, strict=True)]
             for pair in zip(hardware.layers, hardware.deltas, strict=True)]  # fmt: skip
    shots, reported, rest = np.sqrt(np.array(shares) * 2e-3)
    noise = np.random.default_rng(6)

    def parts(size: float) -> list[list[np.ndarray]]:
        return [[size * noise.choice([-1.0, 1.0], size=v.shape) for v in layer] for layer in exact]

    ours = [parts(size) for size in (shots, reported, rest)]
    sums = [[sum(p) for p in zip(*layer, strict=True)] for layer in zip(*ours, strict=True)]
    beyond = [
        [a + c for a, c in zip(x, z, strict=True)] for x, z in zip(ours[0], ours[2], strict=True)
    ]
    spread = [
        [replace(o, covariances=np.broadcast_to(np.eye(o.values.shape[1]) * shots**2,
                                                o.covariances.shape)) for o in layer]
        for layer in hardware.layers
    ]  # fmt: skip
    moved = device(
        comparison, logits=random, draws=None, deltas=sums, beyond=beyond, layers=spread, **changes
    )
    answer = moved.answers[0]
    assert "worse" in {v.word for v in answer.verdicts}
    biased = [b for b in comparison.biases if b.by == "copy" and b.test]
    assert biased
    assert answer.cause is not None
    assert answer.cause.part == ("shots", "reported", "rest")[int(np.argmax(shares))]
    if "copies" in advice:  # these errors are the same on all copies; the recorded ones are not
        moved = device(comparison, logits=random, draws=None, **changes)
        moved = rebuilt(moved, rungs=(*moved.rungs[:-1], replace(moved.rungs[-1], beyond=[
            [np.array(d) for d in layer] for layer in moved.rungs[-1].deltas])))  # fmt: skip
        answer = moved.answers[0]
    assert answer.advice.text.startswith(advice)
    assert command in answer.advice.command


def test_shares_of_the_cause_are_those_of_the_parts(comparison: Comparison) -> None:
    (answer,) = comparison.answers
    error = next(e for e in comparison.layer_errors if e.rung == answer.rung)
    parts = {"shots": error.parts.shots, "reported": error.parts.reported, "rest": error.parts.rest}
    values = {name: max(0.0, part.value) for name, part in parts.items()}
    most = max(values, key=lambda name: values[name])
    assert answer.cause.part == most
    assert answer.cause.share == pytest.approx(values[most] / sum(values.values()))


def test_several_devices_share_the_level(comparison: Comparison, rng: np.random.Generator) -> None:
    logits = comparison.exact.logits + rng.normal(0, 0.5, comparison.exact.logits.shape)
    both = second(comparison, logits)
    assert [a.rung for a in both.answers] == ["ibm_boston", "ibm_fez"]
    for answer in both.answers:
        (alone,) = [r for r in both.rungs if r.name == answer.rung]
        chances = [np.exp(r.logits) / np.exp(r.logits).sum(1, keepdims=True)
                   for r in (both.exact, alone)]  # fmt: skip
        for verdict, twin in zip(answer.verdicts, (auc_difference, acc_difference), strict=True):
            interval = twin(both.labels, *chances, 0.975).interval
            assert verdict.loss.low == pytest.approx(-interval.high)
            assert verdict.loss.high == pytest.approx(-interval.low)
    between = both.device_differences
    assert [(d.rung, d.than, d.difference.metric) for d in between] == [
        ("ibm_fez", "ibm_boston", "AUC"),
        ("ibm_fez", "ibm_boston", "ACC"),
    ]
    assert between[0].difference.interval.level == 0.95
    text = "\n".join(plain_text(both.outcome))
    assert "97.5 % level" in text
    assert "ibm_fez" in text.split("97.5")[0]


def test_without_devices_every_rung_is_judged() -> None:
    few = make_comparison(30, RETINA, ("exact", "shot noise", "device noise"), 1, draws=6, shown=0)
    assert [a.rung for a in few.answers] == ["shot noise", "device noise"]
    assert few.device_differences == ()
    alone = make_comparison(n=24, kinds=("exact",), layers=1, shown=0)
    assert alone.answers == ()
    assert plain_text(alone.outcome)[0] == alone.title
    assert alone.verdicts().empty


def test_the_same_numbers_everywhere(comparison, tmp_path, capsys, monkeypatch) -> None:
    """JSON, CSV, page, terminal and both representations in notebooks."""
    monkeypatch.setenv("COLUMNS", "200")
    (answer,) = comparison.answers
    found = json.loads(json.dumps(as_dict(comparison)))["verdicts"]
    write_tables(comparison, tmp_path)
    table = pd.read_csv(tmp_path / "verdicts.csv")
    comparison_tables.show(comparison)
    texts = [capsys.readouterr().out, page(comparison), repr(comparison), comparison._repr_html_()]
    for k, verdict in enumerate(answer.verdicts):
        for name, value in zip(("loss", "loss low", "loss high"),
                               (verdict.loss.value, verdict.loss.low, verdict.loss.high),
                               strict=True):  # fmt: skip
            assert found[k][name] == pytest.approx(value, rel=1e-12)
            assert table[name][k] == pytest.approx(value, rel=1e-7)
        assert found[k]["verdict"] == table["verdict"][k] == verdict.describe()
    (shown,) = summaries(comparison.outcome)
    for text in texts:
        plain = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", text)).replace("&#39;", "'")
        assert shown.headline in plain
        for line in shown.lines:
            assert line.text in plain


def test_lines_keep_words_and_paths_whole(comparison, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    comparison_tables.show(comparison)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    words = set(" ".join(plain_text(comparison.outcome)).split())
    assert words <= set(" ".join(lines).split())


def test_parts_and_layers_are_named() -> None:
    two = make_comparison(n=30, layers=2, draws=4, shown=0)
    (answer,) = two.answers
    most = two.largest_shares[answer.rung].part
    assert f"of quantum layer {most.removeprefix('layer ')}" in answer.cause.text


def test_rare_shapes_do_not_break_the_answer(comparison: Comparison) -> None:
    one_class = rebuilt(comparison, labels=np.zeros_like(comparison.labels))
    (answer,) = one_class.answers
    assert answer.auc.word == "undecided"
    assert "do not determine it" in " ".join(plain_text(one_class.outcome))
    still = device(comparison, deltas=None, beyond=None)
    assert still.answers[0].cause is None
