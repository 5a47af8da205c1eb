"""What a spec may say; every mistake is one sentence that names it."""

import pytest
from study.studies import write_spec

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.study import load_study, make_plan
from qvit_qiskit.study.plan import draft_cells


def test_a_spec_is_read(tmp_path):
    spec = load_study(write_spec(tmp_path / "a.toml", datasets=["Phantom", "RetinaMNIST"]))
    assert spec.datasets == ("phantom", "retinamnist")
    assert list(spec.models) == ["qvit", "vit"]
    assert spec.split == "val"
    assert spec.folds_of("phantom") == 0


REFUSED = [
    ({"seed": [1]}, "Did you mean 'seeds'?"),
    ({"datasets": []}, "datasets: Tuple should have at least 1 item"),
    ({"datasets": ["phantm"]}, "did you mean 'phantom'?"),
    ({"seeds": [1, 1]}, "seeds: expected each value once"),
    ({"seeds": []}, "seeds: Tuple should have at least 1 item"),
    ({"seeds": [-1]}, "greater than or equal to 0"),
    ({"qubits": None}, "expected either qubits (per head) or widths"),
    ({"widths": [4]}, "expected either qubits (per head) or widths"),
    ({"qubits": None, "widths": [3], "heads": [2]}, "3 cannot be split over 2 heads"),
    ({"models": {"a b": {}}}, "expected a name of letters"),
    ({"models": {"qvit": {"patchsize": 7}}}, "models.qvit: Unknown option 'patchsize'. Did you"),
    ({"models": {"qvit": {"width": 8}}}, "models.qvit: width follows from the grid"),
    ({"models": {"vit": {"matched": 1}}}, "models.vit.matched: expected true or false"),
    ({"models": {"qvit": {"patch_size": 5}}}, "phantom qvit 1 2 scratch: patch_size 5 does not"),
    ({"models": {"a": {}, "b": {}}}, "have the same configuration. Leave one out."),
    ({"compare": [["qvit", "vti"]]}, "compare: Unknown model 'vti'. Did you mean 'vit'?"),
    ({"training": {"epoch": 3}}, "training: Unknown option 'epoch'. Did you mean 'epochs'?"),
    ({"training": {"seed": 3}}, "training: seed follows from the grid"),
    ({"training": {"threads": 3}}, "training: threads follows from the grid"),
    ({"training": {"epochs": 0}}, "epochs: Input should be greater than"),
    ({"regimes": {"d": {"temprature": 4}}}, "regimes.d: Unknown option 'temprature'. Did you"),
    ({"regimes": {"d": {"temperature": 4}}}, 'regimes.d: expected teacher = "..." beside other'),
    (
        {"regimes": {"d": {"teacher": "x", "alpha": 2}}},
        "phantom qvit 1 2 d: alpha: Input should be less",
    ),
    ({"split": "tset"}, "split: Input should be 'test' or 'val', but got 'tset'."),
    ({"folds": 1}, "folds: expected 0, or 2 to 100, but got 1"),
    ({"folds": {"phantm": 3}}, "folds: Unknown data set 'phantm'. Did you mean 'phantom'?"),
    ({"folds": 3, "split": "test"}, 'folds are for split = "val"'),
    ({"overrides": [{"modles": ["qvit"]}]}, "Unknown key of an override 'modles'"),
    ({"overrides": [{"models": ["qvt"]}]}, "overrides[1]: Unknown models 'qvt'. Did you mean"),
    ({"overrides": [{"qubits": [3]}]}, "overrides[1]: Unknown qubits '3'"),
    ({"overrides": [{"training": {"sede": 1}}]}, "overrides[1].training: Unknown option 'sede'"),
    ({"overrides": [{"distillation": {"alpa": 1}}]}, "overrides[1].distillation: Unknown option"),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_mistakes_are_told(tmp_path, changes, told):
    from qvit_qiskit.exceptions import QvitError

    with pytest.raises(QvitError) as caught:
        draft_cells(load_study(write_spec(tmp_path / "a.toml", **changes)))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_specs(tmp_path):
    with pytest.raises(JobError, match=r"does not exist; the package \(.*zoo\) holds examples"):
        load_study(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_text("datasets = [")
    with pytest.raises(JobError, match="not valid TOML"):
        load_study(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(JobError, match="Cannot read the study spec"):
        load_study(tmp_path / "b.toml")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"profiles": ["aer-exct"]}, "Did you mean 'aer-exact'?"),
        ({"profiles": ["ibm-boston"]}, "costs QPU time"),
        ({"training": {"backend": "fake-boston"}}, "only evaluates"),
        ({"regimes": {"d": {"teacher": "nowhere/{dataset}"}}}, "nowhere/phantom does not exist"),
    ],
)
def test_what_a_spec_names_must_be_there(tmp_path, changes, told):
    from qvit_qiskit.exceptions import QvitError

    with pytest.raises(QvitError, match=told):
        make_plan(write_spec(tmp_path / "a.toml", **changes))
