"""One comparison works every number out once, and what shows it works nothing out."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from comparison.comparisons import make_comparison

from qvit_qiskit.cli import comparison_tables
from qvit_qiskit.cli import run as qvit
from qvit_qiskit.comparison import attribution, propagation, rungs
from qvit_qiskit.comparison.export import as_dict, write_comparison
from qvit_qiskit.comparison.findings import (
    bias,
    curves,
    image_answers,
    parts,
    points,
    predictions,
    scores,
    shares,
)
from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.inference import passes
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import submit
from qvit_qiskit.runs.run_folder import Source
from qvit_qiskit.statistics import differences, intervals
from qvit_qiskit.training import save_checkpoint

PACKAGE = Path(__file__).resolve().parents[2] / "qvit_qiskit"

# --- every number once ------------------------------------------------------------------------

ONCE: dict[str, list[Callable[..., Any]]] = {
    "scores": [intervals.auc_interval, intervals.acc_interval, intervals.shots_interval],
    "differences": [differences.auc_difference, differences.acc_difference],
    "means": [intervals.mean_interval, intervals.rms_interval, scores.output_error],
    "parts": [parts.error_parts, parts.layer_errors, shares.share_intervals],
    "biases": [bias.errors_of, bias.zero_bias, bias.same_bias, bias.anchor_drift],
    "answers": [image_answers.by_image],
    "figures": [curves.band, points.points_of, predictions.reliability, predictions.confusion],
    "passes": [
        *(passes.run_pass, attribution.residuals, attribution.unpredicted, attribution.attribute),
        *(propagation.redraw, rungs.check_reproduced),
    ],
}
HOW = {"notes", "batch_size"}
"""Options that change no number."""


def pieces(value: Any) -> Iterator[bytes]:
    """What a value is made of: content for data, identity for models and estimators."""
    if isinstance(value, np.ndarray | torch.Tensor):
        array = np.asarray(value)
        yield f"array{array.shape}{array.dtype}".encode() + np.ascontiguousarray(array).tobytes()
    elif isinstance(value, list | tuple):
        yield f"list{len(value)}".encode()
        for one in value:
            yield from pieces(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield str(key).encode()
            yield from pieces(one)
    elif dataclasses.is_dataclass(value):
        yield type(value).__name__.encode()
        for field in dataclasses.fields(value):
            yield from pieces(getattr(value, field.name))
    elif isinstance(value, str | int | float | type(None)):
        yield repr(value).encode()
    else:
        yield f"object {id(value)}".encode()


def digest(value: Any) -> str:
    found = hashlib.sha256()
    for piece in pieces(value):
        found.update(hashlib.sha256(piece).digest())
    return found.hexdigest()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How often every function of `ONCE` is called with the same arguments, wherever it stands."""
    found: Counter[tuple[str, str]] = Counter()
    kept: list[Any] = []  # an identity is unique as long as the object lives

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*values: Any, **options: Any) -> Any:
            kept.append((values, options))
            asked = {name: value for name, value in options.items() if name not in HOW}
            found[function.__name__, digest([values, asked])] += 1
            return function(*values, **options)

        return wrapper

    modules = [module for name, module in sys.modules.items() if name.startswith("qvit_qiskit")]
    for function in [one for group in ONCE.values() for one in group]:
        wrapper = watched(function)
        for module in modules:
            for name, value in list(vars(module).items()):
                if value is function:
                    monkeypatch.setattr(module, name, wrapper)
    return found


@pytest.fixture(scope="module", params=[1, 2])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rehearsal on two copies with repeated rows, of a model with one or two quantum layers."""
    folder = tmp_path_factory.mktemp("once")
    config = ViTConfig(patch_size=14, depth=request.param, width=4, heads=2)
    model = build_model(config, seed=0)
    save_checkpoint(folder / "model.safetensors", model, {"dataset": "phantom"})
    images = stratified_subset(load("phantom").test, 4, 0)
    profile = folder / "two.toml"
    profile.write_text('kind = "fake"\ndevice = "fake_torino"\nshots = 64\nk = 2\nbuffer = 1\n')
    submit(
        model, Source.of(images, dataset="phantom", split="test"), str(profile), folder / "run",
        budget_seconds=999, max_loss=1.0, anchor_rows=2, wait=True,
        checkpoint=folder / "model.safetensors",
    )  # fmt: skip
    return folder / "run"


def test_no_number_is_worked_out_twice(
    run: Path,
    calls: Counter[tuple[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Terminal, JSON, CSV and page of one call; scores, bands, parts, passes: each asked once."""
    assert (
        qvit(["compare", str(run), "--draws", "2", "--no-figures", "--out", str(tmp_path / "out")])
        == 0
    )
    assert "report:" in capsys.readouterr().out
    by_value = ("shots_interval",)  # of a few values of a metric, which rungs may share by chance
    again = sorted({name for (name, _), count in calls.items() if count > 1} - {*by_value})
    assert again == []
    asked = Counter(name for name, _ in calls)
    rungs_compared = 5  # exact, shot noise, device noise, rehearsal, rehearsal corrected
    for name in ("auc_interval", "acc_interval", "band", "reliability", "confusion"):
        assert asked[name] == rungs_compared, name
    assert asked["points_of"] == rungs_compared - 1
    assert asked["residuals"] == rungs_compared - 2  # a corrected rung's follow from its own
    for name in ("auc_difference", "acc_difference"):
        assert asked[name] == rungs_compared, name  # from exact; corrected from measured
    layers = len(json.loads((tmp_path / "out" / "comparison.json").read_text())["layers"])
    assert asked["errors_of"] == layers
    assert asked["layer_errors"] == 1
    drawn = sum(count for (name, _), count in calls.items() if name == "shots_interval")
    assert drawn == 2 * 3  # AUC and ACC of the shot noise and of the rehearsal, also corrected


def test_a_second_time_would_be_noticed(calls: Counter[tuple[str, str]]) -> None:
    labels, chances = np.array([0, 1, 0, 1]), np.full((4, 2), 0.5)
    for _ in range(2):
        intervals.acc_interval(labels.copy(), chances.copy())
    intervals.acc_interval(labels, np.array([[0.4, 0.6]] * 4))
    assert sorted(calls.values()) == [1, 2]


# --- what shows a number works nothing out ------------------------------------------------------

SHOWN = [
    *sorted((PACKAGE / "comparison" / "figures").glob("*.py")),
    *sorted((PACKAGE / "comparison" / "sections").glob("*.py")),
    *(PACKAGE / "comparison" / f"{name}.py" for name in ("tables", "page", "fragment", "export")),
    PACKAGE / "cli" / "comparison_tables.py",
    *sorted((PACKAGE / "pages").glob("*.py")),
]
DEVICES = {"chip.py"}
"""Drawings of a device, which show no comparison."""
DRAWING = {
    "attention_maps.py": ["mean"],  # the grey of a coloured picture
    "rung_plot.py": ["sum"],  # the height of a figure
}
"""What is worked out for the drawing alone."""
ROOMS = ("statistics", "inference", "metrics", "simulation", "hardware", "execution", "runs")
SOURCES = ("builder", "assembly", "rungs", "run_record", "propagation", "attribution")
PACKAGES = ("scipy", "sklearn", "torch", "qiskit", "statistics")
WORKED_OUT = {
    *("mean", "std", "var", "median", "average", "quantile", "percentile", "sum", "nansum"),
    *("cumsum", "prod", "cov", "corrcoef", "histogram", "digitize", "bincount", "interp"),
    *("sqrt", "square", "power", "exp", "log", "einsum", "dot", "matmul", "inner", "trapezoid"),
    *("argmax", "argmin", "argsort", "softmax", "random", "default_rng", "nanmean"),
}


def offences(source: str) -> list[str]:
    """What a file that shows numbers may not do: import what computes, or compute."""
    tree = ast.parse(source)
    typing = [
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    ]
    found = []
    for node in ast.walk(tree):
        if node in typing:
            continue
        if isinstance(node, ast.Import):
            found += [one.name for one in node.names if one.name.split(".")[0] in PACKAGES]
        elif isinstance(node, ast.ImportFrom):
            found += [one for one in _imported(node) if _computes(one)]
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            found += [name] if name in WORKED_OUT else []
    return found


def _imported(node: ast.ImportFrom) -> list[str]:
    return [f"{node.module}.{alias.name}" for alias in node.names]


def _computes(name: str) -> bool:
    """Whether an imported name is no type and no constant of a place that computes."""
    head, *rest = name.split(".")
    if head != "qvit_qiskit":
        return head in PACKAGES
    if rest[0] in ROOMS:
        return True
    if rest[:2] == ["comparison", "findings"]:
        return not rest[-1][0].isupper()
    source = rest[0] == "comparison" and len(rest) > 1 and rest[1] in SOURCES
    return source and not rest[-1].isupper()


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_shows_numbers_works_none_out(path: Path) -> None:
    if path.name not in DEVICES:
        assert offences(path.read_text()) == DRAWING.get(path.name, [])


@pytest.mark.parametrize(
    "source",
    [
        "from qvit_qiskit.statistics.intervals import wilson",
        "def draw():\n    from qvit_qiskit.inference.passes import run_pass",
        "from qvit_qiskit import metrics",
        "from qvit_qiskit.comparison.findings.scores import scores",
        "from qvit_qiskit.comparison.findings import scores",
        "from qvit_qiskit.comparison.builder import build",
        "import scipy.stats",
        "x = np.mean(values)",
        "x = frame['share'].abs().argmax()",
        "x = sum(values) / len(values)",
    ],
)
def test_the_rule_would_notice(source: str) -> None:
    assert offences(source)


def test_the_rule_allows_types_and_constants() -> None:
    assert not offences(
        "from qvit_qiskit.comparison.findings.curves import GRID, Band\n"
        "if TYPE_CHECKING:\n    from qvit_qiskit.statistics.intervals import Interval\n"
        "x = np.abs([a - b, c - a]).max()"
    )


# --- the same numbers everywhere ---------------------------------------------------------------


def test_terminal_json_csv_and_page_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    comparison = make_comparison(n=40, draws=6, shown=1)
    write_comparison(comparison, tmp_path)
    comparison_tables.show(comparison, details=True)
    said = capsys.readouterr().out.replace("−", "-")
    said = " ".join(re.sub(r"[│┃]", " ", said).split())
    html = (tmp_path / "report.html").read_text().replace("−", "-")
    page = " ".join(re.sub(r"<[^>]*>", " ", html).split())
    stored = json.loads((tmp_path / "comparison.json").read_text())
    assert stored == json.loads(json.dumps(as_dict(comparison)))
    for name, key, frame in (
        ("table", "rungs", comparison.table()),
        ("bias", "bias", comparison.bias()),
        ("attribution", "attribution", comparison.shares()),
    ):
        csv = pd.read_csv(tmp_path / f"{name}.csv")
        lines = pd.DataFrame(stored[key])
        assert list(csv.columns) == list(lines.columns) == list(frame.columns)
        for column in frame.select_dtypes("number"):
            np.testing.assert_allclose(csv[column], frame[column].astype(float), rtol=1e-8)
            np.testing.assert_array_equal(lines[column].astype(float), frame[column].astype(float))
    for one in comparison.scores:
        shown = [one.auc, one.acc, *([one.agreement] if one.agreement else [])]
        shown += [one.auc_difference.interval] if one.auc_difference else []
        shown += [one.acc_difference.interval] if one.acc_difference else []
        for interval in shown:
            value, limits = f"{interval.value:.3f}", f"[{interval.low:.3f}, {interval.high:.3f}]"
            assert value in said
            assert limits in said
            assert f"{value} {limits}".replace("-0.000", "0.000") in page.replace("-0.000", "0.000")
    for share in comparison.layer_shares:
        assert f"{share.share.value:.3f}" in said
        assert f"[{share.share.low:.3f}, {share.share.high:.3f}]" in said
    tested = [one.test for one in comparison.biases] + [one.test for one in comparison.drifts]
    for test in [one for one in tested if one and one.rung == "ibm_boston"]:
        assert f"{test.chi_square:,.1f} {test.freedom}" in said
        assert f"{test.chi_square:,.1f} {test.freedom}" in page
    assert {(t["hypothesis"], t["p"]) for t in stored["tests"]} == {
        (test.claim, test.p) for test in tested if test
    }
