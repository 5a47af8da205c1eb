"""A study in this process: every cell once, failures told, every look at a test split noted."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from study.studies import same_answers, write_spec

from qvit_qiskit import metrics
from qvit_qiskit.data import load
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.models import ViTConfig
from qvit_qiskit.study import Watcher, freeze, make_plan, run_study
from qvit_qiskit.study.folder import StudyFolder
from qvit_qiskit.study.logs import append, read_lines
from qvit_qiskit.study.results.findings import read_findings
from qvit_qiskit.study.results.seed_scores import Part
from qvit_qiskit.study.running import cell_evaluation
from qvit_qiskit.training import Teacher, TrainConfig, fit, load_checkpoint

VITS = {"vit": {"patch_size": 14, "matched": True}}


def files(folder):
    """Every file's bytes and time of change, by its place."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and ".lock" not in path.name
    }


def cells(folder):
    return {name: told for name, told in files(folder).items() if name.startswith("cells/")}


def test_a_study_and_what_it_leaves(plan, tmp_path):
    made = plan()
    told = []
    watcher = Watcher(
        begin=lambda cells, attempt: told.append((len(cells), attempt)),
        progress=lambda cell, share: told.append((cell.label, share)),
        end=lambda cell, outcome: told.append((cell.label, outcome.state)),
    )
    summary = run_study(made, tmp_path / "s", watcher=watcher)
    assert (summary.cells, summary.found, summary.done, summary.failed) == (4, 0, 4, [])
    label = "phantom qvit 1x2 scratch seed 0"
    assert told[:4] == [(4, 0), (label, 0.5), (label, 1.0), (label, "done")]
    folder = StudyFolder(tmp_path / "s")
    assert (folder.path / "study.toml").read_bytes() == made.path.read_bytes()
    for cell in made.cells:
        result = folder.result(cell.key)
        assert result["recipe"] == json.loads(json.dumps(cell.recipe()))
        assert result["history"]["epochs"] == 2
        assert result["history"]["best"]["epoch"] in (1, 2)
        assert result["cost"]["circuits"] == (12 if cell.model == "qvit" else 0)
        assert (result["cost"]["simulation_flops"] > 0) == (cell.model == "qvit")
        assert "qvit-qiskit" in result["versions"]
        (evaluation,) = result["evaluations"]
        with np.load(folder.cell(cell.key) / evaluation["logits"], allow_pickle=False) as arrays:
            scores = metrics.score(arrays["labels"], arrays["logits"])
        assert (scores.auc, scores.acc) == (evaluation["auc"], evaluation["acc"])
        assert scores.auc == pytest.approx(result["history"]["best"]["val_auc"], abs=1e-6)
    assert folder.tests() == []
    events = [line["event"] for line in read_lines(folder.path / "journal.jsonl")]
    assert events == ["begun", *["done"] * 4, "ended"]


def test_a_cell_is_what_fit_gives(plan, tmp_path):
    made = plan(seeds=[1], models=VITS)
    run_study(made, tmp_path / "s")
    (cell,) = made.cells
    alone = fit(
        ViTConfig(patch_size=14, width=2, heads=1).parameter_matched(),
        TrainConfig(epochs=2, subset=8, batch_size=4, seed=1),
        load("phantom"),
    )
    kept = load_checkpoint(tmp_path / "s" / "cells" / cell.key / "training").model.state_dict()
    assert all(tensor.equal(kept[name]) for name, tensor in alone.model.state_dict().items())


def test_finished_cells_are_never_computed_again(plan, tmp_path):
    run_study(plan(models=VITS), tmp_path / "s")
    before = cells(tmp_path / "s")
    again = run_study(plan(models=VITS), tmp_path / "s")
    assert (again.found, again.done) == (2, 0)
    more = run_study(plan(models=VITS, seeds=[0, 1, 2]), tmp_path / "s")
    assert (more.found, more.done) == (2, 1)
    after = cells(tmp_path / "s")
    assert {name: after[name] for name in before} == before
    assert len(list((tmp_path / "s" / "cells").iterdir())) == 3


def test_another_profile_needs_no_training(plan, tmp_path):
    run_study(plan(models=VITS), tmp_path / "s")
    before = cells(tmp_path / "s")
    more = run_study(plan(models=VITS, profiles=["aer-exact", "aer-shots"]), tmp_path / "s")
    assert (more.found, more.done) == (0, 2)
    after = cells(tmp_path / "s")
    assert {n: after[n] for n in before if "/result" not in n} == {
        n: told for n, told in before.items() if "/result" not in n
    }
    found = read_findings(tmp_path / "s")
    assert {run.group.profile for run in found.runs} == {"aer-exact", "aer-shots"}
    assert run_study(plan(models=VITS), tmp_path / "s").found == 2


def test_an_interrupted_study_goes_on_from_the_last_epoch(plan, tmp_path, monkeypatch):
    options = {"models": VITS, "seeds": [0, 1], "training": {"epochs": 4, "subset": 8}}
    whole = plan(**options)
    run_study(whole, tmp_path / "whole")
    in_session, asked = StudyFolder.in_session, []

    def ends(self, name):
        asked.append(name)
        return in_session(self, name) and len(asked) < 6  # within the second cell

    monkeypatch.setattr(StudyFolder, "in_session", ends)
    with pytest.raises(KeyboardInterrupt):
        run_study(whole, tmp_path / "parts")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    first, second = (tmp_path / "parts" / "cells" / cell.key for cell in whole.cells)
    assert (first / "result.json").exists()
    assert not (second / "result.json").exists()
    assert len(json.loads((second / "training" / "history.json").read_text())) == 2
    done = files(first)
    again = run_study(whole, tmp_path / "parts")
    assert (again.found, again.done) == (1, 1)
    assert files(first) == done
    assert read_lines(tmp_path / "parts" / "journal.jsonl")[2]["event"] == "interrupted"
    same_answers(whole, tmp_path / "whole", tmp_path / "parts")


def failing(monkeypatch, times, error):
    """Evaluations of seed 1 fail so many times."""
    evaluate, calls = cell_evaluation.evaluate, []

    def broken(model, split, route):
        if model.config.depth == 2:
            calls.append(0)
            if len(calls) <= times:
                raise error
        return evaluate(model, split, route)

    monkeypatch.setattr(cell_evaluation, "evaluate", broken)


DEEP = [{"models": ["deep"], "model": {"depth": 2}}]
TWO = {"vit": {"patch_size": 14, "matched": True}, "deep": {"patch_size": 14, "matched": True}}


def test_a_failed_cell_is_told_and_tried_again(plan, tmp_path, monkeypatch):
    made = plan(models=TWO, overrides=DEEP, seeds=[0])
    failing(monkeypatch, 1, ValueError("no luck.\nmore"))
    told = []
    watcher = Watcher(end=lambda cell, outcome: told.append((cell.model, outcome)))
    summary = run_study(made, tmp_path / "s", watcher=watcher)
    (failed,) = summary.failed
    assert [model for model, outcome in told if outcome.state == "failed"] == ["deep"]
    assert failed.reason.startswith("ValueError: no luck. See ")
    errors = list((tmp_path / "s").rglob("error.txt"))
    assert "Traceback" in errors[0].read_text()
    assert summary.done == 1
    summary = run_study(made, tmp_path / "s")
    assert (summary.found, summary.done, summary.failed) == (1, 1, [])
    assert not errors[0].exists()


def test_retries_within_a_call_end(plan, tmp_path, monkeypatch):
    made = plan(models=TWO, overrides=DEEP, seeds=[0])
    failing(monkeypatch, 3, JobError("No luck."))
    attempts = []
    watcher = Watcher(begin=lambda cells, attempt: attempts.append((attempt, len(cells))))
    summary = run_study(made, tmp_path / "s", retry=1, watcher=watcher)
    assert [outcome.reason for outcome in summary.failed] == ["No luck."]
    assert attempts == [(0, 2), (1, 1)]
    summary = run_study(made, tmp_path / "s", retry=5, watcher=watcher)
    assert (summary.done, summary.failed) == (1, [])
    assert attempts[2:] == [(0, 1), (1, 1)]
    with pytest.raises(JobError, match="0 or more retries"):
        run_study(made, tmp_path / "s", retry=-1)


def test_two_processes_on_one_folder_are_refused(plan, tmp_path):
    made = plan(models=VITS, seeds=[0])
    with (
        StudyFolder(tmp_path / "s").session(),
        pytest.raises(JobError, match=r"Another process is working on .*/s. Wait for it"),
    ):
        run_study(made, tmp_path / "s")
    assert run_study(made, tmp_path / "s").done == 1


def test_a_cell_that_another_process_holds_is_waited_for(plan, tmp_path, monkeypatch):
    made = plan(models=VITS, seeds=[0])
    (cell,) = made.cells
    monkeypatch.setattr("qvit_qiskit.study.folder.PATIENCE", 0.2)
    with StudyFolder(tmp_path / "s").holding(cell.key):
        summary = run_study(made, tmp_path / "s")
    assert "A process of an earlier call still works on the cell" in summary.failed[0].reason


def test_damaged_results_are_not_taken_for_results(plan, tmp_path):
    made = plan(models=VITS)
    run_study(made, tmp_path / "s")
    path = tmp_path / "s" / "cells" / made.cells[0].key / "result.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(JobError, match="Delete the cell's folder to compute it again"):
        run_study(made, tmp_path / "s")
    other = tmp_path / "s" / "cells" / made.cells[1].key / "result.json"
    path.write_text(other.read_text())
    with pytest.raises(JobError, match="it is that of the cell"):
        run_study(made, tmp_path / "s")


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be(plan, tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match=r"Cannot write .* Name another folder"):
        run_study(plan(models=VITS), tmp_path / place)


# --- what is judged ---------------------------------------------------------------------------


def test_every_look_at_a_test_split_is_written_down_before(plan, tmp_path, monkeypatch):
    made = plan(models=VITS, split="test")
    evaluate, seen = cell_evaluation.evaluate, []

    def watched(model, split, route):
        seen.append(len(StudyFolder(tmp_path / "s").tests()))
        assert len(split) == 200  # the test split's images
        return evaluate(model, split, route)

    monkeypatch.setattr(cell_evaluation, "evaluate", watched)
    run_study(made, tmp_path / "s")
    assert seen == [1, 2]
    for line, cell in zip(StudyFolder(tmp_path / "s").tests(), made.cells, strict=True):
        assert (line["cell"], line["label"]) == (cell.key, cell.label)
        assert (line["configuration"], line["profile"]) == (made.configuration, "aer-exact")
        assert line["time"].endswith("+00:00")
        assert "git" in line
    run_study(made, tmp_path / "s")
    assert len(StudyFolder(tmp_path / "s").tests()) == 2


def test_folds_cover_train_and_val_and_nothing_else(plan, tmp_path):
    made = plan(models=VITS, seeds=[0], folds=3, training={"epochs": 1, "subset": 8})
    run_study(made, tmp_path / "s")
    found = read_findings(tmp_path / "s")
    (group,) = found.groups
    parts = found.parts(group, "phantom", [0])
    assert [len(part.labels) for part in parts] == [240, 240, 240]
    assert [part.weight for part in parts] == pytest.approx([1 / 3] * 3)
    assert all(isinstance(part, Part) for part in parts)
    assert StudyFolder(tmp_path / "s").tests() == []


def test_only_the_frozen_configuration_meets_the_test_split(tmp_path):
    spec = {"models": VITS, "seeds": [0], "frozen": "chosen.json"}
    made = make_plan(write_spec(tmp_path / "a.toml", split="test", **spec))
    with pytest.raises(JobError, match=r"asks for the frozen configuration in .*chosen.json"):
        run_study(made, tmp_path / "s")
    assert not (tmp_path / "s").exists()
    chosen = make_plan(write_spec(tmp_path / "b.toml", split="val", folds=2, **spec))
    path = freeze(chosen)
    assert path == tmp_path / "chosen.json"
    assert json.loads(path.read_text())["configuration"] == made.configuration
    written = path.read_bytes()
    assert freeze(made) == path
    assert path.read_bytes() == written
    assert run_study(made, tmp_path / "s").done == 1
    changed = {**spec, "training": {"epochs": 1, "subset": 8}}
    other = make_plan(write_spec(tmp_path / "a.toml", split="test", **changed))
    with pytest.raises(JobError, match="is not the configuration that was frozen"):
        run_study(other, tmp_path / "s")
    with pytest.raises(JobError, match="holds another configuration already"):
        freeze(other)
    assert run_study(make_plan(write_spec(tmp_path / "c.toml", **changed)), tmp_path / "v").done
    path.write_text("{}")
    with pytest.raises(JobError, match="is not what `qvit study --freeze` wrote"):
        run_study(made, tmp_path / "s")


def test_a_teacher_is_asked_once_and_then_needed_no_more(plan, tmp_path, monkeypatch):
    teacher = tmp_path / "teacher"
    fit(ViTConfig(patch_size=14, projection="linear"), TrainConfig(epochs=1, subset=8),
        load("phantom"), folder=teacher)  # fmt: skip
    regimes = {"scratch": {}, "soft": {"teacher": str(teacher), "alpha": 0.9},
               "first": {"teacher": str(teacher), "pretrain_epochs": 1}}  # fmt: skip
    made = plan(models=VITS, seeds=[0], regimes=regimes, split="test")
    asked = []

    def teaching(label, images):
        asked.append((label, images))
        return lambda done: None

    summary = run_study(made, tmp_path / "s", watcher=Watcher(teaching=teaching))
    assert summary.failed == []
    assert asked == [(f"teacher {teacher} on phantom", 600)]
    found = read_findings(tmp_path / "s")
    (told,) = found.teachers
    alone = load_checkpoint(teacher).model
    images, labels = load("phantom").test.tensors()
    scores = metrics.score(labels.numpy(), alone(images).detach().numpy())
    assert (told["AUC"], told["ACC"]) == pytest.approx((scores.auc, scores.acc))
    assert "teacher" in found.tests[0]["label"]
    (cell,) = [cell for cell in made.cells if cell.regime == "first"]
    history = StudyFolder(tmp_path / "s").result(cell.key)["history"]
    assert history["epochs"] == 3
    (tmp_path / "s" / "cells" / cell.key / "result.json").unlink()
    monkeypatch.setattr(Teacher, "_ask", None)
    assert run_study(made, tmp_path / "s").done == 1


def test_a_teacher_of_another_set_teaches_that_set_alone(plan, tmp_path, monkeypatch):
    """As a set of three classes; its teacher knows these, and is not judged on ours."""
    from qvit_qiskit.data import MedImages, Split, phantom
    from qvit_qiskit.study import plan as plans

    own = phantom(sizes=(30, 20, 20))
    parts = {name: Split(own.split(name).images, np.arange(len(own.split(name))) % 3)
             for name in ("train", "val", "test")}  # fmt: skip
    three = MedImages("breastmnist", **parts, task="multi-class", class_names=("a", "b", "c"),
                      channels=1, md5="three", synthetic=True)  # fmt: skip
    monkeypatch.setattr(plans, "load", lambda name, root: three if name[0] == "b" else own)
    plans.load_set.cache_clear()
    teacher = tmp_path / "teacher"
    fit(ViTConfig(patch_size=14, projection="linear", classes=3), TrainConfig(epochs=1), three,
        folder=teacher)  # fmt: skip
    regime = {"teacher": str(teacher), "pretrain_epochs": 1, "pretrain_dataset": "breastmnist"}
    made = plan(models=VITS, seeds=[0], regimes={"d": regime}, split="test")
    summary = run_study(made, tmp_path / "s")
    plans.load_set.cache_clear()
    assert summary.failed == []
    found = read_findings(tmp_path / "s")
    assert found.teachers == ()
    assert [line["label"] for line in found.tests] == [made.cells[0].label]
    assert found.runs[0].result["history"]["epochs"] == 3


# --- lines on disk -----------------------------------------------------------------------------


def test_a_line_cut_off_by_a_kill_hides_no_other(tmp_path):
    path = tmp_path / "log.jsonl"
    append(path, {"n": 1})
    with path.open("a") as file:
        file.write('{"n": 2, "half')
    append(path, {"n": 3})
    assert read_lines(path) == [{"n": 1}, {"n": 3}]


def test_many_writers_lose_no_line(tmp_path):
    folder = StudyFolder(tmp_path)
    threads = [threading.Thread(target=folder.note_test, kwargs={"n": n}) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(line["n"] for line in folder.tests()) == list(range(8))
    assert Path(tmp_path / "test-evaluations.jsonl").read_text().count("\n") == 8
