"""Study specs: TOML files that span a grid of trainings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from qvit_qiskit.data import SetFacts, facts
from qvit_qiskit.data.own_images import find_own, is_known, own_name
from qvit_qiskit.exceptions import ConfigError, JobError, QvitError
from qvit_qiskit.models import ViTConfig
from qvit_qiskit.shipped import spec_names
from qvit_qiskit.spec import Spec, read_toml
from qvit_qiskit.study.planned_devices import PlanSpec
from qvit_qiskit.suggest import unknown
from qvit_qiskit.training import Distillation, TrainConfig

Names = tuple[str, ...]
Counts = tuple[Annotated[int, Field(ge=1)], ...]
Part = dict[str, Any]
"""Some of a configuration's options."""

OF_THE_GRID = {"channels", "classes", "image_size", "width", "heads"}
"""Model options that follow from the data set and the grid."""
OF_THE_CELL = {"dataset", "distill", "seed", "threads"}
"""Training options that follow from the grid, and the number of threads, which is one."""
MATCHED = "matched"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class Override(Spec):
    """Other options for some cells of the grid: those in all of the lists that are given."""

    kind_of_key = "key of an override"

    datasets: Names = ()
    """Names of the data sets that it counts for; without them all, and so on."""
    models: Names = ()
    """Names of models."""
    heads: Counts = ()
    """Numbers of heads."""
    qubits: Counts = ()
    """Numbers of qubits of a head."""
    regimes: Names = ()
    """Names of regimes."""
    model: Part = Field(default={})
    """Options of `ViTConfig`."""
    training: Part = Field(default={})
    """Options of `TrainConfig`."""
    distillation: Part = Field(default={})
    """Options of `Distillation`, for the regimes that have a teacher."""

    def applies(self, dataset: str, model: str, heads: int, qubits: int, regime: str) -> bool:
        """Whether an override counts for a cell.

        Args:
            dataset: The cell's data set.
            model: The name of its model.
            heads: Its number of heads.
            qubits: Its qubits of a head.
            regime: The name of its regime.
        """
        asked = (
            (dataset, self.datasets), (model, self.models), (heads, self.heads),
            (qubits, self.qubits), (regime, self.regimes),
        )  # fmt: skip
        return all(value in wanted for value, wanted in asked if wanted)


class StudySpec(Spec):
    """Data sets x models x heads x qubits x regimes x seeds, and on what they are judged.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import load_study
        >>> spec = load_study(Path("tiny.toml"))
        >>> spec.datasets, spec.seeds
        (('phantom',), (0, 1))
    """

    kind_of_key = "key"

    description: str = ""
    """One line that says what the study asks; its report repeats it."""
    datasets: Names = Field(min_length=1)
    """MedMNIST names, ``"phantom"``, or paths of own images, relative to the spec's folder, which
    are then called as their folder or file."""
    paths: dict[str, str] = Field(default={})
    """Where own images lie, by another name that `datasets` calls them."""
    models: dict[str, Part] = Field(min_length=1)
    """By name, options of `ViTConfig` without what the grid sets; with ``matched = true`` it is
    the classical ViT with as many parameters as the QViT of these options."""
    compare: tuple[tuple[str, str], ...] = ()
    """Pairs of models whose differences are told, first minus second; none: all pairs."""
    heads: Counts = Field(default=(2,), min_length=1)
    """Numbers of attention heads."""
    qubits: Counts = ()
    """Qubits (features) of a head; the width is heads times as many."""
    widths: Counts = ()
    """Instead of `qubits`: the widths; a head has width/heads qubits."""
    regimes: dict[str, Part] = Field(default={"scratch": {}}, min_length=1)
    """By name, options of `Distillation`; none: trained from scratch. ``{dataset}`` and ``{seed}``
    in the teacher's name stand for those of the cell."""
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field(min_length=1)
    """Seeds of `TrainConfig`; each trains every model once more."""
    training: Part = Field(default={})
    """Options of `TrainConfig` for all cells."""
    overrides: tuple[Override, ...] = ()
    """Overrides are applied in their order; later ones win."""
    split: Literal["test", "val"] = "val"
    """What the trained models are judged on."""
    folds: int | dict[str, int] = 0
    """Cross-validation over train and val together: so many folds, or so many by data set."""
    profiles: Names = Field(default=("aer-exact",), min_length=1)
    """Where the trained models are evaluated."""
    plans: PlanSpec | None = None
    """Devices on which the trained models are planned, and what for; without it none are."""
    frozen: str | None = None
    """The file that `qvit study --freeze` writes, relative to the spec. With ``split = "test"``
    nothing runs unless this is the configuration that the file holds."""

    @model_validator(mode="after")
    def _usable(self) -> StudySpec:
        for name in ("datasets", "heads", "qubits", "widths", "seeds", "profiles"):
            _once(name, getattr(self, name))
        if bool(self.qubits) == bool(self.widths):
            raise ValueError("expected either qubits (per head) or widths")
        for name in (*self.models, *self.regimes):
            if not NAME.fullmatch(name):
                raise ValueError(f"expected a name of letters, digits and . _ + -, got {name!r}")
        for name, part in self.models.items():
            _known(f"models.{name}", part, (*ViTConfig.model_fields, MATCHED), OF_THE_GRID)
            if not isinstance(part.get(MATCHED, False), bool):
                raise ValueError(f"models.{name}.matched: expected true or false")
        _known("training", self.training, TrainConfig.model_fields, OF_THE_CELL)
        for name, part in self.regimes.items():
            _known(f"regimes.{name}", part, Distillation.model_fields, set())
            if part and not isinstance(part.get("teacher"), str):
                raise ValueError(f'regimes.{name}: expected teacher = "..." beside other options')
        for seed in self.plans.seeds if self.plans else ():
            if seed not in self.seeds:
                raise ValueError(f"plans.seeds: expected seeds of the study, got {seed}")
        for name in (name for pair in self.compare for name in pair):
            if name not in self.models:
                raise ValueError(f"compare: {unknown('model', name, self.models)}".rstrip("."))
        self._check_folds()
        self._check_overrides()
        return self

    def _check_folds(self) -> None:
        folds = self.folds if isinstance(self.folds, dict) else {"": self.folds}
        for name, count in folds.items():
            if name and name not in self.datasets:
                raise ValueError(f"folds: {unknown('data set', name, self.datasets)}".rstrip("."))
            if count == 1 or count < 0 or count > 100:  # one fold would leave nothing to train on
                raise ValueError(f"folds: expected 0, or 2 to 100, but got {count}")
        if self.split == "test" and any(folds.values()):
            raise ValueError('folds are for split = "val"; the test split is not cut')

    def _check_overrides(self) -> None:
        axes: dict[str, Iterable[Any]] = {
            "datasets": self.datasets, "models": self.models, "heads": self.heads,
            "qubits": self.all_qubits(), "regimes": self.regimes,
        }  # fmt: skip
        for place, override in enumerate(self.overrides, start=1):
            where = f"overrides[{place}]"
            for axis, valid in axes.items():
                for value in getattr(override, axis):
                    if value not in valid:
                        problem = unknown(axis, str(value), map(str, valid)).rstrip(".")
                        raise ValueError(f"{where}: {problem}")
            _known(f"{where}.model", override.model, ViTConfig.model_fields, OF_THE_GRID)
            _known(f"{where}.training", override.training, TrainConfig.model_fields, OF_THE_CELL)
            _known(f"{where}.distillation", override.distillation, Distillation.model_fields, set())

    def sizes(self, heads: int) -> list[int]:
        """Widths for that number of heads.

        Raises:
            ConfigError: If a width is not a multiple of it.
        """
        for width in self.widths:
            if width % heads:
                raise ConfigError(
                    f"widths: {width} cannot be split over {heads} heads. Choose multiples of "
                    "every number of heads."
                )
        return [heads * qubits for qubits in self.qubits] or list(self.widths)

    def all_qubits(self) -> set[int]:
        """Every number of qubits a head has somewhere in the grid."""
        return {size // heads for heads in self.heads for size in self.sizes(heads)}

    def folds_of(self, dataset: str) -> int:
        """Folds of a data set; 0 for the official validation split."""
        return self.folds if isinstance(self.folds, int) else self.folds.get(dataset, 0)


def _named(datasets: list[Any], paths: Any, base: Path) -> Part:
    """Data sets by name, and the absolute paths of own images by these names.

    Raises:
        QvitError: If there is no such set, or two of own images have the same name.
    """
    if not isinstance(paths, dict):
        raise ConfigError(f"paths: expected a table of names and paths, got {paths!r}.")
    names: list[str] = []
    places: dict[str, str] = {}
    for key, text in ((str(name), str(paths.get(str(name), name))) for name in datasets):
        known = is_known(text) and key == text
        place = None if known else find_own(text, base)
        seen = known_set(text if place is None else str(place))
        if place is None:
            names.append(seen.name)
            continue
        name = key if key != text else own_name(place)
        if not NAME.fullmatch(name) or is_known(name) or name in places:
            raise ConfigError(
                f"datasets: expected a name of its own for {place}, of letters, digits and . _ + "
                f"-, got {name!r}. Give it one under [paths]."
            )
        names.append(name)
        places[name] = str(place)
    unused = sorted(set(paths) - set(names))  # a typing error, else it would be ignored
    if unused:
        raise ConfigError(f"paths: {unknown('data set', unused[0], names).rstrip('.')}.")
    return {"datasets": names, "paths": places}


def _once(name: str, values: tuple[Any, ...]) -> None:
    if len(set(values)) != len(values):
        raise ValueError(f"{name}: expected each value once, got {list(values)}")


def _known(where: str, part: Mapping[str, Any], fields: Iterable[str], taken: set[str]) -> None:
    valid = set(fields) - taken
    for key in part:
        if key in taken:
            raise ValueError(f"{where}: {key} follows from the grid; leave it out here")
        if key not in valid:
            raise ValueError(f"{where}: {unknown('option', key, valid).rstrip('.')}")


@lru_cache(maxsize=32)
def known_set(name: str) -> SetFacts:
    """`data.facts`, asked once.

    Raises:
        DataError: If there is no such set.
    """
    return facts(name)


def load_study(path: Path) -> StudySpec:
    """Read and validate a study spec; data sets get their official names.

    Returns:
        The validated spec.

    Raises:
        JobError: If the file cannot be read, or a key or value is wrong.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import load_study
        >>> load_study(Path("tiny.toml")).split
        'val'
    """
    examples = f"the package ({', '.join(spec_names('docs/studies'))})"
    data = read_toml(path, "study spec", JobError, examples)
    try:
        if isinstance(data.get("datasets"), list):
            data |= _named(data["datasets"], data.get("paths", {}), path.parent)
        return StudySpec.create(**data)
    except QvitError as error:
        raise JobError(f"{path}: {error}") from error
