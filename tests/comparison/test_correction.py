"""Correction by anchors: slow twins of its arithmetic, and devices that do not keep their word."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qvit_qiskit.cli import run as qvit
from qvit_qiskit.comparison import compare
from qvit_qiskit.comparison.correction import AnchorValues, Common, Correction, Lines, learn, shrunk
from qvit_qiskit.comparison.export import as_dict, write_comparison
from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import submit
from qvit_qiskit.runs.run_folder import Source
from qvit_qiskit.training import save_checkpoint

COPIES, OUTPUTS = 12, 3


def lines(rng: np.random.Generator) -> Lines:
    """Of every copy and output."""
    shape = (COPIES, OUTPUTS)
    return Lines(rng.uniform(0.7, 0.95, shape), rng.uniform(-0.05, 0.05, shape))


def test_lines_are_found_again(rng: np.random.Generator) -> None:
    truth, exact = lines(rng), rng.uniform(-1, 1, (20, OUTPUTS))
    noisy = np.stack(
        [Lines(s, o).of(exact) for s, o in zip(truth.scale, truth.offset, strict=True)]
    )
    found = Lines.through(exact, noisy)
    np.testing.assert_allclose(found.scale, truth.scale, atol=1e-12)
    np.testing.assert_allclose(found.offset, truth.offset, atol=1e-12)


def test_where_rows_do_not_differ_values_move_as_little_as_they_can(
    rng: np.random.Generator,
) -> None:
    """Rows that are all alike determine no line: the least change fits them, and nothing breaks."""
    exact = np.full((5, 1), 0.4)
    found = Lines.through(exact, np.full((1, 5, 1), 0.3))
    np.testing.assert_allclose(found.of(exact), 0.3, atol=1e-9)
    assert 0.9 < found.scale.item() < 1
    lost = Lines.through(rng.uniform(-1, 1, (9, 1)), np.zeros((1, 9, 1)))
    assert lost.scale.item() == pytest.approx(0.1)  # nothing is divided by 0


@pytest.mark.parametrize(("deviation", "error"), [(0.2, 0.1), (-0.2, 0.1), (0.1, 0.1), (0, 0)])
def test_shrinking_is_the_posterior_mean(deviation: float, error: float) -> None:
    prior = max(0.0, deviation**2 - error**2)
    whole = prior + error**2
    assert shrunk(deviation, error) == pytest.approx(deviation * prior / whole if whole else 0)


def draw_anchors(
    rng: np.random.Generator, factor: float, shift: float, noise: float, each: int, jobs: int = 1
) -> AnchorValues:
    """Anchors on every copy, whose noise is the same for all outputs of a row."""
    predicted = rng.uniform(-0.8, 0.8, (COPIES * each, OUTPUTS))
    true = predicted + (factor - 1) * (predicted - predicted.mean()) + shift
    errors = noise * rng.normal(size=(jobs, len(predicted), 1))
    covariances = np.full((jobs, len(predicted), OUTPUTS, OUTPUTS), noise**2)
    return AnchorValues(true + errors, covariances, predicted, np.arange(len(predicted)) % COPIES)


def test_factor_and_shift_by_another_way(rng: np.random.Generator) -> None:
    """Polynomials fitted by numpy; errors by drawing the shots again and again."""
    one = draw_anchors(rng, 0.9, 0.03, 0.1, 4, jobs=2)
    found = learn([one])
    x = np.broadcast_to(one.predicted, one.values.shape).ravel()
    slope, height = np.polyfit(x - x.mean(), one.values.ravel(), 1)
    assert found.factor == pytest.approx(slope)
    assert found.shift == pytest.approx(height - x.mean())
    drawn = []
    for _ in range(400):
        errors = 0.1 * rng.normal(size=(*one.values.shape[:2], 1))
        again = learn([replace(one, values=one.predicted + errors)])
        drawn.append((again.factor, again.shift))
    np.testing.assert_allclose(np.std(drawn, axis=0), np.sqrt(np.diag(found.shots)), rtol=0.15)


def test_a_calibration_that_rows_share_is_no_less_uncertain(rng: np.random.Generator) -> None:
    one = draw_anchors(rng, 1.0, 0.0, 0.1, 4)
    shared, own = (learn([replace(one, calibrated=c)]).shots for c in (True, False))
    assert (np.diag(shared) >= np.diag(own)).all()


def test_copies_that_differ_tell_less(rng: np.random.Generator) -> None:
    one = draw_anchors(rng, 1.0, 0.0, 0.01, 4)
    own = 0.2 * rng.normal(size=(COPIES, 1))[one.copies]
    assert learn([replace(one, values=one.values + own)]).errors[1] > 3 * learn([one]).errors[1]


def mean_errors(
    rng: np.random.Generator, factor: float, shift: float, draws: int
) -> tuple[float, np.ndarray]:
    """Mean square errors without shot noise: as measured, and corrected in every draw."""
    line, exact = lines(rng), rng.uniform(-1, 1, (40 * COPIES, OUTPUTS))
    copies = np.arange(len(exact)) % COPIES
    own = Lines(line.scale[copies], line.offset[copies])
    without = own.of(exact)
    measured = without + (factor - 1) * without + shift
    found = []
    for _ in range(draws):
        correction = Correction(learn([draw_anchors(rng, factor, shift, 0.18, 16)]), [own])
        found.append(np.mean((correction.corrected(0, measured) - exact) ** 2))
    return float(np.mean((measured - exact) ** 2)), np.array(found)


@pytest.mark.parametrize(("factor", "shift"), [(0.85, 0.0), (0.9, -0.06), (1.08, 0.0)])
def test_errors_that_nobody_reported_fall(
    rng: np.random.Generator, factor: float, shift: float
) -> None:
    before, after = mean_errors(rng, factor, shift, 20)
    assert after.mean() < 0.7 * before


def test_an_honest_device_is_not_harmed(rng: np.random.Generator) -> None:
    """What is left is what the shots of anchors do to it, and small beside what was predicted."""
    before, after = mean_errors(rng, 1.0, 0.0, 40)
    assert after.mean() < 0.1 * before
    assert np.median(after) < 0.01 * before  # nearly always nothing was learned


def test_noise_is_stretched_as_outputs_are(rng: np.random.Generator) -> None:
    correction = Correction(
        Common(0.9, 0.1, 0.2, (0.01, 0.01), np.zeros((2, 2)), 9),
        [Lines(*rng.uniform(0.5, 1.0, (2, 7, OUTPUTS)))],
    )
    values, step = rng.uniform(-1, 1, (7, OUTPUTS)), 1e-3
    moved = correction.corrected(0, values + step) - correction.corrected(0, values)
    np.testing.assert_allclose(moved / step, correction.stretch(0), rtol=1e-9)
    again = correction.common.redrawn(rng)  # without noise of its own it stays
    assert (again.factor, again.shift) == (correction.common.factor, correction.common.shift)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rehearsal with repeated rows on four copies."""
    path = tmp_path_factory.mktemp("corrected")
    model = build_model(ViTConfig(patch_size=14, depth=1, width=2, heads=1), seed=0)
    save_checkpoint(path / "model.safetensors", model, {"dataset": "phantom"})
    (path / "four.toml").write_text(
        'kind = "fake"\ndevice = "fake_torino"\nshots = 64\nk = 4\nbuffer = 1\n'
    )
    images = Source.of(
        stratified_subset(load("phantom").test, 4, 0), dataset="phantom", split="test"
    )
    submit(
        model, images, str(path / "four.toml"), path / "run", budget_seconds=99, anchor_rows=8,
        wait=True, checkpoint=path / "model.safetensors",
    )  # fmt: skip
    return path


@pytest.mark.check
def test_a_rung_of_its_own_that_is_judged_on_request(folder: Path) -> None:
    found = compare(folder / "run", draws=4)
    *_, measured, corrected = found.rungs
    assert corrected.name == f"{measured.name}, corrected"
    assert (measured.kind, corrected.kind) == ("hardware", "corrected")
    assert [one.rung for one in found.answers] == [measured.name]
    assert corrected.draws is not None
    assert corrected.qpu_seconds is None
    (gain,) = found.gains
    (layer,) = gain.layers
    assert layer.common.anchors == 8
    parts = {one.rung: one.parts for one in found.layer_errors}
    first, second = parts[measured.name], parts[corrected.name]
    assert first is not None
    assert first.reported is not None
    assert second is not None
    assert layer.before.value == pytest.approx(first.reported.value + first.rest.value)
    assert layer.after.value == pytest.approx(second.rest.value)
    assert layer.change.value == pytest.approx(layer.after.value - layer.before.value)
    judged = compare(folder / "run", draws=0, corrected=True)
    assert [one.rung for one in judged.answers] == [measured.name, corrected.name]
    assert judged.device_differences == ()


@pytest.mark.check
def test_it_is_told_in_every_form(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = compare(folder / "run", draws=0)
    assert json.loads(json.dumps(as_dict(found)))["corrections"][0]["anchors"] == 8
    written = {path.name: path for path in write_comparison(found, folder / "out")}
    assert "factor error" in written["corrections.csv"].read_text()
    assert 'id="correction"' in written["report.html"].read_text()
    assert qvit(["compare", str(folder / "run"), "--draws", "0"]) == 0
    assert "beyond shot" not in capsys.readouterr().out
    assert qvit(["compare", str(folder / "run"), "--draws", "0", "--details"]) == 0
    assert "beyond shot" in capsys.readouterr().out
