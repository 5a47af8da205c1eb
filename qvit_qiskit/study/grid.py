"""From a spec to its cells: a pure function of what the spec says and of what it names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from qvit_qiskit.exceptions import ConfigError
from qvit_qiskit.models import ViTConfig
from qvit_qiskit.study.cells import Cell, Sources
from qvit_qiskit.study.spec import MATCHED, Override, Part, StudySpec
from qvit_qiskit.training import Distillation, TrainConfig


def expand(spec: StudySpec, sources: Sources) -> tuple[Cell, ...]:
    """The cells of a spec: seed by seed, and within a seed the most work first.

    Args:
        spec: What the user wrote.
        sources: What it names, looked up.

    Returns:
        One cell for each training; equal specs give equal cells in the same order.

    Raises:
        ConfigError: If an option does not fit, or two cells are the same training.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import make_plan
        >>> len(make_plan(Path("tiny.toml")).cells)  # what expand made of the spec
        2
    """
    cells = [
        _cell(spec, sources, *place) for place in _places(spec)
    ]  # sorting is stable, so equal work keeps the order of the spec
    order = {seed: place for place, seed in enumerate(spec.seeds)}
    cells.sort(key=lambda cell: (order[cell.seed], -cell.work))
    seen: dict[str, Cell] = {}
    for cell in cells:
        twin = seen.setdefault(cell.key, cell)
        if twin is not cell:
            raise ConfigError(
                f"Expected different trainings, but {twin.label} and {cell.label} have the same "
                "configuration. Leave one out."
            )
    return tuple(cells)


Place = tuple[str, str, int, int, str, int, int | None]


def _places(spec: StudySpec) -> Iterator[Place]:
    for seed, dataset, model, heads, regime in product(
        spec.seeds, spec.datasets, spec.models, spec.heads, spec.regimes
    ):
        folds: list[int | None] = [*range(spec.folds_of(dataset))]
        for width, fold in product(spec.sizes(heads), folds or [None]):
            yield dataset, model, heads, width, regime, seed, fold


def _cell(
    spec: StudySpec,
    sources: Sources,
    dataset: str,
    model: str,
    heads: int,
    width: int,
    regime: str,
    seed: int,
    fold: int | None,
) -> Cell:
    axes = (dataset, model, heads, width // heads, regime)  # as overrides and errors name them
    over = [override for override in spec.overrides if override.applies(*axes)]
    source = sources.sets[dataset]
    try:
        how = _regime(spec.regimes[regime], over, dataset, seed)
        config = _config(
            _merged(spec.models[model], *(o.model for o in over)),
            {
                "channels": source.channels,
                "classes": source.classes,
                "image_size": source.side,
            },
            {"heads": heads, "width": width},
            token=how is not None and how.kind == "hard",
        )
        options = _merged(spec.training, *(o.training for o in over))
        # its digest is in the key, and no path
        plain = how.model_copy(update={"teacher": None}) if how else None
        train = TrainConfig.create(**options, dataset=dataset, seed=seed, distill=plain)
    except ConfigError as error:
        raise ConfigError(f"{' '.join(map(str, axes))}: {error}") from error
    other = how.pretrain_dataset if how else None
    teacher = how.teacher if how else None
    return Cell(
        dataset, model, heads, width // heads, regime, fold, spec.folds_of(dataset), spec.split,
        config, train, source,
        pretrain=sources.sets[other] if other else None,
        teacher=sources.teachers[teacher] if teacher else None,
        teacher_name=teacher,
        backend=sources.backends[train.backend],
    )  # fmt: skip


def _regime(regime: Part, over: Sequence[Override], dataset: str, seed: int) -> Distillation | None:
    """What a regime distils, for one data set and seed; nothing without a teacher."""
    if not regime:
        return None
    part = _merged(regime, *(o.distillation for o in over))
    teacher = part["teacher"].replace("{dataset}", dataset).replace("{seed}", str(seed))
    options = {**part, "teacher": teacher}
    if options.get("pretrain_dataset") == dataset:
        del options["pretrain_dataset"]  # that is where it pre-trains anyway
    return Distillation.create(**options)


def _config(part: Part, data: Part, grid: Part, token: bool) -> ViTConfig:
    options = {"distillation_token": True} if token else {}
    options |= {key: value for key, value in part.items() if key != MATCHED}
    if part.get(MATCHED):
        return ViTConfig.create(
            **{**options, **data, **grid, "projection": "qnn"}
        ).parameter_matched()
    return ViTConfig.create(**options, **data, **grid)


def _merged(*parts: Part) -> Part:
    return {key: value for part in parts for key, value in part.items()}
