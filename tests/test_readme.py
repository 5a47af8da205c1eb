"""Python in the README and the docs runs."""

import json
import os
import re
from pathlib import Path
from statistics import fmean

import pytest

from qvit_qiskit.cli import run
from qvit_qiskit.zoo import model_cards

ROOT = Path(__file__).parents[1]
ELSEWHERE = "around-a-training.md"
"""Its examples need packages that need not be installed; `training/test_loggers.py` runs them."""
BLOCKS = [
    (path.name, k, block)
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if path.name != ELSEWHERE
    for k, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.S))
]


@pytest.mark.parametrize(("name", "k", "block"), BLOCKS, ids=[f"{n}-{k}" for n, k, _ in BLOCKS])
def test_code_runs(
    name: str, k: int, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if re.search(r'load\("\w+mnist', block) and "QVIT_DATA_ROOT" not in os.environ:
        pytest.skip("it loads MedMNIST's files, and QVIT_DATA_ROOT is not set")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, f"{name}:{k}", "exec"), {})


def test_links_point_to_files() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_scores_are_the_means_of_the_models() -> None:
    """`qvit models` prints them; `training/test_zoo.py` evaluates the models anew."""
    readme = (ROOT / "README.md").read_text()
    sets = ("breastmnist", "retinamnist", "pneumoniamnist")
    assert "| | BreastMNIST | RetinaMNIST | PneumoniaMNIST |" in readme
    for model in ("qvit", "vit"):
        (line,) = re.findall(rf"^\| `{model}-….*$", readme, re.M)
        shown = [tuple(map(float, pair)) for pair in re.findall(r"([.\d]{5}) / ([.\d]{5})", line)]
        cards = [[c for c in model_cards() if (c.model, c.dataset) == (model, s)] for s in sets]
        means = [(fmean(c.auc for c in own), fmean(c.acc for c in own)) for own in cards]
        assert shown == [(round(auc, 3), round(acc, 3)) for auc, acc in means]


@pytest.mark.check
def test_the_example_of_packing_is_what_its_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    readme = " ".join((ROOT / "README.md").read_text().split())
    command = "backends show fake-fez-packed --packing"
    assert f"`qvit {command}`" in readme
    assert run([*command.split(), "--json"]) == 0
    rows = {row["k"]: row for row in json.loads(capsys.readouterr().out)}
    for row in (rows[1], rows[20]):
        assert f"{row['QPU seconds']:.1f}" in readme
        assert f"{row['mean fidelity']:.3f}" in readme


@pytest.mark.soak
@pytest.mark.usefixtures("data_root")
def test_the_example_of_a_plan_is_what_its_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert "`qvit plan retina-packed`" in readme
    assert run(["plan", "retina-packed", "--json"]) == 0
    chosen = json.loads(capsys.readouterr().out)["choice"]
    assert f"{chosen['shots']} shots on {chosen['k']} copies" in readme
    assert f"{chosen['seconds']:.1f} QPU seconds" in readme
