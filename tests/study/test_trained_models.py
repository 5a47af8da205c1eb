"""Trainings of a study as small files with cards: weights as they were, scores of the study."""

import pytest
import torch
from study.studies import made_up, random_answers, write_spec

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.models import build_model
from qvit_qiskit.study.folder import StudyFolder
from qvit_qiskit.study.results.trained_models import write_models
from qvit_qiskit.training import load_checkpoint, save_checkpoint
from qvit_qiskit.zoo.cards import CARD


def study(place, unfinished=(), **changes):
    """A plan of four cells with made-up scores, and untrained models in the place of trained."""
    options = {"datasets": ["breastmnist"], "split": "test", **changes}
    spec = write_spec(place / "a.toml", **options)
    plan = made_up(spec, place / "s", random_answers(), unfinished)
    for cell in plan.cells:
        folder = StudyFolder(place / "s").cell(cell.key) / "training"
        folder.mkdir(parents=True)
        model = build_model(cell.config, seed=cell.seed)
        save_checkpoint(folder / "best.safetensors", model, {"dataset": cell.dataset})
    return plan


def test_every_training_becomes_a_file(tmp_path):
    plan = study(tmp_path)
    files = write_models(tmp_path / "s", tmp_path / "models")
    assert {path.stem for path in files} == {
        f"{model}-breastmnist-{seed}" for model in ("qvit", "vit") for seed in (0, 1)
    }
    for cell in plan.cells:
        loaded = load_checkpoint(
            tmp_path / "models" / f"{cell.model}-breastmnist-{cell.seed}.safetensors"
        )
        before = build_model(cell.config, seed=cell.seed).state_dict()
        for name, weights in loaded.model.state_dict().items():
            assert torch.equal(weights, before[name])
        card = loaded.provenance[CARD]
        assert (card["seed"], card["key"], card["images"]) == (cell.seed, cell.key, 40)
        assert (card["auc"], card["parameters"]) == (0.5, 901)
        assert loaded.provenance["dataset"] == "breastmnist"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unfinished": ["breastmnist qvit 1x2 scratch seed 1"]}, "misses 1 trainings"),
        ({"split": "val"}, "split 'val'"),
        ({"datasets": ["phantom"]}, "whose source is known, but got 'phantom'"),
    ],
)
def test_what_is_no_finished_study_of_known_images_is_refused(tmp_path, changes, words):
    study(tmp_path, **changes)
    with pytest.raises(JobError, match="Expected a") as caught:
        write_models(tmp_path / "s", tmp_path / "models")
    assert words in str(caught.value)
    assert not list((tmp_path / "models").glob("*"))
