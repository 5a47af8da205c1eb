"""The commands, put together. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import typer

from qvit_qiskit import __version__
from qvit_qiskit.cli import (
    backends,
    compare,
    demo,
    estimate,
    evaluate,
    models,
    plans,
    runs,
    study,
    train,
    watch,
)

app = typer.Typer(
    name="qvit",
    help="Train quantum vision transformers on Aer and evaluate them on quantum processors.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"qvit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Train quantum vision transformers on Aer and evaluate them on quantum processors."""


app.command("demo")(demo.demo)
app.command("train", cls=train.TrainCommand)(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("models")(models.models)
app.command("estimate")(estimate.estimate)
app.command("plan")(plans.plan)
app.command("submit")(runs.submit)
app.command("status")(runs.status)
app.command("resume")(runs.resume)
app.command("cancel")(runs.cancel)
app.command("watch")(watch.watch)
app.command("compare")(compare.compare)
app.command("study")(study.study)
app.add_typer(backends.app, name="backends")
