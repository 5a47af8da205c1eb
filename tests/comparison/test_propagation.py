"""Redrawn shots: their variance, who shares them, and what fresh shots would give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from qiskit.quantum_info import SparsePauliOp

from qvit_qiskit import load, submit
from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.comparison.attribution import residuals
from qvit_qiskit.comparison.evidence import Executions
from qvit_qiskit.comparison.findings.bias import errors_of, zero_bias
from qvit_qiskit.comparison.propagation import PooledNoise, ShotNoise, redraw
from qvit_qiskit.comparison.run_record import read_recorded
from qvit_qiskit.comparison.rungs import Ladder, shots_estimator
from qvit_qiskit.data import stratified_subset
from qvit_qiskit.execution import registry
from qvit_qiskit.hardware.stages.stage import Group, Rows
from qvit_qiskit.hardware.values.floors import observable_ranges, saturated_variance, with_floor
from qvit_qiskit.hardware.values.outputs import Outputs
from qvit_qiskit.inference.passes import run_pass
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import Quiet

SHOTS, DRAWS = 100, 150


@given(shots=st.integers(1, 100_000), ones=st.integers(0, 100_000))
def test_only_saturated_outputs_are_raised(shots: int, ones: int) -> None:
    """±1 outcomes: the rule of succession where all agree, the sample's variance elsewhere."""
    ones = min(ones, shots)
    sample = 4 * ones * (shots - ones) / shots**3
    floor = saturated_variance(np.array([2.0]), shots)
    found = with_floor(np.full((1, 1, 1), sample), floor)[0, 0, 0]
    p = 1 / (shots + 2)
    assert found == pytest.approx(4 * p * (1 - p) / shots if ones in (0, shots) else sample)
    assert found > 0


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"IZ": 1.0}, 2.0),
        ({"IZ": -0.5}, 1.0),
        ({"II": 3.0}, 0.0),
        ({"II": 0.25, "IZ": 0.25, "ZI": 0.25, "ZZ": 0.25}, 1.0),  # a projector
        ({"IZ": 0.7, "ZI": 0.2}, 1.8),
        ({"IZ": 1.0, "IX": 0.5}, 3.0),  # two bases, measured apart
    ],
)
def test_ranges_of_observables(terms: dict[str, float], expected: float) -> None:
    circuit = build_circuit("ry-chain", 2, 1).canonical
    found = observable_ranges(Group(circuit, [{"ZZ": 1.0}, terms], np.zeros((1, 8))))
    np.testing.assert_allclose(found, [2.0, expected])
    if "IX" not in terms:
        values = np.linalg.eigvalsh(SparsePauliOp.from_list(list(terms.items())).to_matrix())
        assert np.ptp(values) == pytest.approx(expected)


def test_draws_have_the_recorded_covariance(rng: np.random.Generator) -> None:
    circuit = build_circuit("ry-chain", 2, 1).canonical
    terms = [{"IZ": 1.0}, {"ZI": 1.0}]
    rows = Rows(
        [Group(circuit, terms, rng.normal(size=(3, 8)))],
        [(0, np.array([0, 1, 0])), (0, np.array([2, 1]))],
    )
    roots = rng.normal(size=(3, 2, 2)) * 0.1
    covariances = roots @ roots.transpose(0, 2, 1)
    covariances[1] = 0.0  # saturated
    layer = [
        Outputs(rows.groups[0].rows[i], np.zeros((len(i), 2)), covariances[i], i)
        for _, i in rows.pubs
    ]
    noise = ShotNoise.of(Executions(rows), layer, SHOTS)
    drawn = [noise.draw(rng) for _ in range(20_000)]
    first, second = (np.stack([d[k] for d in drawn]) for k in (0, 1))
    np.testing.assert_array_equal(first[:, 0], first[:, 2])  # one executed row
    np.testing.assert_array_equal(first[:, 1], second[:, 1])  # of two projections
    floor = saturated_variance(np.full(2, 2.0), SHOTS)
    expected = covariances + np.array([0, 1, 0])[:, None, None] * np.diag(floor)
    for values, row in ((first[:, 0], 0), (first[:, 1], 1), (second[:, 0], 2)):
        size = np.sqrt(np.outer(np.diag(expected[row]), np.diag(expected[row])))
        np.testing.assert_allclose(np.cov(values.T), expected[row], atol=0.05 * size.max())
        assert np.abs(values.mean(axis=0)).max() < 5 * np.sqrt(size.max() / len(values))


@pytest.mark.parametrize("depth", [1, 2])
def test_fresh_shots_spread_the_logits_as_much(depth: int, rng: np.random.Generator) -> None:
    """The slow twin: the whole evaluation again and again with other shots."""
    config = ViTConfig(
        patch_size=14, depth=depth, width=4, heads=1, stem="patch", position="learned", pool="mean"
    )  # a random model that amplifies its noise little
    model = build_model(config, seed=1)
    images = torch.from_numpy(rng.normal(size=(6, 1, 28, 28)))
    images = torch.cat([images, images[:1]])
    exact = registry.open("aer-exact").estimator
    plain = run_pass(model, images, exact)
    fresh = shots_estimator(SHOTS, 1)
    measured = run_pass(model, images, fresh, once=True)
    deltas = residuals(exact, measured.executed, measured.layers)
    noise = [
        ShotNoise.of(Executions(rows), layer, SHOTS)
        for rows, layer in zip(measured.executed, measured.layers, strict=True)
    ]
    drawn = redraw(model, images, exact, plain.values[0], deltas, noise, draws=DRAWS)
    again = np.stack(
        [run_pass(model, images, fresh, once=True, notes=False).logits for _ in range(DRAWS)]
    )
    np.testing.assert_array_equal(drawn[:, 6], drawn[:, 0])  # the same image ran once
    # Redraws are centred on what was measured, fresh evaluations on what is true.
    assert np.abs(drawn.mean(axis=0) - measured.logits).max() < 0.5 * drawn.std(axis=0).max()
    ratio = drawn.std(axis=0).mean() / again.std(axis=0).mean()
    assert 0.85 < ratio < 1.15


def test_draws_of_one_seed_are_the_same(rng: np.random.Generator) -> None:
    model = build_model(ViTConfig(patch_size=14, width=4, heads=1), seed=0)
    images = torch.from_numpy(rng.normal(size=(2, 1, 28, 28)))
    ladders = [Ladder(model, images, draws=3, seed=seed) for seed in (4, 4, 5)]
    found = [
        ladder.simulated("shots", "shot noise", "", shots_estimator(SHOTS, 0), SHOTS, 1).draws
        for ladder in ladders
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])  # type: ignore[arg-type]


@pytest.mark.check
def test_a_quiet_run_knows_what_calibrations_its_rows_share(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    """Errors of means over rows, against redraws of both shares with calibrations of their own."""
    (tmp_path / "small.toml").write_text('kind = "fake"\ndevice = "fake_manila"\nk = 1\n')
    model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
    images = stratified_subset(load("phantom").test, 12, seed=0)
    submit(
        model, images, "small", tmp_path / "run", budget_seconds=600, wait=True, shots=640,
        quiet=Quiet(64, (0, 1)), settings={"resilience_level": 1}, backends_dir=tmp_path,
    )  # fmt: skip
    run = read_recorded(tmp_path / "run")
    assert run.pool is not None
    rung, _ = Ladder(model, run.source.images, draws=0).recorded("run", run, None, 1)
    found = zero_bias(errors_of(rung, 0), "output").errors
    noise = PooledNoise.of(run.pool, run.folder.reader.layers[0], run.shares)
    means = []
    for _ in range(3000):
        (group,) = run.executions[0].rows.groups
        drawn = np.zeros((len(group.rows), len(group.terms)))
        for (_, index), errors in zip(run.executions[0].rows.pubs, noise.draw(rng), strict=True):
            drawn[index] = errors
        means.append(drawn.mean(axis=0))
    np.testing.assert_allclose(found, np.std(means, axis=0), rtol=0.05)
