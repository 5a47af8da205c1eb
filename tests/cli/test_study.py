"""``qvit study`` as a user sees it; what runs where is tested in tests/study."""

import json

import pytest
from study.studies import write_spec

import qvit_qiskit.study
from qvit_qiskit.cli import run
from qvit_qiskit.study import in_process
from qvit_qiskit.study.folder import StudyFolder
from qvit_qiskit.study.running import cell_evaluation

VITS = {"vit": {"patch_size": 14, "matched": True}}


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """An empty working directory, a study in it, and cells that run in this process."""
    monkeypatch.chdir(tmp_path)
    write_spec(tmp_path / "tiny.toml", models=VITS, seeds=[0, 1])
    monkeypatch.setattr(qvit_qiskit.study, "Pool", lambda workers: in_process)


@pytest.fixture
def qvit(capsys):
    """Run a line; returns its exit code, standard output and standard error."""

    def call(line):
        code = run(line.split())
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_a_study_runs_and_tells_the_next_step(qvit, tmp_path):
    code, out, err = qvit("study tiny.toml")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("1/2  phantom vit 1x2 scratch seed 0: done in ")
    assert lines[1].startswith("2/2  phantom vit 1x2 scratch seed 1: done in ")
    assert "2 of 2 cells are finished in checkpoints/study-tiny (2 by this call, 0 failed)." in out
    assert lines[-1] == "tables:    qvit study tiny.toml --tables tables"
    code, out, err = qvit("study tiny.toml --tables tables")
    assert (code, err) == (0, "")
    assert "tables/study.md" in out.splitlines()
    markdown = (tmp_path / "tables" / "study.md").read_text()
    assert "Made by `qvit study tiny.toml --tables tables`." in markdown
    assert "0 by this call" in qvit("study tiny.toml")[1]


def test_json(qvit):
    code, out, err = qvit("study tiny.toml --out s --json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["cells"], told["finished before"], told["finished now"]) == (2, 0, 2)
    assert told["failed"] == []
    (line,) = told["scores"]
    assert (line["model"], line["seeds"]) == ("vit", 2)
    code, out, _ = qvit("study tiny.toml --out s --tables t --json")
    assert "t/scores.csv" in json.loads(out)["files"]


def test_failures_are_told_and_the_exit_code_says_so(qvit, monkeypatch):
    evaluate = cell_evaluation.evaluate
    monkeypatch.setattr(cell_evaluation, "evaluate", None)
    code, out, err = qvit("study tiny.toml --retry 1")
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("1/2  phantom vit 1x2 scratch seed 0: failed. TypeError: ")
    assert "try again: qvit study tiny.toml" in out
    told = json.loads(qvit("study tiny.toml --json")[1])
    assert [failure["cell"][-6:] for failure in told["failed"]] == ["seed 0", "seed 1"]
    monkeypatch.setattr(cell_evaluation, "evaluate", evaluate)
    assert qvit("study tiny.toml")[0] == 0


def test_an_interrupted_study_says_how_to_go_on(qvit, monkeypatch):
    monkeypatch.setattr(StudyFolder, "in_session", lambda self, name: False)
    code, _, err = qvit("study tiny.toml --out s")
    assert code == 130
    assert err.splitlines()[-1] == "continue:  qvit study tiny.toml --out s"


def test_freezing(qvit, tmp_path):
    code, out, err = qvit("study tiny.toml --freeze")
    assert (code, err) == (0, "")
    assert "frozen in chosen.json: commit it" in out
    told = json.loads(qvit("study tiny.toml --freeze --json")[1])
    kept = json.loads((tmp_path / "chosen.json").read_text())
    assert told["configuration"] == kept["configuration"]
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("study", "Missing argument 'spec'"),
        ("study none.toml", "three-sets, tiny, width, zoo) holds examples"),
        ("study tiny.toml --workers 0", "'--workers'"),
        ("study tiny.toml --workers 2 --scheduler tcp://a:1", "Leave one out"),
        ("study tiny.toml --freeze --tables t", "one after the other"),
        ("study tiny.toml --tables t --workers 2", "--tables runs nothing, so --workers has no"),
        ("study tiny.toml --freeze --retry 2", "--freeze runs nothing, so --retry has no"),
        ("study tiny.toml --tables t", "name the folder with --out"),
        ("study tiny.toml --data-root . --backends-dir nowhere", "nowhere does not exist"),
    ],
)
def test_mistakes(qvit, tmp_path, line, told):
    code, out, err = qvit(line)
    assert (code, out) == (2, "")
    assert told in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.toml"}
