"""Tables: every value with its interval, and tests that reject as often as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from qvit_qiskit import metrics
from qvit_qiskit.comparison.builder import build
from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.evidence import AnchorSeries, Attribution, Evidence, Executions, Rung
from qvit_qiskit.comparison.export import as_dict
from qvit_qiskit.comparison.findings.bias import (
    Errors,
    Means,
    anchor_drift,
    errors_of,
    same_bias,
    zero_bias,
)
from qvit_qiskit.comparison.findings.scores import divergence
from qvit_qiskit.comparison.rungs import Ladder, shots_estimator
from qvit_qiskit.models import ViTConfig, build_model

SHOTS, IMAGES = 200, 12


@pytest.fixture(scope="module")
def ladder() -> Ladder:
    model = build_model(ViTConfig(patch_size=14, width=4, heads=2), seed=0)
    images = torch.randn(IMAGES, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return Ladder(model, images, draws=5)


def measured(ladder: Ladder, seed: int) -> Rung:
    return ladder.simulated(
        "shots", "shot noise", "simulator", shots_estimator(SHOTS, seed), SHOTS, 1
    )


@pytest.fixture(scope="module")
def comparison(ladder: Ladder) -> Comparison:
    """Exact, shots, and a forged device with copies, jobs, bias and repeated rows."""
    exact, shots = ladder.exact_rung(), measured(ladder, 0)
    assert shots.deltas is not None
    assert shots.executions is not None
    rng = np.random.default_rng(0)
    rows = shots.executions[0].rows
    count = len(rows.groups[0].rows)
    copies, jobs = rng.integers(3, size=count), np.arange(count) % 2
    qubits = 10 * copies[:, None] + np.arange(2)
    shift = np.array([0.05, 0.0])
    layers = [[replace(o, values=o.values + shift) for o in shots.layers[0]]]
    device = replace(
        shots,
        name="device",
        kind="hardware",
        layers=layers,
        deltas=[[d + shift for d in shots.deltas[0]]],
        beyond=shots.deltas,
        logits=shots.logits * 0.7 + 0.05,
        executions=[Executions(rows, [qubits], [copies], [jobs], ("noon", "later"))],
        qpu_seconds=3.0,
        dollars=4.8,
        cost_basis="billed",
    )
    total = device.logits - exact.logits
    found = Attribution(exact.logits, (0.8 * total)[None], total)
    values = rng.normal(0, 0.1, (3, 4, 2))
    anchors = AnchorSeries(values, np.tile(0.01 * np.eye(2), (3, 4, 1, 1)), np.zeros((4, 2)))
    evidence = Evidence(
        title="forged",
        facts={},
        images=ladder.images.numpy(),
        labels=np.arange(IMAGES) % 2,
        class_names=("a", "b"),
        rungs=(exact, shots, device),
        attribution=found,
        attributions={"device": found},
        anchors=(anchors,),
    )
    return build(evidence)


def test_every_value_has_its_interval(comparison: Comparison) -> None:
    frames = {
        "table": comparison.table(),
        "differences": comparison.differences(),
        "layers": comparison.layers(),
        "shares": comparison.shares(),
        "bias": comparison.bias(),
        "drift": comparison.drift(),
    }
    for name, frame in frames.items():
        assert len(frame), name
        limits = [c.removesuffix(" low") for c in frame.columns if c.endswith(" low")]
        assert limits, name
        for column in limits:
            low, high = frame[f"{column} low"], frame[f"{column} high"]
            assert (low.isna() == high.isna()).all()
            assert (low.isna() | (low <= high)).all()
            if column in frame:  # "… over shots" has limits alone
                value = frame[column]
                assert (value.isna() == low.isna()).all()
                assert (value.isna() | ((low <= value) & (value <= high))).all(), column
        numbers = set(frame.select_dtypes("float").columns)
        plain = {"p", "shots", "mean shots", "QPU seconds", "USD"}
        told = {c for c in numbers if not c.endswith((" low", " high"))}
        assert told <= set(limits) | plain


def test_one_line_for_each_rung(comparison: Comparison) -> None:
    table = comparison.table().set_index("rung")
    exact, device = (comparison.rungs[k] for k in (0, 2))
    chances = [metrics.softmax(r.logits) for r in comparison.rungs]
    assert table.loc["device", "AUC"] == pytest.approx(metrics.auc(comparison.labels, chances[2]))
    assert table.loc["exact", "ACC"] == metrics.accuracy(comparison.labels, chances[0])
    same = (chances[0][:, 1] > 0.5) == (chances[2][:, 1] > 0.5)
    assert table.loc["device", "agreement"] == pytest.approx(same.mean())
    expected = stats.entropy(chances[0], chances[2], axis=1).mean()
    assert table.loc["device", "KL"] == pytest.approx(expected)
    assert device.deltas is not None
    squares = np.concatenate([d.ravel() for d in device.deltas[0]]) ** 2
    assert table.loc["device", "output error"] == pytest.approx(np.sqrt(squares.mean()))
    assert table.loc[exact.name, ["agreement", "KL", "output error"]].isna().all()
    assert table.loc["exact", "intervals over"] == "test images"
    assert table.loc["device", "intervals over"] == "test images and shots"
    assert table.loc["device", "cost basis"] == "billed"
    assert (table.loc["device", "QPU seconds"], table.loc["device", "USD"]) == (3.0, 4.8)
    limits = table.loc["device", ["AUC over shots low", "AUC over shots high"]]
    assert limits.notna().all()
    differences = comparison.differences()
    assert list(differences["metric"]) == ["AUC", "ACC"] * 2
    plain = table[["AUC", "ACC"]]
    change = (plain.iloc[1:] - plain.iloc[0]).to_numpy().ravel()
    np.testing.assert_allclose(differences["difference"], change, atol=1e-12)


def test_json_holds_all_of_it(comparison: Comparison) -> None:
    found = as_dict(comparison)
    assert [rung["rung"] for rung in found["rungs"]] == ["exact", "shots", "device"]
    assert found["rungs"][0]["KL"] is None
    for key in ("differences", "layers", "attribution", "bias", "drift", "tests"):
        assert found[key], key


def test_what_an_error_is_made_of(comparison: Comparison) -> None:
    """The parts add up, and find the shift that was put in."""
    layers = comparison.layers().set_index("rung")
    parts = [f"square from {part}" for part in ("shots", "reported errors", "the rest")]
    line = layers.loc["device"]
    assert sum(line[part] for part in parts) == pytest.approx(line["output error"] ** 2)
    assert line["square from reported errors"] == pytest.approx(0.05**2 / 2, rel=0.3)
    assert line["square from the rest low"] < 0 < line["square from the rest high"]
    assert line["square from shots"] == pytest.approx(1 / SHOTS, rel=0.5)


def test_biases_by_output_qubit_and_copy(comparison: Comparison) -> None:
    bias = comparison.bias().set_index(["rung", "by", "number"]).sort_index()
    assert bias.loc[("device", "output", 0), "bias"] == pytest.approx(0.05, abs=0.02)
    assert bias.loc[("device", "output", 1), "bias low"] < 0
    assert sorted(bias.loc[("device", "qubit")].index) == [0, 1, 10, 11, 20, 21]
    assert sorted(bias.loc[("device", "copy")].index) == [0, 1, 2]
    assert ("shots", "copy") not in bias.index
    values = bias.loc[("device", "qubit"), "values"]
    assert values.sum() == 2 * bias.loc[("device", "output", 0), "values"]
    tests = comparison.tests().set_index(["rung", "hypothesis"])
    assert tests.loc[("device", "no bias of any output"), "p"] < 1e-6
    assert tests.loc[("shots", "no bias of any output"), "p"] > 1e-3
    assert list(comparison.drift()["from"].unique()) == ["different rows", "repeated rows"]
    assert list(comparison.drift()["time"][:2]) == ["noon", "later"]


def test_an_empty_comparison_has_empty_frames(comparison: Comparison) -> None:
    alone = build(
        replace(
            comparison, rungs=comparison.rungs[:1], attribution=None, attributions={}, anchors=()
        )
    )
    assert len(alone.table()) == 1
    for frame in (alone.differences(), alone.layers(), alone.shares(), alone.bias(),
                  alone.drift(), alone.tests()):  # fmt: skip
        assert isinstance(frame, pd.DataFrame)
        assert len(frame) == 0


def uniform(p_values: list[float]) -> None:
    """Not too far from uniform, for what is true by construction."""
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3


def test_shots_alone_are_no_bias(ladder: Ladder) -> None:
    found: list[Means] = []
    quiet = Ladder(ladder.model, ladder.images, draws=0)
    for seed in range(60):
        found.append(zero_bias(errors_of(measured(quiet, seed), 0), "output"))
    uniform([means.p for means in found])
    z = np.concatenate([means.means / means.errors for means in found])
    assert z.std() == pytest.approx(1.0, abs=0.25)


def forged(rng: np.random.Generator, rows: int = 90, spread: float = 0.05) -> Errors:
    exact = rng.uniform(-1, 1, (rows, 2))
    deltas = -0.2 * exact + spread * rng.normal(size=(rows, 2))
    tags = rng.integers(5, size=rows)
    covariances = np.tile(spread**2 * np.eye(2), (rows, 1, 1))
    return Errors(deltas, exact, covariances, None, tags, tags)


def test_copies_that_are_alike(rng: np.random.Generator) -> None:
    uniform([same_bias([forged(rng)], "copy").p for _ in range(200)])
    odd = forged(rng)
    assert odd.copies is not None
    odd.deltas[odd.copies == 3] += 0.1
    found = same_bias([odd], "copy")
    assert found.p < 1e-6
    assert int(np.argmax(found.means)) == 3


def test_repeated_rows_without_drift(rng: np.random.Generator) -> None:
    roots = 0.05 * rng.normal(size=(6, 2, 2))
    covariances = np.tile(roots @ roots.transpose(0, 2, 1), (7, 1, 1, 1))
    exact = rng.uniform(-1, 1, (6, 2))

    def anchors(drift: float, calibrated: bool = False) -> AnchorSeries:
        noise = np.einsum("akl,jal->jak", roots, rng.normal(size=(7, 6, 2)))
        moved = drift * np.linspace(0, 1, 7)[:, None, None] * np.array([1.0, -1.0])
        return AnchorSeries(0.9 * exact + noise + moved, covariances, exact, (), calibrated)

    uniform([anchor_drift(anchors(0.0)).p for _ in range(200)])
    assert anchor_drift(anchors(0.3)).p < 1e-4  # opposite changes do not cancel
    cautious = [anchor_drift(anchors(0.0, calibrated=True)).p for _ in range(200)]
    assert np.mean(np.array(cautious) < 0.05) <= 0.05
    one = anchors(0.0)
    single = AnchorSeries(one.values[:1], one.covariances[:1], exact)
    assert anchor_drift(single).freedom == 0


def test_divergence_of_equal_and_of_certain_answers() -> None:
    even = np.full((1, 2), 0.5)
    assert divergence(even, even)[0] == 0
    certain = np.array([[1.0, 0.0]])
    assert divergence(certain, even)[0] == pytest.approx(np.log(2))
    assert np.isfinite(divergence(even, certain)[0])


def test_scores_of_the_exact_rung_have_no_distance(comparison: Comparison) -> None:
    first = comparison.scores[0]
    assert first.kl is first.error is first.agreement is first.auc_difference is None
