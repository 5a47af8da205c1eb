"""Specs of the package by name; a path is always a path."""

from pathlib import Path

import pytest

from qvit_qiskit import shipped
from qvit_qiskit.shipped import named_spec, shipped_folders, spec_names

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_bare_name_is_found_from_any_folder(here):
    assert named_spec("jobs", Path("hello-hardware")) == ROOT / "jobs" / "hello-hardware.toml"
    assert named_spec("docs/studies", Path("tiny")) == ROOT / "docs" / "studies" / "tiny.toml"
    assert {"first-run", "hello-hardware", "retina-packed"} <= set(spec_names("jobs"))


def test_the_working_directory_comes_first(here):
    (here / "jobs").mkdir()
    own = here / "jobs" / "hello-hardware.toml"
    own.touch()
    assert named_spec("jobs", Path("hello-hardware")).resolve() == own


@pytest.mark.parametrize("name", ["jobs/hello-hardware", "hello-hardware.toml", "nothing", ".."])
def test_whatever_else_is_left_as_it_was(here, name):
    assert named_spec("jobs", Path(name)) == Path(name)


def test_an_existing_path_is_itself(here):
    (here / "tiny").touch()
    assert named_spec("docs/studies", Path("tiny")) == Path("tiny")


def test_a_wheel_has_copies_alone(here, monkeypatch):
    monkeypatch.setattr(shipped, "PACKAGE", here / "package")
    assert shipped_folders("docs/studies") == [here / "package" / "packaged" / "studies"]
    copy = here / "package" / "packaged" / "jobs" / "mine.toml"
    copy.parent.mkdir(parents=True)
    copy.touch()
    assert named_spec("jobs", Path("mine")) == copy
    assert spec_names("jobs") == ["mine"]
