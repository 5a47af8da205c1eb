"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        help="Folder of MedMNIST .npz files; by default QVIT_DATA_ROOT, else ./data/medmnist, "
        "where missing files are downloaded to.",
    ),
]
Size = Annotated[
    int | None,
    typer.Option("--size", help="Pixels of MedMNIST's larger files: 64, 128 or 224."),
]
Subset = Annotated[
    int | None,
    typer.Option("--subset", help="Evaluate checkpoints on a stratified subset of this size."),
]
BackendsDir = Annotated[
    Path | None,
    typer.Option("--backends-dir", help="A folder of profiles to search first."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
