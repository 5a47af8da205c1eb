"""Trained models planned on devices: priced beside their scores, once, and without labels."""

import json
import re

import pandas as pd
import pytest

from qvit_qiskit import load, load_checkpoint, plan
from qvit_qiskit.exceptions import JobError, ProfileError, RouteError
from qvit_qiskit.study import make_plan, run_study
from qvit_qiskit.study.plan import Places
from qvit_qiskit.study.planned_devices import check_same
from qvit_qiskit.study.results.findings import read_findings
from qvit_qiskit.study.results.frames import plan_frame
from qvit_qiskit.study.results.output import write_tables
from tests.study.studies import TINY, write_spec

ASKED = {"backends": ["mine"], "agreement": 0.7, "settings": {"k": 1}}
PROFILE = 'kind = "fake"\ndevice = "fake_torino"\nshots = "auto"\nk = "auto"\nreadout = "gates"\n'


@pytest.fixture
def places(tmp_path):
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text(PROFILE)
    return Places(backends_dir=tmp_path / "profiles")


def results(study, folder):
    return {
        cell.label: json.loads((folder / "cells" / cell.key / "result.json").read_text())
        for cell in study.cells
    }


def test_a_finished_study_plans_its_models_and_trains_nothing(tmp_path, places):
    spec, folder = write_spec(tmp_path / "s.toml"), tmp_path / "study"
    run_study(make_plan(spec, places), folder)
    before = results(make_plan(spec, places), folder)
    assert not any("plans" in one for one in before.values())

    write_spec(spec, plans=ASKED | {"seeds": [1]})
    study = make_plan(spec, places)
    assert run_study(study, folder).done == 1  # seed 1 of the QViT; a ViT has no circuits
    after = results(study, folder)
    planned = [label for label, one in after.items() if "plans" in one]
    assert planned == ["phantom qvit 1x2 scratch seed 1"]
    assert {k: {**v, "plans": 0} for k, v in after.items()} == {
        k: {**v, "plans": 0} for k, v in before.items()
    }
    assert run_study(study, folder).outcomes == {}  # nothing is left

    cell = next(cell for cell in study.cells if cell.label == planned[0])
    model = load_checkpoint(folder / "cells" / cell.key / "training").model
    expected = plan(
        model, load("phantom").val, "mine", agreement=0.7, settings={"k": 1}, seed=1,
        backends_dir=places.backends_dir,
    )  # fmt: skip
    (kept,) = after[planned[0]]["plans"]
    assert kept["device"] == expected.device == "fake_torino"
    assert kept["images"] == expected.images == 120
    assert kept["request"] == {"tolerance": None, "agreement": 0.7}
    assert kept["choice"]["shots"] == expected.choice.shots
    assert kept["choice"]["seconds"] == expected.choice.seconds
    assert kept["choice"]["auc_bound"] == pytest.approx(expected.choice.auc_bound, abs=1e-12)
    assert kept["choice"]["k"] == 1

    found = plan_frame(read_findings(folder))
    assert list(found["QPU seconds"]) == [expected.choice.seconds]
    write_tables(spec, folder, tmp_path / "tables")
    page = (tmp_path / "tables" / "study.md").read_text()
    assert "## On a processor" in page
    line = next(line for line in page.splitlines() if "fake_torino" in line)
    assert f" 1 of 1 | {expected.choice.seconds:.1f} | {expected.choice.both_shots} | 1 |" in line
    frame = pd.read_csv(tmp_path / "tables" / "plans.csv")
    assert (frame["refused"].isna() & (frame["asked"].str.contains(r"70\.0%"))).all()


def test_what_cannot_be_met_is_an_answer_of_the_study(tmp_path, places):
    asked = {"backends": ["mine"], "tolerance": 1e-5, "settings": {"k": 1}}
    spec = write_spec(
        tmp_path / "s.toml", plans=asked, seeds=[0], models={"qvit": TINY["models"]["qvit"]}
    )
    study, folder = make_plan(spec, places), tmp_path / "study"
    assert run_study(study, folder).done == 1
    assert run_study(study, folder).outcomes == {}
    (result,) = results(study, folder).values()
    (kept,) = result["plans"]
    assert "choice" not in kept
    assert "tolerance" in kept["refused"]
    write_tables(spec, folder, tmp_path / "tables")
    page = (tmp_path / "tables" / "study.md").read_text()
    assert f"Refused: {kept['refused']}" in page
    assert re.search(r"\| 0 of 1 \| – \|", page)


def test_plans_that_are_refused_are_counted_with_those_that_are_met(tmp_path, places):
    """Of one profile; another of the same device stands in a line of its own."""
    (places.backends_dir / "other.toml").write_text(PROFILE + "buffer = 1\n")
    asked = ASKED | {"backends": ["mine", "other"], "seeds": [0]}
    spec, folder = write_spec(tmp_path / "s.toml", plans=asked), tmp_path / "study"
    run_study(make_plan(spec, places), folder)
    write_spec(spec, plans=ASKED | {"backends": ["mine", "other"]})
    study = make_plan(spec, places)
    (first, second) = (c for c in study.cells if c.model == "qvit")
    known = json.loads((folder / "cells" / first.key / "result.json").read_text())["plans"]
    path = folder / "cells" / second.key / "result.json"
    result = json.loads(path.read_text())
    result["plans"] = [{**known[0], "refused": "Too much."}, known[1]]
    del result["plans"][0]["choice"]
    path.write_text(json.dumps(result))
    assert run_study(study, folder).outcomes == {}
    write_tables(spec, folder, tmp_path / "tables")
    page = (tmp_path / "tables" / "study.md").read_text()
    counts = re.findall(r"(\w+) on fake_torino \| [^|]*\| (\d of \d) \|", page)
    assert counts == [("mine", "1 of 2"), ("other", "2 of 2")]


def test_a_circuit_that_no_plan_can_follow_is_an_answer(tmp_path, places):
    spec = write_spec(
        tmp_path / "s.toml", plans=ASKED, seeds=[0], qubits=[16],
        models={"qvit": {"patch_size": 14, "circuit": "ry-ring"}},
        training={"epochs": 1, "subset": 8, "batch_size": 4},
    )  # fmt: skip
    study, folder = make_plan(spec, places), tmp_path / "study"
    assert run_study(study, folder).failed == []
    (result,) = results(study, folder).values()
    assert "depend on few qubits" in result["plans"][0]["refused"]
    assert result["plans"][0]["device"] == "fake_torino"


def test_another_request_or_profile_plans_anew_and_words_do_not(tmp_path, places):
    spec = write_spec(tmp_path / "s.toml", plans=ASKED)
    (first,) = make_plan(spec, places).devices
    path = places.backends_dir / "mine.toml"
    path.write_text(PROFILE + 'description = "another word"\n')
    (worded,) = make_plan(spec, places).devices
    assert worded.digest == first.digest
    check_same(first, places.backends_dir)
    write_spec(spec, plans=ASKED | {"agreement": 0.8})
    (other,) = make_plan(spec, places).devices
    path.write_text(PROFILE + "buffer = 1\n")
    write_spec(spec, plans=ASKED)
    (changed,) = make_plan(spec, places).devices
    assert len({first.digest, other.digest, changed.digest}) == 3
    with pytest.raises(ProfileError, match="not the one that the study was planned with"):
        check_same(first, places.backends_dir)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"backends": []}, JobError, "backends"),
        ({"backends": ["mine", "mine"]}, JobError, "each value once"),
        ({"backends": ["aer-exact"]}, RouteError, "kind 'aer' and costs no QPU time"),
        ({"backends": ["ibm-botson"]}, ProfileError, "ibm-boston"),
        ({"backends": ["mine"], "tolerance": 2.0}, JobError, "tolerance between 0 and 1"),
        ({"backends": ["mine"], "agreement": 0.0}, JobError, "agreement above 0"),
        ({"backends": ["mine"], "seeds": [7]}, JobError, "expected seeds of the study, got 7"),
        ({"backends": ["mine"], "tolerence": 0.1}, JobError, "tolerance"),
        ({"backends": ["mine"], "settings": {"shotz": 1}}, JobError, "shots"),
        ({"tolerance": 0.1}, JobError, "backends"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_trained(tmp_path, places, changes, error, says):
    spec = write_spec(tmp_path / "s.toml", plans=changes)
    with pytest.raises(error, match=says):
        make_plan(spec, places)


def test_an_unknown_device_is_a_mistake(tmp_path, places):
    (places.backends_dir / "mine.toml").write_text(PROFILE.replace("torino", "turin"))
    spec = write_spec(tmp_path / "s.toml", plans=ASKED)
    with pytest.raises(RouteError, match="fake_torino"):
        make_plan(spec, places)
