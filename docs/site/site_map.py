"""What stands where on the site: its sections, and the file of the repository behind each page."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SECTIONS: dict[str, tuple[str, ...]] = {
    "Start": ("docs/start.md", "docs/glossary.md", "docs/peers.md"),
    "Tutorials": (
        "notebooks/01_train_on_aer.ipynb",
        "notebooks/02_estimate_and_submit.ipynb",
        "notebooks/03_noisy_against_noiseless.ipynb",
        "notebooks/04_attribution_and_noise_aware_training.ipynb",
        "notebooks/05_bring_your_own_model.ipynb",
    ),
    "How to": (
        "docs/own-model.md",
        "docs/own-images.md",
        "docs/circuits.md",
        "docs/hello-hardware.md",
        "docs/two-devices.md",
        "docs/noise-aware-training.md",
        "docs/study.md",
        "docs/wide-layers.md",
        "docs/around-a-training.md",
        "docs/distillation.md",
        "docs/adaptive.md",
    ),
    "Coming from": (
        "docs/from-qiskit-machine-learning.md",
        "docs/from-pennylane.md",
        "docs/from-torchquantum.md",
    ),
    "Explanation": (
        "docs/exact-engine.md",
        "docs/shots-and-noise.md",
        "docs/plans.md",
        "docs/billing.md",
        "docs/packing.md",
        "docs/parities.md",
        "docs/anchors.md",
        "docs/intervals.md",
        "docs/verdicts.md",
        "docs/privacy.md",
    ),
    "Reference": (
        "reference/index",
        "commands/index",
        "backends/README.md",
        "jobs/README.md",
        "docs/stored-formats.md",
    ),
    "Project": (
        "docs/results/README.md",
        "benchmarks/README.md",
        "docs/README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ),
}
"""Captions of the navigation, each with its pages: files of the repository, or generated pages."""

FIRST = "docs/index.md"
"""The first page, which shows where the others are."""

UNLISTED = (
    FIRST,
    "tests/fixtures/README.md",
    *(
        f"docs/results/{name}/study.md"
        for name in (
            "three-sets",
            "qubits",
            "width",
            "shapes",
            "heads",
            "finalists",
            "second-round",
            "noise",
            "search",
        )
    ),
)
"""Pages that are reached by links alone."""

NAMED = {
    "docs/README.md": "inside",
    "docs/results/README.md": "results/index",
    "backends/README.md": "reference/profiles",
    "jobs/README.md": "reference/job-specs",
    "benchmarks/README.md": "benchmarks",
    "CONTRIBUTING.md": "contributing",
    "SECURITY.md": "security",
    "CHANGELOG.md": "changelog",
    "tests/fixtures/README.md": "fixtures",
}
"""Pages whose address does not follow from their file."""


def address(source: str) -> str:
    """A page's address on the site, without a suffix.

    Args:
        source: Its file, from the root of the repository.
    """
    if source in NAMED:
        return NAMED[source]
    path = Path(source)
    if path.suffix == ".ipynb":
        return f"tutorials/{path.stem}"
    if path.name == "study.md" and path.parent.name != "docs":
        return f"results/{path.parent.name}"
    return path.with_suffix("").as_posix().removeprefix("docs/")


def pages() -> dict[str, str]:
    """The address of every page that has a file in the repository, by that file."""
    listed = [one for section in SECTIONS.values() for one in section]
    return {source: address(source) for source in (*listed, *UNLISTED) if (ROOT / source).is_file()}
