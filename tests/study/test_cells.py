"""From a spec to cells: how many, in which order, and when two of them are the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study.studies import write_spec

from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.study import load_study
from qvit_qiskit.study.cells import (
    Cell,
    SetSource,
    Sources,
    TeacherSource,
    configuration,
)
from qvit_qiskit.study.grid import expand
from qvit_qiskit.study.plan import draft_cells
from qvit_qiskit.training import Distillation, TrainConfig


def cells_of(folder, **changes):
    return draft_cells(load_study(write_spec(folder / "a.toml", **changes)))


def test_the_grid_is_a_product(tmp_path):
    cells = cells_of(
        tmp_path,
        datasets=["phantom", "breastmnist"],
        heads=[1, 2],
        qubits=[2, 3],
        regimes={"scratch": {}, "soft": {"teacher": "t/{dataset}/{seed}"}},
    )
    assert len(cells) == 2 * 2 * 2 * 2 * 2 * 2
    assert len({cell.key for cell in cells}) == len(cells)
    assert {(c.heads, c.qubits, c.config.width) for c in cells} == {
        (1, 2, 2), (1, 3, 3), (2, 2, 4), (2, 3, 6),
    }  # fmt: skip
    taught = {(c.dataset, c.seed, c.teacher_name) for c in cells if c.regime == "soft"}
    assert ("breastmnist", 1, "t/breastmnist/1") in taught
    assert all(c.train.distill is None for c in cells if c.regime == "scratch")
    assert all(c.train.distill.teacher is None for c in cells if c.regime == "soft")


def test_widths_instead_of_qubits(tmp_path):
    cells = cells_of(tmp_path, qubits=None, widths=[4], heads=[1, 2], seeds=[0])
    assert {(c.heads, c.qubits, c.config.width) for c in cells} == {(1, 4, 4), (2, 2, 4)}


def test_seeds_come_one_after_the_other_and_the_most_work_first(tmp_path):
    cells = cells_of(tmp_path, datasets=["phantom", "pneumoniamnist"], training={"epochs": 2})
    assert [c.seed for c in cells] == sorted(c.seed for c in cells)
    assert [c.dataset for c in cells[:4]] == ["pneumoniamnist"] * 2 + ["phantom"] * 2
    assert cells[0].work == 2 * 4708


def test_folds_are_cells(tmp_path):
    cells = cells_of(tmp_path, datasets=["phantom", "breastmnist"], folds={"phantom": 3})
    folds = {(c.dataset, c.fold) for c in cells}
    assert folds == {("phantom", 0), ("phantom", 1), ("phantom", 2), ("breastmnist", None)}
    assert "phantom qvit 1x2 scratch seed 0 fold 2/3" in {c.label for c in cells}


def test_overrides_win_in_their_order(tmp_path):
    cells = cells_of(
        tmp_path,
        overrides=[
            {"models": ["qvit"], "training": {"epochs": 5}, "model": {"mlp_ratio": 2.0}},
            {"datasets": ["phantom"], "models": ["qvit"], "training": {"epochs": 7}},
        ],
    )
    told = {c.model: (c.train.epochs, c.config.mlp_ratio) for c in cells}
    assert told["qvit"] == (7, 2.0)
    assert told["vit"][0] == 2


def test_overrides_of_distillation_are_for_regimes_with_a_teacher(tmp_path):
    cells = cells_of(
        tmp_path,
        regimes={"scratch": {}, "soft": {"teacher": "t"}},
        overrides=[{"models": ["vit"], "distillation": {"teacher": "u/{seed}", "alpha": 0.25}}],
    )
    assert {(c.model, c.regime, c.teacher_name) for c in cells if c.seed == 1} == {
        ("qvit", "scratch", None), ("vit", "scratch", None),
        ("qvit", "soft", "t"), ("vit", "soft", "u/1"),
    }  # fmt: skip
    alphas = {c.model: c.train.distill.label_alpha for c in cells if c.regime == "soft"}
    assert alphas == {"qvit": 0.5, "vit": 0.25}


def test_matched_models_have_as_many_parameters(tmp_path):
    cells = cells_of(tmp_path, heads=[2], qubits=[4])
    configs = {c.model: c.config for c in cells}
    assert configs["vit"] == configs["qvit"].parameter_matched()
    assert configs["vit"].projection == "linear"
    counts = [sum(p.numel() for p in build_model(c, seed=0).parameters()) for c in configs.values()]
    assert abs(counts[0] - counts[1]) <= configs["qvit"].width + 1


def test_hard_distillation_brings_its_token(tmp_path):
    hard = {"teacher": "x", "kind": "hard"}
    cells = cells_of(tmp_path, regimes={"scratch": {}, "hard": hard})
    assert {(c.regime, c.config.distillation_token) for c in cells} == {
        ("scratch", False), ("hard", True),
    }  # fmt: skip


def test_pre_training_on_the_set_itself_is_no_other_set(tmp_path):
    part = {"teacher": "x", "pretrain_epochs": 3, "pretrain_dataset": "phantom"}
    cells = cells_of(tmp_path, datasets=["phantom", "breastmnist"], regimes={"d": part}, seeds=[0])
    found = {c.dataset: (c.pretrain, c.work) for c in cells}
    assert found["phantom"] == (None, 600 * 3 + 8 * 2)
    assert found["breastmnist"][0].md5 == "phantom"


# --- keys ------------------------------------------------------------------------------------


CELL = Cell(
    "phantom", "qvit", 1, 2, "soft", 0, 3, "val",
    ViTConfig(width=2, heads=1),
    TrainConfig(distill=Distillation(pretrain_epochs=2)),
    SetSource(1, 2, "abc", 600), SetSource(1, 2, "def", 500),
    TeacherSource("digest", "28 x 28"), "t/phantom", "profile",
)  # fmt: skip

MODELS = st.builds(
    ViTConfig.create,
    width=st.sampled_from([2, 4]),
    heads=st.sampled_from([1, 2]),
    depth=st.integers(1, 3),
    patch_size=st.sampled_from([4, 7, 14]),
    mlp_ratio=st.floats(0.5, 4),
    circuit=st.sampled_from(["ry-ring", "rx-rz-ring"]),
    circuit_layers=st.integers(1, 3),
    projection=st.sampled_from(["qnn", "linear"]),
)
TRAININGS = st.builds(
    TrainConfig.create,
    epochs=st.integers(1, 5),
    learning_rate=st.floats(1e-4, 1),
    seed=st.integers(0, 3),
    augment=st.sampled_from(["none", "shift"]),
    class_weights=st.booleans(),
    distill=st.none() | st.builds(Distillation.create, temperature=st.floats(1, 9)),
)
WORDS = st.text("0123456789abcdef", min_size=1, max_size=3)
SETS = st.builds(SetSource, st.just(1), st.just(2), WORDS, st.just(600))
TEACHERS = st.builds(TeacherSource, WORDS, WORDS)
CELLS = st.builds(
    replace,
    st.just(CELL),
    split=st.sampled_from(["val", "test"]),
    fold=st.none() | st.integers(0, 2),
    folds=st.integers(2, 4),
    config=MODELS,
    train=TRAININGS,
    source=SETS,
    pretrain=st.none() | SETS,
    teacher=st.none() | TEACHERS,
    backend=WORDS,
)


def ingredients(cell):
    """Everything that determines a cell's result."""
    return (
        cell.split, cell.fold, cell.folds, cell.config, cell.train, cell.source.md5,
        cell.pretrain and cell.pretrain.md5, cell.teacher, cell.backend,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(CELLS, CELLS)
def test_keys_are_equal_exactly_where_all_ingredients_are(one, two):
    assert (one.key == two.key) == (ingredients(one) == ingredients(two))


@settings(max_examples=60, deadline=None)
@given(CELLS, st.sampled_from(list("scfmtdpeb")), CELLS)
def test_any_changed_ingredient_changes_the_key(cell, which, other):
    field = {
        "s": "split", "c": "config", "f": "fold", "m": "folds", "t": "train", "d": "source",
        "p": "pretrain", "e": "teacher", "b": "backend",
    }[which]  # fmt: skip
    changed = replace(cell, **{field: getattr(other, field)})
    assert (changed.key == cell.key) == (ingredients(changed) == ingredients(cell))


@pytest.mark.parametrize("field", ["model", "regime", "teacher_name", "dataset"])
def test_names_are_no_ingredients(field):
    assert replace(CELL, **{field: "another"}).key == CELL.key


@pytest.mark.parametrize("options", [ViTConfig.model_fields, TrainConfig.model_fields])
def test_every_option_is_in_the_recipe(options):
    recipe = CELL.recipe()
    part = recipe["model"] if options is ViTConfig.model_fields else recipe["train"]
    assert part.keys() == options.keys()


def test_a_key_is_the_same_on_every_machine():
    plain = replace(
        CELL, config=ViTConfig(), train=TrainConfig(), pretrain=None, teacher=None, fold=None
    )
    assert plain.key == replace(plain).key
    assert len(plain.key) == 32
    assert set(plain.key) <= set("0123456789abcdef")


# --- configurations --------------------------------------------------------------------------


def test_a_configuration_is_what_is_trained_and_not_how_it_is_judged(tmp_path):
    on_val = configuration(cells_of(tmp_path))
    assert configuration(cells_of(tmp_path, split="test")) == on_val
    assert configuration(cells_of(tmp_path, folds=4)) == on_val
    assert configuration(cells_of(tmp_path, profiles=["aer-shots"], description="x")) == on_val
    renamed = {"a": {"patch_size": 14}, "b": {"patch_size": 14, "matched": True}}
    assert configuration(cells_of(tmp_path, models=renamed)) == on_val
    for changes in (
        {"seeds": [0, 2]}, {"seeds": [0]}, {"heads": [2]}, {"qubits": [3]},
        {"training": {"epochs": 3}}, {"models": {"qvit": {"patch_size": 14}}},
        {"regimes": {"d": {"teacher": "x"}}},
    ):  # fmt: skip
        assert configuration(cells_of(tmp_path, **changes)) != on_val


def test_the_teachers_contents_count_not_its_place(tmp_path):
    spec = load_study(write_spec(tmp_path / "a.toml", regimes={"d": {"teacher": "here"}}))
    other = load_study(write_spec(tmp_path / "b.toml", regimes={"d": {"teacher": "there"}}))
    sets = {"phantom": SetSource(1, 2, "md5", 600)}

    def keys(spec, name, digest):
        teachers = {name: TeacherSource(digest, "plain")}
        return [c.key for c in expand(spec, Sources(sets, teachers, {"aer-exact": "p"}))]

    assert keys(spec, "here", "one") == keys(other, "there", "one")
    assert keys(spec, "here", "one") != keys(spec, "here", "two")


STUDIES = Path(__file__).parents[2] / "docs" / "studies"


def shipped(name):
    return draft_cells(load_study(STUDIES / f"{name}.toml"))


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_specs_are_sound(path):
    assert draft_cells(load_study(path))


def test_the_shipped_studies_are_one_configuration():
    """The search chose it, the studies of three and eight sets and of qubits use it."""
    three = {cell.key: cell for cell in shipped("three-sets")}
    assert len(three) == 3 * 2 * 2 * 2 * 5
    assert {cell.qubits for cell in three.values()} == {4}
    assert three.keys() <= {cell.key for cell in shipped("eight-sets")}
    qubits = shipped("qubits")
    assert len(qubits) == 3 * 2 * 2 * 2 * 5
    assert {c.key for c in qubits if c.qubits == 4} == {
        key for key, c in three.items() if c.heads == 1
    }
    searched = {(c.dataset, c.model, c.config, c.train) for c in shipped("search")}
    chosen = [c for c in three.values() if (c.heads, c.regime, c.seed) == (2, "scratch", 0)]
    assert len(chosen) == 3 * 2
    for cell in chosen:
        assert (cell.dataset, cell.model, cell.config, cell.train) in searched
        told = {"channels": cell.config.channels, "classes": cell.config.classes}
        plain = ViTConfig(**told)  # what helps is the default
        assert cell.config == (plain if cell.model == "qvit" else plain.parameter_matched())
        assert (cell.train.augment, cell.train.contrast) == (
            TrainConfig().augment, TrainConfig().contrast,
        )  # fmt: skip
