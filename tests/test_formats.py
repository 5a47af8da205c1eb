"""Numbers of formats, and fields that are younger than what was stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored.answers import STORED

from qvit_qiskit.devices import calibration
from qvit_qiskit.exceptions import CheckpointError, ConfigError, JobError
from qvit_qiskit.formats import Format
from qvit_qiskit.hardware import journal
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.models.config import ResNetConfig
from qvit_qiskit.profile import AerProfile, FakeProfile, IbmProfile
from qvit_qiskit.spec import Old, Spec
from qvit_qiskit.study import cells, folder, frozen_configuration
from qvit_qiskit.study.cells import Cell, SetSource, TeacherSource, configuration
from qvit_qiskit.training import Distillation, TrainConfig, checkpoint, trainer
from qvit_qiskit.training.teachers.teacher import digest

FORMATS = [
    *(journal.FORMAT, checkpoint.FORMAT, trainer.FORMAT),
    *(folder.FORMAT, frozen_configuration.FORMAT, calibration.FORMAT),
]
NAMES = [one.what for one in FORMATS]


@pytest.mark.parametrize("form", FORMATS, ids=NAMES)
def test_this_version_reads_what_it_writes_and_what_was_before(form: Format) -> None:
    assert [form.check(k, "here") for k in range(1, form.number + 1)] == [
        *range(1, form.number + 1)
    ]


@pytest.mark.parametrize("form", FORMATS, ids=NAMES)
@given(beyond=st.integers(1, 10**9))
def test_a_later_format_is_refused_in_a_sentence(form: Format, beyond: int) -> None:
    later = form.number + beyond
    with pytest.raises(form.refusal) as refused:
        form.check(later, "some/place")
    said = str(refused.value)
    assert f"some/place is a {form.what} of format {later}" in said
    assert f"reads formats up to {form.number}" in said
    assert "Upgrade qvit-qiskit" in said


@pytest.mark.parametrize("form", FORMATS, ids=NAMES)
@pytest.mark.parametrize("number", [0, -1, True, 1.0, "1", "one", "", [1], {}])
def test_what_no_version_wrote_is_refused(form: Format, number: object) -> None:
    with pytest.raises(form.refusal, match=r"Expected a .* with a format from 1 to"):
        form.check(number, "here")


@pytest.mark.parametrize("form", FORMATS, ids=NAMES)
def test_only_what_was_stored_before_there_were_numbers_may_lack_one(form: Format) -> None:
    if form.what in ("run folder", "checkpoint"):
        with pytest.raises(form.refusal, match="has no format number"):
            form.check(None, "here")
    else:
        assert form.check(None, "here") == 0


# --- fields that are younger than what was stored -----------------------------------------------


def stored_fields() -> dict[type[Spec], set[str]]:
    """The fields that version 75478f1 stored, by class."""
    settings = json.loads((STORED / "training" / "distilled" / "train.json").read_text())
    events = (STORED / "finished" / "run" / "journal.jsonl").read_text().splitlines()
    terms = next(e["terms"] for e in map(json.loads, events) if e["event"] == "evaluation")
    killed = (STORED / "killed" / "unsent" / "journal.jsonl").read_text().splitlines()
    ibm = next(e["terms"] for e in map(json.loads, killed) if e["event"] == "evaluation")
    resnet = checkpoint.load_checkpoint(STORED / "checkpoints" / "resnet.safetensors").model
    return {
        ViTConfig: set(settings["model"]),
        TrainConfig: set(settings["train"]),
        Distillation: set(settings["train"]["distill"]),
        AerProfile: set(settings["profile"]),
        FakeProfile: set(terms["profile"]),
        IbmProfile: set(ibm["profile"]),
        ResNetConfig: set(resnet.config.model_dump()),
    }


def test_a_field_that_is_added_tells_its_old_value() -> None:
    """Whoever adds a field must say what folders mean that lack it, and keys must leave it out."""
    for spec, stored in stored_fields().items():
        assert stored <= set(spec.model_fields), spec
        assert set(spec.model_fields) - stored <= set(spec.later), spec
        for name, old in spec.later.items():
            assert old.keyed == (name in stored), (spec, name)


@pytest.mark.parametrize(
    ("spec", "field"),
    [(s, f) for s in (ViTConfig, TrainConfig, FakeProfile, IbmProfile) for f in s.later],
)
def test_a_record_without_a_field_means_its_old_value(spec: type[Spec], field: str) -> None:
    required = {FakeProfile: {"device": "fake_fez", "kind": "fake"}}
    required[IbmProfile] = {"device": "ibm_fez", "kind": "ibm"}
    record = spec.create(**required.get(spec, {})).model_dump()
    del record[field]
    assert getattr(spec.restored(record), field) == spec.later[field].value


def test_a_record_that_lacks_what_was_always_there_is_damaged() -> None:
    record = TrainConfig().model_dump()
    del record["epochs"]
    with pytest.raises(ConfigError, match="training option 'epochs' is missing"):
        TrainConfig.restored(record)


def test_terms_without_a_field_mean_its_old_value() -> None:
    profile = FakeProfile(kind="fake", device="fake_fez", k=3)
    terms = Terms(profile, 128, 9.0, 0.5, control_rows=2, anchor_rows=2)
    record = json.loads(json.dumps(terms.record()))
    assert Terms.from_record(record) == terms
    del record["control_rows"], record["anchor_rows"], record["profile"]["k"]
    old = replace(terms, profile=profile.model_copy(update={"k": 1}), control_rows=0, anchor_rows=0)
    assert Terms.from_record(record) == old


# --- keys and digests ---------------------------------------------------------------------------


class LaterDistillation(Distillation):
    """With a field that does not exist yet; its default is not its old value."""

    later = {"softness": Old(0.0)}  # noqa: RUF012
    softness: float = 0.3


class LaterTrain(TrainConfig):
    """The same of a training, and within it."""

    later = {**TrainConfig.later, "smoothing": Old(0.0), "distill": Old(None, keyed=True)}  # noqa: RUF012
    smoothing: float = 0.1
    distill: LaterDistillation | None = None


class LaterViT(ViTConfig):
    """The same of a model."""

    later = {**ViTConfig.later, "dropout": Old(0.0)}  # noqa: RUF012
    dropout: float = 0.1


class LaterProfile(AerProfile):
    """The same of a profile."""

    later = {**AerProfile.later, "method": Old("auto")}  # noqa: RUF012
    method: Literal["auto", "tensor"] = "tensor"


def cell(**changes: Any) -> Cell:
    """A cell with everything that a cell can have."""
    how = Distillation(kind="soft", temperature=2.0, pretrain_epochs=2, pretrain_dataset="phantom")
    whole = Cell(
        "breastmnist", "qvit", 2, 4, "soft", 0, 5, "val", ViTConfig(), TrainConfig(distill=how),
        SetSource(1, 2, "a" * 32, 500), SetSource(1, 2, "b" * 32, 100),
        TeacherSource("c" * 64, "none"), "teacher", "d" * 64,
    )  # fmt: skip
    return replace(whole, **changes)


def later_train(smoothing: float = 0.0, softness: float = 0.0) -> LaterTrain:
    how = cell().train.distill.model_dump()
    return LaterTrain(distill=LaterDistillation(**how, softness=softness), smoothing=smoothing)


def test_a_new_field_at_its_old_value_changes_no_key() -> None:
    same = cell(config=LaterViT(dropout=0.0), train=later_train())
    assert same.recipe() == cell().recipe()
    assert same.key == cell().key
    assert configuration([same]) == configuration([cell()])


@pytest.mark.parametrize(
    "changes",
    [
        {"config": LaterViT()},
        {"config": LaterViT(dropout=0.2)},
        {"train": later_train(smoothing=0.1)},
        {"train": later_train(softness=0.3)},
    ],
)
def test_a_new_field_at_another_value_changes_the_key(changes: Mapping[str, Any]) -> None:
    assert cell(**changes).key != cell().key
    assert configuration([cell(**changes)]) != configuration([cell()])


def test_a_record_from_before_means_the_old_value_and_not_the_default() -> None:
    old = TrainConfig(distill=Distillation(temperature=3.0)).model_dump()
    found = LaterTrain.restored(old)
    assert (found.smoothing, found.distill.softness) == (0.0, 0.0)
    assert found.ingredients() == TrainConfig.restored(old).ingredients()


def test_a_profile_with_a_new_field_is_known_by_the_same_ingredients() -> None:
    now = AerProfile(kind="aer", shots=100)
    assert LaterProfile(kind="aer", shots=100, method="auto").ingredients() == now.ingredients()
    assert LaterProfile(kind="aer", shots=100).ingredients() != now.ingredients()


def test_a_teacher_with_a_new_field_has_the_same_digest() -> None:
    model = small_model()
    before = digest(model)
    shape = model.config.model_dump()
    model.config = LaterViT(**shape, dropout=0.0)
    assert digest(model) == before
    model.config = LaterViT(**shape, dropout=0.5)
    assert digest(model) != before


def small_model() -> Any:
    return build_model(ViTConfig(projection="linear", width=4, heads=1), seed=0)


def other(spec: Spec, name: str) -> Any:
    """Another valid value of a field, or None where this test knows none."""
    value, field = getattr(spec, name), type(spec).model_fields[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return 2 * value + 2
    if isinstance(value, float):
        return value / 2 + 0.01
    choices = [c for c in get_args(field.annotation) if isinstance(c, str) and c != value]
    return choices[0] if choices else OTHERS.get(name)


OTHERS = {
    "dataset": "breastmnist",
    "backend": "aer-shots",
    "circuit": "ry-chain",
    "subset": 64,
    "alpha": 0.3,
    "teacher": "t",
    "pretrain_dataset": "pneumoniamnist",
}
"""Of the fields that hold any text, or nothing at first."""


@pytest.mark.parametrize("part", ["config", "train", "distill"])
def test_every_field_is_an_ingredient_of_the_key(part: str) -> None:
    """A field with another value makes another key, whichever it is."""
    base = cell()
    spec = {"config": base.config, "train": base.train, "distill": base.train.distill}[part]
    keys = {base.key}
    names = [name for name in type(spec).model_fields if name != "distill"]
    for name in names:
        value = other(spec, name)
        assert value is not None, name
        changed = spec.model_copy(update={name: value})
        if part == "distill":
            changed = base.train.model_copy(update={"distill": changed})
        keys.add(cell(**{"config" if part == "config" else "train": changed}).key)
    assert len(keys) == 1 + len(names)


@pytest.mark.parametrize(
    "changes",
    [
        {"split": "test"},
        {"fold": 1},
        {"fold": None},
        {"folds": 6},
        {"source": SetSource(1, 2, "e" * 32, 500)},
        {"pretrain": SetSource(1, 2, "e" * 32, 100)},
        {"pretrain": None},
        {"teacher": TeacherSource("e" * 64, "none")},
        {"teacher": TeacherSource("c" * 64, "other")},
        {"teacher": None},
        {"backend": "e" * 64},
    ],
)
def test_everything_else_that_determines_a_result_is_one_too(changes: Mapping[str, Any]) -> None:
    assert cell(**changes).key != cell().key


def test_another_number_of_the_format_makes_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cell().key
    monkeypatch.setattr(cells, "FORMAT", cells.FORMAT + 1)
    assert cell().key != before


def test_refusals_are_of_the_kinds_that_commands_answer() -> None:
    assert {journal.FORMAT.refusal, folder.FORMAT.refusal, frozen_configuration.FORMAT.refusal} == {
        JobError
    }
    assert {checkpoint.FORMAT.refusal, trainer.FORMAT.refusal} == {CheckpointError}
