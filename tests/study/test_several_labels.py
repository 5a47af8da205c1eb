"""Studies of sets with several labels of an image: trained, distilled, cut into folds, judged."""

import pytest
import torch
from own_images import arrays, write_archive
from study.studies import write_spec

from qvit_qiskit import TrainConfig, ViTConfig, fit
from qvit_qiskit.data import load
from qvit_qiskit.models import ResNetConfig
from qvit_qiskit.study import make_plan, run_study
from qvit_qiskit.study.results.findings import read_findings
from qvit_qiskit.study.results.frames import score_frame
from qvit_qiskit.study.results.output import write_tables
from qvit_qiskit.training import Distillation, load_checkpoint


@pytest.fixture
def chest(tmp_path, rng):
    made = arrays(rng, 8, 1, labels=5, counts={"train": 24, "val": 16, "test": 8})
    return write_archive(tmp_path / "chest.npz", made)


def teacher_of(chest, folder):
    data = load(str(chest))
    config = ResNetConfig(width=2, blocks=(1,), classes=5, image_size=8)
    fit(config, TrainConfig(epochs=1), data, folder=folder)
    return folder


def test_a_study_trains_distils_and_judges(chest, tmp_path):
    teacher = teacher_of(chest, tmp_path / "teacher")
    spec = write_spec(
        tmp_path / "study.toml",
        datasets=["chest.npz"],
        folds=2,
        models={"vit": {"patch_size": 4, "matched": True}},
        regimes={
            "scratch": {},
            "soft": {"teacher": str(teacher)},
            "hard": {"teacher": str(teacher), "kind": "hard"},
        },
        training={"epochs": 1},
        seeds=[0, 1],
    )
    summary = run_study(make_plan(spec), tmp_path / "s")
    assert (summary.done, summary.failed) == (3 * 2 * 2, [])
    found = read_findings(tmp_path / "s")
    frame = score_frame(found)
    assert len(frame) == 3
    for metric in ("AUC", "ACC"):
        inside = (frame[f"{metric} low"] < frame[metric]) & (
            frame[metric] < frame[f"{metric} high"]
        )
        assert inside.all()
    assert (frame["images"] == 40).all()
    written = {path.name for path in write_tables(spec, tmp_path / "s", tmp_path / "tables")}
    assert {"scores.csv", "differences.csv", "study.html"} <= written


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_distillation_moves_towards_the_teacher(chest, tmp_path, kind):
    """On the teacher alone, its answers are learnt, label by label."""
    data = load(str(chest))

    def teacher(images):
        bright = images.mean(dim=(1, 2, 3))
        return torch.stack([8 * (k - 2) * bright + 2 * (k - 2) for k in range(5)], dim=1)

    config = ViTConfig(
        projection="linear", classes=5, image_size=8, patch_size=4,
        distillation_token=kind == "hard",
    )  # fmt: skip
    how = Distillation(kind=kind, alpha=1.0)
    train = TrainConfig(epochs=8, batch_size=4, distill=how, select="last", learning_rate=0.05)
    result = fit(config, train, data, folder=tmp_path / "run", teacher=teacher)
    terms = [record.distillation for record in result.history]
    assert terms[-1] < 0.7 * terms[0]
    assert load_checkpoint(tmp_path / "run").provenance["teacher"]["name"] == "teacher"
