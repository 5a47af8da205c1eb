"""What a study is going to do: its spec, with everything looked up that it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from qvit_qiskit.data import MedImages, load
from qvit_qiskit.study.cells import Cell, SetSource, Sources, TeacherSource, configuration
from qvit_qiskit.study.grid import expand
from qvit_qiskit.study.planned_devices import PlannedDevice, open_devices
from qvit_qiskit.study.profiles import Profile, open_profile
from qvit_qiskit.study.spec import StudySpec, known_set, load_study
from qvit_qiskit.training import Teacher, open_teacher


@dataclass(frozen=True)
class Places:
    """Where this machine keeps what specs name.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import Places
        >>> Places(data_root=Path("medmnist")).source("breastmnist")
        'breastmnist'
    """

    data_root: Path | None = None
    backends_dir: Path | None = None
    own: tuple[tuple[str, str], ...] = ()
    """Names of own images in the study, each with its path."""

    def source(self, name: str) -> str:
        """What `data.load` gets for the name of a data set."""
        return dict(self.own).get(name, name)


@dataclass(frozen=True)
class Plan:
    """A spec with its cells.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import make_plan
        >>> plan = make_plan(Path("tiny.toml"))
        >>> len(plan.cells), len(plan.configuration)
        (2, 64)
    """

    path: Path
    spec: StudySpec
    cells: tuple[Cell, ...]
    profiles: tuple[Profile, ...]
    """What the trained models are evaluated on."""
    places: Places
    devices: tuple[PlannedDevice, ...] = ()
    """Where trained models are planned, and what for."""

    @cached_property
    def configuration(self) -> str:
        """See `cells.configuration`."""
        return configuration(self.cells)


def make_plan(path: Path, places: Places | None = None) -> Plan:
    """Read a spec and look up what it names: profiles, teachers, data sets.

    Args:
        path: The spec.
        places: Where data sets and profiles are.

    Returns:
        The spec with its cells; nothing is trained yet.

    Raises:
        JobError: If the spec is malformed.
        QvitError: If an option does not fit, or something that the spec names is missing.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import make_plan
        >>> [cell.seed for cell in make_plan(Path("tiny.toml")).cells]
        [0, 1]
    """
    spec = load_study(path)
    where = replace(places or Places(), own=tuple(spec.paths.items()))
    draft = draft_cells(spec)  # complains before any download
    profiles = tuple(open_profile(name, where.backends_dir)[0] for name in spec.profiles)
    devices = open_devices(spec.plans, where.backends_dir) if spec.plans else ()
    backends = {
        name: open_profile(name, where.backends_dir, training=True)[0].digest
        for name in {cell.train.backend for cell in draft}
    }
    teachers = {name: _teacher(name) for name in _names(cell.teacher_name for cell in draft)}
    others = (cell.train.distill and cell.train.distill.pretrain_dataset for cell in draft)
    sets = {name: _set(name, where) for name in _names((*spec.datasets, *others))}
    cells = expand(spec, Sources(sets, teachers, backends))
    return Plan(path, spec, cells, profiles, where, devices)


def _names(names: object) -> list[str]:
    return sorted({name for name in names if name})  # type: ignore[attr-defined]


def _teacher(name: str) -> TeacherSource:
    teacher = teacher_of(name)
    assert teacher.digest is not None  # what a name stands for has contents
    return TeacherSource(teacher.digest, teacher.preprocessing)


@lru_cache(maxsize=8)
def teacher_of(name: str) -> Teacher:
    """The teacher of that name; the same object every time, so that it is asked once."""
    return open_teacher(name)


def _set(name: str, places: Places) -> SetSource:
    data = load_set(name, places)
    return SetSource(data.channels, data.num_classes, data.md5, len(data.train), data.side)


@lru_cache(maxsize=2)
def load_set(name: str, places: Places) -> MedImages:
    """A data set; cells of one set follow each other, so the last two are kept.

    Args:
        name: In the study.
        places: Where data sets are.

    Raises:
        DataError: If it is missing or damaged, or its name in the study is another set's.
    """
    data = load(places.source(name), places.data_root)
    return replace(data, name=name) if data.own else data


class _Unseen(dict[str, SetSource]):
    """Data sets as they are known without their images."""

    def __init__(self, paths: dict[str, str]) -> None:
        super().__init__()
        self.paths = paths

    def __missing__(self, name: str) -> SetSource:
        known = known_set(self.paths.get(name, name))
        sizes = known.sizes["train"], known.side
        self[name] = SetSource(known.channels, known.classes, name, *sizes)
        return self[name]


class _Unopened(dict[str, TeacherSource]):
    def __missing__(self, name: str) -> TeacherSource:
        return TeacherSource(name, "")


class _Unread(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return name


def draft_cells(spec: StudySpec) -> Sequence[Cell]:
    """The cells with names in the place of contents: needs no files, and finds what does not fit.

    Raises:
        ConfigError: If an option does not fit, or two cells are the same training.
        DataError: If there is no such data set.
    """
    return expand(spec, Sources(_Unseen(spec.paths), _Unopened(), _Unread()))
