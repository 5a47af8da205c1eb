"""The trained models of a study as small files with cards: how the package's own are made.

`make zoo` runs the study and this file: ``python -m qvit_qiskit.study.results.trained_models
STUDY_FOLDER TARGET_FOLDER``. Every finished training is taken, whatever its score.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from qvit_qiskit.data import medmnist
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.files import atomic
from qvit_qiskit.study.folder import StudyFolder
from qvit_qiskit.study.results.findings import Run, read_findings
from qvit_qiskit.zoo.cards import CARD, ModelCard
from qvit_qiskit.zoo.names import SUFFIX, checkpoint_file

SOURCES = {
    "breastmnist": "Al-Dhabyani et al., Data in Brief 28, 104863 (2020), "
    "doi:10.1016/j.dib.2019.104863",
    "retinamnist": "DeepDRiD: Liu et al., Patterns 3(6), 100512 (2022), "
    "doi:10.1016/j.patter.2022.100512",
    "pneumoniamnist": "Kermany et al., Cell 172(5), 1122-1131 (2018), "
    "doi:10.1016/j.cell.2018.02.010",
}
"""Who made the images of a set, whose licence asks for their names."""
CITATION = "MedMNIST v2: Yang et al., Scientific Data 10, 41 (2023), doi:10.1038/s41597-022-01721-8"


def write_models(study: Path, target: Path) -> list[Path]:
    """Write every finished training of a study on a test split as a file with its card.

    Args:
        study: The study's folder, of one training for each set, model and seed.
        target: Where ``MODEL-SET-SEED.safetensors`` are written.

    Returns:
        The files.

    Raises:
        JobError: If the study is not finished, is none of a test split, or a set's source is not
            known.
    """
    findings = read_findings(study)
    if findings.missing or findings.spec["split"] != "test":
        raise JobError(
            f"Expected a finished study of a test split, but {study} is of the split "
            f"{findings.spec['split']!r} and misses {len(findings.missing)} trainings. Run "
            "`qvit study` with that folder as --out again."
        )
    target.mkdir(parents=True, exist_ok=True)
    return [_write(run, target) for run in findings.runs]


def _write(run: Run, target: Path) -> Path:
    """The checkpoint of a training with its card in the header; weights and digest as they are."""
    source = checkpoint_file(StudyFolder(run.place.path).cell(run.cell["key"]) / "training")
    with safe_open(source, framework="pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    card = card_of(run)
    origin = json.loads(metadata["provenance"]) | {CARD: asdict(card)}
    path = target / f"{card.name}{SUFFIX}"
    with atomic(path) as temporary:
        save_file(tensors, temporary, {**metadata, "provenance": json.dumps(origin)})
    return path


def card_of(run: Run) -> ModelCard:
    """The card of a finished training.

    Raises:
        JobError: If it is not known who made the images.
    """
    dataset, model, seed = run.dataset, run.group.model, run.seed
    if dataset not in SOURCES:
        raise JobError(
            f"Expected a data set whose source is known, but got {dataset!r}. Add who made its "
            "images to SOURCES: the licence asks for their names."
        )
    scores: dict[str, Any] = run.evaluation
    return ModelCard(
        name=f"{model}-{dataset}-{seed}",
        model=model,
        dataset=dataset,
        seed=seed,
        parameters=run.result["cost"]["parameters"],
        images=scores["images"],
        auc=scores["auc"],
        acc=scores["acc"],
        key=run.cell["key"],
        licence=medmnist.find(dataset).license,
        source=SOURCES[dataset],
        citation=CITATION,
    )


if __name__ == "__main__":
    for made in write_models(Path(sys.argv[1]), Path(sys.argv[2])):
        print(made)
