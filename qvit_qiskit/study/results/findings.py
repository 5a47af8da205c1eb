"""What a study has found so far, read back from its folder: neither data nor teachers needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qvit_qiskit import metrics
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.study.folder import StudyFolder
from qvit_qiskit.study.results.seed_scores import Metric, Part, SeedScores, measure

MEAN = "mean over sets"


@dataclass(frozen=True)
class ModelGroup:
    """What is trained on every set from every seed, and evaluated on one profile."""

    model: str
    heads: int
    size: int
    """Qubits of a head, or the width, whichever the spec's grid is made of."""
    regime: str
    profile: str


@dataclass(frozen=True)
class Run:
    """A finished cell on one profile."""

    group: ModelGroup
    dataset: str
    seed: int
    fold: int | None
    cell: dict[str, Any]
    """The cell as the plan has it."""
    result: dict[str, Any]
    evaluation: dict[str, Any]
    place: StudyFolder

    @cached_property
    def answers(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels (n,) and probabilities (n, classes); of several labels both (n, labels).

        Raises:
            JobError: If the file is missing or damaged.
        """
        labels, logits = self.place.answers(self.cell["key"], self.evaluation["logits"])
        return labels, metrics.probabilities(logits, multi_label=labels.ndim == 2)


@dataclass(frozen=True)
class Findings:
    """A plan with the cells that are finished."""

    plan: dict[str, Any]
    runs: tuple[Run, ...]
    """Finished cells on each profile, in the order of the plan."""
    missing: tuple[str, ...]
    """Labels of the cells that are not finished."""
    tests: tuple[dict[str, Any], ...]
    """Every evaluation on a test split, of other plans in this folder as well."""
    teachers: tuple[dict[str, Any], ...] = ()
    """Their own scores, as far as they know the classes of the sets they teach."""

    @property
    def spec(self) -> dict[str, Any]:
        """What was asked."""
        return dict(self.plan["spec"])

    @property
    def size_name(self) -> str:
        """What `ModelGroup.size` is."""
        return "qubits" if self.spec["qubits"] else "width"

    @property
    def datasets(self) -> list[str]:
        """Data sets in the order of the spec."""
        return list(self.spec["datasets"])

    @property
    def sets(self) -> list[str]:
        """The data sets, and their mean where there are several."""
        return self.datasets + ([MEAN] if len(self.datasets) > 1 else [])

    @cached_property
    def groups(self) -> list[ModelGroup]:
        """Groups with a finished cell, by model, heads, size, regime and profile as in the spec."""
        order: list[list[Any]] = [
            list(self.spec["models"]), self.spec["heads"], self.sizes,
            list(self.spec["regimes"]), [profile["name"] for profile in self.plan["profiles"]],
        ]  # fmt: skip

        def place(group: ModelGroup) -> list[int]:
            values = (group.model, group.heads, group.size, group.regime, group.profile)
            return [axis.index(value) for axis, value in zip(order, values, strict=True)]

        return sorted({run.group for run in self.runs}, key=place)

    @property
    def sizes(self) -> list[int]:
        """Values of `ModelGroup.size`, as in the spec."""
        return list(self.spec[self.size_name if self.size_name == "qubits" else "widths"])

    def folds(self, dataset: str) -> int:
        """Evaluations that make up the score of one seed."""
        folds = self.spec["folds"]
        return max(1, folds if isinstance(folds, int) else folds.get(dataset, 0))

    @cached_property
    def _by_place(self) -> dict[tuple[ModelGroup, str, int], list[Run]]:
        places: dict[tuple[ModelGroup, str, int], list[Run]] = {}
        for run in self.runs:
            places.setdefault((run.group, run.dataset, run.seed), []).append(run)
        for runs in places.values():
            runs.sort(key=lambda run: run.fold or 0)
        return places

    def of(self, group: ModelGroup, dataset: str, seed: int) -> list[Run]:
        """The finished folds of one training, in their order.

        Args:
            group: The kind of model.
            dataset: A data set of the study.
            seed: The seed that it was trained from.
        """
        return self._by_place.get((group, dataset, seed), [])

    def members(self, name: str) -> list[str]:
        """The data sets behind a name: itself, or all behind `MEAN`."""
        return self.datasets if name == MEAN else [name]

    def routed(self, group: ModelGroup) -> bool:
        """Whether a group's models ran on its profile; studies of before do not say."""
        own = [run.evaluation for run in self.runs if run.group == group]
        return all(evaluation.get("routed", True) for evaluation in own)

    def seeds(self, groups: Iterable[ModelGroup], name: str) -> tuple[int, ...]:
        """The seeds from which all of these groups are finished on a data set, or on all.

        Args:
            groups: The kinds of model that are compared.
            name: A data set, or `MEAN` for all of them.
        """
        return tuple(
            seed
            for seed in self.spec["seeds"]
            if all(
                len(self.of(group, dataset, seed)) == self.folds(dataset)
                for group in groups
                for dataset in self.members(name)
            )
        )

    def parts(self, group: ModelGroup, name: str, seeds: Sequence[int]) -> list[Part]:
        """A group's answers about a data set, or about all.

        Args:
            group: The kind of model.
            name: A data set, or `MEAN` for all of them.
            seeds: From which it was trained; all of them are finished.

        Returns:
            One part for each data set and fold; their weights add up to 1.

        Raises:
            JobError: If a file is damaged, or labels differ between seeds.
        """
        members = self.members(name)
        complete = []
        for dataset in members:
            weight = 1 / (len(members) * self.folds(dataset))
            for fold in range(self.folds(dataset)):
                answers = [self.of(group, dataset, seed)[fold].answers for seed in seeds]
                labels = answers[0][0]
                # Pairing by image needs the same images in the same order.
                if not all(np.array_equal(labels, other) for other, _ in answers):
                    raise JobError(f"The seeds of {group} on {dataset} saw different images.")
                complete.append(Part(labels, np.array([chances for _, chances in answers]), weight))
        return complete

    def measured(
        self, metric: Metric, group: ModelGroup, name: str, seeds: tuple[int, ...]
    ) -> SeedScores:
        """The score of a group on a data set, or on all; worked out once.

        Args:
            metric: AUC or ACC.
            group: The kind of model.
            name: A data set, or `MEAN` for all of them.
            seeds: From which it was trained; all of them are finished.
        """
        key = (metric, group, name, seeds)
        if key not in self._measured:
            self._measured[key] = measure(metric, self.parts(group, name, seeds))
        return self._measured[key]

    @cached_property
    def _measured(self) -> dict[tuple[Metric, ModelGroup, str, tuple[int, ...]], SeedScores]:
        return {}


def read_findings(folder: Path | str) -> Findings:
    """Read a study's folder; cells that are not finished are left out.

    Args:
        folder: Of the study.

    Raises:
        JobError: If it is none, or a finished cell is damaged.
    """
    place = StudyFolder(Path(folder))
    plan = place.plan()
    runs, missing = [], []
    for cell in plan["cells"]:
        result = place.result(cell["key"])
        # an evaluation counts for the profile it ran on
        known = {} if result is None else {e["digest"]: e for e in result["evaluations"]}
        for profile in plan["profiles"]:
            if result is None or profile["digest"] not in known:
                missing.append(cell["label"])
                break
            evaluation = known[profile["digest"]]
            # qubits, or the width
            size = cell["qubits"] * (1 if plan["spec"]["qubits"] else cell["heads"])
            group = ModelGroup(cell["model"], cell["heads"], size, cell["regime"], profile["name"])
            runs.append(
                Run(
                    group, cell["dataset"], cell["seed"], cell["fold"], cell, result, evaluation,
                    place,
                )
            )  # fmt: skip
    split = plan["spec"]["split"]
    asked = [place.teacher(digest, md5, split) for digest, md5 in plan["teachers"]]
    teachers = tuple(scores for scores in asked if scores is not None)
    return Findings(plan, tuple(runs), tuple(missing), tuple(place.tests()), teachers)
