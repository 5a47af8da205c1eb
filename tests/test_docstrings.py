"""Public names explain themselves: what they take, give and refuse, with an example that runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import shutil
from pathlib import Path

import pytest
from public_names import RETURNED, RETURNED_TITLE, PublicName, data_docstring, groups

from qvit_qiskit.circuits import FAMILIES

HERE = Path(__file__).parent
NAMES = [one for title, group in groups().items() if title != RETURNED_TITLE for one in group]
SLOW = (
    "compare", "comparison.Comparison", "fit", "plan", "registry.route", "runs.RunPlan", "submit",
)  # fmt: skip
"""Names whose examples `make check` runs: they simulate or plan for seconds."""
STUDY = """
datasets = ["phantom"]
heads = [1]
qubits = [2]
seeds = [0, 1]
models.vit = { matched = true, patch_size = 14 }
training = { epochs = 1, subset = 16 }
"""
JOB = """
dataset = "phantom"
subset = 24
backend = "fake-boston"
budget_seconds = 30
"""


def docstring(one: PublicName) -> str:
    if one.kind == "data":
        return inspect.cleandoc(data_docstring(one.origin))
    return inspect.getdoc(one.value) or ""


def examples(text: str) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(text)


def missing(one: PublicName) -> list[str]:
    """What a docstring leaves out."""
    text, out = docstring(one), []
    if "Example:\n" not in text or not examples(text):
        out.append("an example")
    if one.kind != "function":
        return out
    signature = inspect.signature(one.value)
    for name in signature.parameters if len(signature.parameters) > 1 else ():
        if not re.search(rf"^ *(\w+, )*\*{{0,2}}{name}(, \*{{0,2}}\w+)*:", text, re.M):
            out.append(f"the argument {name}")
    gives = str(signature.return_annotation) != "None"
    if gives and "Returns:\n" not in text and "Yields:\n" not in text:
        out.append("what it returns")
    return out


@pytest.mark.parametrize("one", [pytest.param(one, id=one.title) for one in NAMES])
def test_a_docstring_is_complete(one):
    assert missing(one) == []


def test_an_incomplete_docstring_is_noticed():
    def silent(first, second) -> int:
        """Do."""

    assert missing(PublicName("qvit_qiskit", "silent", silent)) == [
        "an example", "the argument first", "the argument second", "what it returns",
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with what examples take for granted; no family stays registered."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(HERE / "fixtures/stored/finished/run", tmp_path / "runs" / "mine")
    (tmp_path / "tiny.toml").write_text(STUDY)
    (tmp_path / "frozen.toml").write_text(f'split = "test"\nfrozen = "chosen.json"\n{STUDY}')
    (tmp_path / "job.toml").write_text(JOB)
    families = dict(FAMILIES)
    yield tmp_path
    FAMILIES.clear()
    FAMILIES.update(families)


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(one, id=one.title, marks=[pytest.mark.check] * (one.title in SLOW))
        for one in NAMES
    ],
)
def test_an_example_runs(one, folder):
    test = doctest.DocTest(examples(docstring(one)), {}, one.title, None, None, None)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    told = []
    runner.run(test, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)


def test_returned_values_are_documented():
    for module, names in RETURNED.items():
        home = importlib.import_module(f"qvit_qiskit.{module}")
        assert all(inspect.getdoc(getattr(home, name)) for name in names)
