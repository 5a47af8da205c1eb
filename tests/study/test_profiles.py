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


def test_cells_fail_where_the_worker_has_other_data_or_profiles(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("QVIT_BACKENDS", str(profile(tmp_path / "b", 'kind = "aer"')))
    one = {"vit": {"patch_size": 14, "matched": True}}
    made = plan(models=one, seeds=[0], profiles=["mine"])
    profile(tmp_path / "b", 'kind = "aer"\nshots = 3')
    (failed,) = run_study(made, tmp_path / "s").failed
    assert "The profile 'mine'" in failed.reason
    made = plan(models=one, seeds=[0])
    other = replace(load("phantom"), md5="another")
    monkeypatch.setattr("qvit_qiskit.study.running.work.load_set", lambda name, places: other)
    (failed,) = run_study(made, tmp_path / "t").failed
    assert failed.reason.startswith("The study was planned with phantom of MD5")
