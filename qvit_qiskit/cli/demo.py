"""``qvit demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson

if TYPE_CHECKING:
    from qvit_qiskit.data import Split
    from qvit_qiskit.models.cost import ModelCost
    from qvit_qiskit.runs import Evaluation

RUNGS = {"exact": "aer-exact", "shot noise": "aer-shots", "device noise": "aer-boston"}
DRAWS = 20
"""Redraws of the shots in the report."""


def demo(
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of training.")] = 40,
    images: Annotated[int, typer.Option(min=2, max=200, help="Test images per rung.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Where to write the checkpoint.")] = None,
    json: AsJson = False,
) -> None:
    """Train a QViT on synthetic images; evaluate it exactly, with shots and with device noise.

    The report beside the checkpoint says what shots and noise cost in AUC and ACC.

    Example: qvit demo --epochs 20
    """
    screen.load("qvit_qiskit.runs")
    from qvit_qiskit.cli.train import DEFAULT_OUT, free_folder
    from qvit_qiskit.data import load, stratified_subset
    from qvit_qiskit.models import ViTConfig
    from qvit_qiskit.runs import evaluate
    from qvit_qiskit.training import TrainConfig, fit

    data = load("phantom")
    config = ViTConfig(channels=data.channels, classes=data.num_classes)
    folder = out or free_folder(DEFAULT_OUT / "demo")
    with screen.epochs("training a QViT on Aer") as show:
        how = TrainConfig.create(dataset="phantom", epochs=epochs, seed=seed)
        result = fit(config, how, data, folder=folder, on_epoch=show)
    if result.interrupted:
        raise typer.Exit(130)
    split = stratified_subset(data.test, images, seed)
    evaluations: list[Evaluation] = []
    for rung, backend in RUNGS.items():
        with screen.images(f"{rung} ({backend})", images) as tick:
            evaluations.append(evaluate(result.model, split, backend, tick=tick))
    exact = evaluations[0]
    rows: list[dict[str, Any]] = [
        {
            "rung": rung,
            "backend": e.backend,
            "AUC": e.scores.auc,
            "ACC": e.scores.acc,
            "agrees with exact": e.agreement(exact),
            "seconds": e.seconds,
        }
        for rung, e in zip(RUNGS, evaluations, strict=True)
    ]
    report = _report(folder, split, images, seed)
    seconds = sum(record.seconds for record in result.history)
    if json:
        screen.as_json(
            {"folder": folder, "training_seconds": seconds, "rungs": rows, "report": report}
        )
        return
    screen.line(_trained(result.model.cost(), epochs, seconds))
    screen.table(f"{images} synthetic test images, one trained model, three backends", rows)
    print(f"checkpoint: {folder}\nreport:     {report}")
    print(f"next:       qvit evaluate {folder} --backend fake-boston --subset 10")


def _trained(cost: ModelCost, epochs: int, seconds: float) -> str:
    """What was trained, in a sentence."""
    return (
        f"Trained a QViT of {cost.parameters} parameters ({cost.quantum_parameters} of them "
        f"quantum) on synthetic images for {epochs} epoch{'s' if epochs > 1 else ''} in "
        f"{seconds:.0f} s."
    )


def _report(folder: Path, split: Split, images: int, seed: int) -> Path:
    """The page that compares shots and noise with the exact model, beside the checkpoint."""
    from qvit_qiskit.comparison import compare
    from qvit_qiskit.comparison.export import write_report, write_tables
    from qvit_qiskit.runs.run_folder import Source

    source = Source.of(split, dataset="phantom", split="test", subset=images, subset_seed=seed)
    with screen.steps("comparing") as tick:
        backends = [backend for backend in RUNGS.values() if backend != "aer-exact"]
        comparison = compare(
            model=folder, data=source, backends=backends, draws=DRAWS, seed=seed, tick=tick
        )
        write_tables(comparison, folder / "report")
        return write_report(comparison, folder / "report")
