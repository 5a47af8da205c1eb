"""Python in the README and the docs runs, and settings that they show are taken."""

import json
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from unittest.mock import patch

import pytest

from qvit_qiskit.circuits import FAMILIES
from qvit_qiskit.cli import run
from qvit_qiskit.exceptions import QvitError
from qvit_qiskit.profile import load_profile
from qvit_qiskit.runs.spec import load_spec
from qvit_qiskit.study import load_study
from qvit_qiskit.training import Distillation
from qvit_qiskit.zoo import model_cards

ROOT = Path(__file__).parents[1]
ELSEWHERE = "around-a-training.md"
"""Its examples need packages that need not be installed; `training/test_loggers.py` runs them."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("*/README.md")]


def blocks(language: str) -> list:
    """Code of a language in the pages: its page's name, its number there, its text."""
    return [
        pytest.param(path.name, k, block, id=f"{path.relative_to(ROOT)}-{k}")
        for path in PAGES
        if path.name != ELSEWHERE or language == "toml"
        for k, block in enumerate(re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.S))
    ]


@pytest.mark.parametrize(("name", "k", "block"), blocks("python"))
def test_code_runs(
    name: str, k: int, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if re.search(r'load\("\w+mnist', block) and "QVIT_DATA_ROOT" not in os.environ:
        pytest.skip("it loads MedMNIST's files, and QVIT_DATA_ROOT is not set")
    monkeypatch.chdir(tmp_path)
    with patch.dict(FAMILIES):  # a family of the block's own is gone afterwards
        exec(compile(block, f"{name}:{k}", "exec"), {})


@pytest.mark.parametrize(("name", "k", "block"), blocks("py"))
def test_code_that_needs_an_account_has_names_that_there_are(name: str, k: int, block: str) -> None:
    compile(block, f"{name}:{k}", "exec")
    imports = [line for line in block.splitlines() if re.match(r"(from|import) ", line)]
    assert imports
    exec("\n".join(imports), {})


def load_distillation(path: Path) -> Distillation:
    """What a study's regime holds."""
    return Distillation.create(**tomllib.loads(path.read_text()))


LEAST = {
    "aer": (load_profile, 'kind = "aer"'),
    "fake": (load_profile, 'kind = "fake"\ndevice = "fake_fez"'),
    "ibm": (load_profile, 'kind = "ibm"\ndevice = "ibm_fez"'),
    "job": (load_spec, 'dataset = "phantom"\nbackend = "fake-boston"\nbudget_seconds = 30'),
    "study": (
        load_study,
        'datasets = ["breastmnist"]\nqubits = [4]\nseeds = [0]\nmodels.qvit = {}',
    ),
    "teacher": (load_distillation, 'teacher = "checkpoints/teacher"'),
}
"""The shortest files of each sort, which excerpts are added to."""


def taken(text: str, path: Path) -> dict[str, str]:
    """By each sort of file, what its reader says against this text; empty where it takes it."""
    shown, answers = tomllib.loads(text), {}
    for sort, (reader, least) in LEAST.items():
        missing = [
            line for line in least.splitlines() if line.split(".")[0].split()[0] not in shown
        ]
        path.write_text("\n".join([*missing, text]))
        answers[sort] = answer(reader, path)
    return answers


def answer(reader: Callable[[Path], object], path: Path) -> str:
    try:
        reader(path)
    except QvitError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("name", "k", "block"), blocks("toml"))
def test_a_shown_file_is_taken_by_its_reader(
    name: str, k: int, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = taken(block, tmp_path / "shown.toml")
    assert "" in answers.values(), answers


SETTINGS = sorted(
    {
        (path.name, setting)
        for path in PAGES
        for setting in re.findall(
            r"`(\w+ = [^`\n]+)`", re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
        )
        if "lesions" not in setting  # a reader of studies looks for these images
    }
)


@pytest.mark.parametrize(("name", "setting"), SETTINGS, ids=[": ".join(one) for one in SETTINGS])
def test_a_setting_that_a_page_names_is_taken(name: str, setting: str, tmp_path: Path) -> None:
    answers = taken(setting, tmp_path / "shown.toml")
    assert "" in answers.values(), answers


@pytest.mark.parametrize("wrong", ["shotz = 3", 'k = "many"', 'kind = "aer"\ndevice = "x"'])
def test_a_setting_that_nothing_takes_is_noticed(wrong: str, tmp_path: Path) -> None:
    assert "" not in taken(wrong, tmp_path / "shown.toml").values()


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
