"""Profiles by content, and workers that find other contents than the study was planned with."""

import json
from dataclasses import replace

import pytest

from qvit_qiskit.data import load
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.exceptions import ProfileError, RouteError
from qvit_qiskit.ibm.sender import properties_json
from qvit_qiskit.study import run_study
from qvit_qiskit.study.profiles import open_profile, same_profile


def profile(folder, text, name="mine"):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(text)
    return folder


def test_what_a_profile_says_is_its_identity(tmp_path):
    def digest(text):
        return open_profile("mine", profile(tmp_path / "b", text))[0].digest

    plain = digest('kind = "aer"\nshots = 8')
    assert digest('kind = "aer"\ndescription = "other words"\nshots = 8') == plain
    assert digest('shots = 8\nkind = "aer"\nseed = 0') == plain
    others = {digest('kind = "aer"'), digest('kind = "aer"\nshots = 9'),
              digest('kind = "aer"\nshots = 8\nnoise = "fake_torino"')}  # fmt: skip
    assert len(others | {plain}) == 4
    assert open_profile("mine", tmp_path / "b")[0].shots == 8


def test_a_calibration_file_is_part_of_its_profile(tmp_path):
    folder = profile(tmp_path / "b", 'kind = "aer"\nnoise = "lab.json"')
    told = json.loads(properties_json(bundled_device("fake_torino")))
    (folder / "lab.json").write_text(json.dumps(told))
    before = open_profile("mine", folder)[0].digest
    (folder / "lab.json").write_text(json.dumps(told, indent=3))
    assert open_profile("mine", folder)[0].digest == before
    told["gates"][0]["parameters"][0]["value"] *= 2
    (folder / "lab.json").write_text(json.dumps(told))
    assert open_profile("mine", folder)[0].digest != before


def test_another_profile_of_the_same_name_is_refused(tmp_path):
    folder = profile(tmp_path / "b", 'kind = "aer"')
    planned, _ = open_profile("mine", folder)
    assert same_profile(planned, folder).profile.kind == "aer"
    profile(folder, 'kind = "aer"\nshots = 3')
    with pytest.raises(ProfileError, match="is not the one that the study was planned with"):
        same_profile(planned, folder)
    with pytest.raises(RouteError, match="only evaluates"):
        open_profile("fake-torino", training=True)


NOISY_BEFORE = "d765c0eb046ac71a9c6e5887b3454c1201ddecf85a5e4c3dd1b8967e1f2485c1"
SHOTS_BEFORE = "3904dec57317bf9b0c9dd4d0897b9a3f02b6ba93e7ddaf672f59c4ba4fa107f4"
NOISY = 'kind = "aer"\nnoise = "fake_guadalupe"\nshots = 8'


def test_profiles_without_waits_are_those_of_before(tmp_path):
    """SHA-256 as this package told it before there was the field `idle`."""
    text = {
        NOISY + "\nidle = false": NOISY_BEFORE,
        'kind = "aer"\nshots = 8': SHOTS_BEFORE,
        'kind = "aer"\nshots = 8\nidle = false': SHOTS_BEFORE,
    }
    for number, (said, known) in enumerate(text.items()):
        assert open_profile("mine", profile(tmp_path / str(number), said))[0].digest == known
    folder = profile(tmp_path / "b", NOISY)
    now, route = open_profile("mine", folder)
    assert now.digest != NOISY_BEFORE
    assert route.profile.idle
    before = replace(now, digest=NOISY_BEFORE)
    assert not same_profile(before, folder).profile.idle
    assert same_profile(now, folder).profile.idle
    with pytest.raises(ProfileError, match="is not the one"):
        same_profile(replace(now, digest="other"), folder)


def test_a_study_keeps_what_it_was_begun_with(plan, tmp_path, monkeypatch):
    """Its trainings and evaluations under noise, as they were keyed before waits counted."""
    monkeypatch.setenv("QVIT_BACKENDS", str(profile(tmp_path / "b", NOISY + "\nidle = false")))
    training = {"epochs": 1, "subset": 8, "batch_size": 4, "backend": "mine"}
    options = {"models": {"qvit": {"patch_size": 14}}, "training": training}
    options |= {"seeds": [0], "profiles": ["mine"]}
    first = run_study(plan(**options), tmp_path / "s")
    assert (first.found, first.done) == (0, 1)
    profile(tmp_path / "b", NOISY)  # waits count now
    again = run_study(plan(**options), tmp_path / "s")
    assert (again.found, again.done) == (1, 0)
    anew = run_study(plan(**options), tmp_path / "t")
    assert (anew.found, anew.done) == (0, 1)
    kept, other = (json.loads((tmp_path / f / "plan.json").read_text()) for f in "st")
    assert kept["profiles"] != other["profiles"]
    assert kept["cells"] != other["cells"]


def test_cells_fail_where_the_worker_has_other_data_or_profiles(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("QVIT_BACKENDS", str(profile(tmp_path / "b", 'kind = "aer"')))
    one = {"vit": {"patch_size": 14, "matched": True}}
    made = plan(models=one, seeds=[0], profiles=["mine"])
    profile(tmp_path / "b", 'kind = "aer"\nshots = 3')
    (failed,) = run_study(made, tmp_path / "s").failed
    assert "The profile 'mine'" in failed.reason
    made = plan(models=one, seeds=[0])
    other = replace(load("phantom"), md5="another")
    monkeypatch.setattr("qvit_qiskit.study.running.cell_work.load_set", lambda name, places: other)
    (failed,) = run_study(made, tmp_path / "t").failed
    assert failed.reason.startswith("The study was planned with phantom of MD5")
