"""Evaluations on hardware that outlive the process: begin one, go on with one, look at one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import nn

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.files import close_to_others
from qvit_qiskit.hardware.events import Completion, NewBudget, Order
from qvit_qiskit.hardware.hardware_run import HardwareRun
from qvit_qiskit.hardware.journal import check_new, locked, pack_arrays
from qvit_qiskit.hardware.ledger import HEADROOM, whole_seconds
from qvit_qiskit.hardware.run_reader import CHECKPOINT, IMAGES, PREDICTIONS, RunReader
from qvit_qiskit.hardware.shot_shares import Adaptive, Quiet, answers_of
from qvit_qiskit.hardware.stages.stage import Progress
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.inference.layer_estimator import walk
from qvit_qiskit.models.cost import count_projections, count_rows
from qvit_qiskit.runs.adaptive.settling import (
    check_adaptive,
    check_quiet,
    first_shots,
    loud_share,
    next_share,
    room_for,
    unsettled,
)
from qvit_qiskit.runs.measured_profile import find_measured
from qvit_qiskit.runs.planning.at_submission import Planning, request_of, settled
from qvit_qiskit.runs.planning.chosen_plan import RunPlan
from qvit_qiskit.runs.pricing import live_estimate
from qvit_qiskit.runs.run_folder import (
    RunFolder,
    Source,
    lock_new_run,
    own_checkpoint,
    weights_digest,
)
from qvit_qiskit.runs.run_status import Status, status
from qvit_qiskit.training.checkpoint import versions

if TYPE_CHECKING:
    from qvit_qiskit.data.arrays import Given

LOCK_SECONDS = 60.0
"""How long cancelling waits for another process, such as one that watches the run."""


def submit(
    model: nn.Module,
    data: Given | Source,
    backend: str,
    run: Path | str,
    *,
    budget_seconds: float,
    shots: int | Literal["auto"] | None = None,
    tolerance: float | None = None,
    agreement: float | None = None,
    max_loss: float = 0.25,
    control_rows: int = 0,
    anchor_rows: int = 0,
    adaptive: Adaptive | None = None,
    quiet: Quiet | None = None,
    wait: bool = False,
    batch_size: int = 64,
    backends_dir: Path | None = None,
    checkpoint: Path | None = None,
    patience: Patience | None = None,
    settings: Mapping[str, Any] | None = None,
    tick: Callable[[Status], None] | None = None,
    planning: Planning | None = None,
) -> Status:
    """Begin an evaluation on hardware: write it down, then send its first quantum layer.

    Args:
        model: Any module whose quantum layers are ours.
        data: Images and labels, see `data.as_split`.
        backend: A profile of kind ``ibm``, or ``fake`` for a rehearsal.
        run: The run's folder, new or empty.
        budget_seconds: QPU seconds that the run may cost at most.
        shots: Per row, instead of the profile's; ``"auto"`` for as many as the accuracy needs.
        tolerance: AUC that may be lost: the rest is planned on the device as it is now, see `plan`.
        agreement: Instead, or as well: the share of equal answers.
        max_loss: The share of the budget that one lost job may cost, a minute of QPU time at least.
        control_rows: Where copies share the chip: rows of each circuit that run once more, alone.
        anchor_rows: Rows of each circuit that every job runs besides, so that drift shows.
        adaptive: Spend shots where answers need them; ``shots`` is then the most of a row.
        quiet: Projections with fewer shots; a plan chooses them by itself.
        wait: Stay until everything is done.
        batch_size: Images per forward pass.
        backends_dir: A folder of profiles to search first.
        checkpoint: Kept in the folder for `resume`; a model of `build_model` is kept without it.
        patience: With the service.
        settings: Fields of the profile that are set otherwise for this run, e.g. ``{"k": 4}``.
        tick: Called with the state while waiting.
        planning: Who hears of a plan.

    Returns:
        The run's state; ``.run`` is the folder that `resume` takes.

    Raises:
        JobError: If folder, budget or a setting does not fit, or nothing meets the accuracy.
        QvitError: If profile, account or device is refused, or the service does not answer.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model, load, submit
        >>> from qvit_qiskit.data import stratified_subset
        >>> model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
        >>> images = stratified_subset(load("phantom").test, 4, seed=0)
        >>> settings = {"budget_seconds": 20, "shots": 64, "wait": True}
        >>> submit(model, images, "fake-boston", "runs/new", **settings).state
        'finished'
    """
    found, profile = find_measured(backend, backends_dir, settings)
    _check_order(Path(run), budget_seconds, control_rows=control_rows, anchor_rows=anchor_rows)
    source = data if isinstance(data, Source) else Source.of(data)
    request, stated = request_of(shots, profile, tolerance, agreement)
    repeated = (control_rows, anchor_rows)
    terms = Terms(profile, stated, budget_seconds, max_loss, *repeated, adaptive, quiet)
    plan, terms = settled(model, source, terms, request, patience, planning)
    with lock_new_run(_new_run(Path(run), terms, patience, model, source)) as hardware:
        _write_down(hardware, model, source, checkpoint, str(found.path), plan)
        return _advance(hardware, model, source, batch_size, wait=wait, tick=tick)


def _check_budget(seconds: float) -> None:
    if not 0 < seconds < math.inf:
        raise JobError(f"Expected a budget above 0 QPU seconds, but got {seconds}.")


def _check_order(folder: Path, budget: float, **rows: int) -> None:
    check_new(folder)
    _check_budget(budget)
    for name, count in rows.items():
        if count < 0:
            raise JobError(f"Expected {name} of at least 0, but got {count}.")


def _new_run(
    folder: Path, terms: Terms, patience: Patience | None, model: nn.Module, source: Source
) -> HardwareRun:
    """A folder for a run, unless its shots cannot be spent as they should."""
    if terms.adaptive or terms.quiet:
        projections = count_projections(model, source.images[:1])
        repeated = terms.control_rows + terms.anchor_rows
        check_adaptive(terms.adaptive, terms.mitigation, len(projections), repeated)
        check_quiet(terms.quiet, terms, len(projections), projections[0])
    return HardwareRun.new(folder, terms, patience)


def _write_down(
    run: HardwareRun,
    model: nn.Module,
    source: Source,
    checkpoint: Path | None,
    profile: str,
    plan: RunPlan | None = None,
) -> None:
    if source.own:
        close_to_others(run.folder)
    arrays = pack_arrays({"images": source.images.numpy(), "labels": source.labels})
    whole = checkpoint.read_bytes() if checkpoint else own_checkpoint(model)
    run.journal.append(
        Order(
            terms=run.terms.record(),
            profile=profile,
            images=run.journal.store(IMAGES, arrays),
            count=len(source.labels),
            data=source.facts,
            model=weights_digest(model),
            checkpoint=run.journal.store(CHECKPOINT, whole) if whole else None,
            stage_rows=list(count_rows(model, source.images[:1])),
            versions=versions(),
            plan=plan.record() if plan else None,
        )
    )


def resume(
    run: Path | str,
    model: nn.Module | None = None,
    *,
    wait: bool = False,
    resubmit: bool = False,
    retry: bool = True,
    budget_seconds: float | None = None,
    batch_size: int = 64,
    patience: Patience | None = None,
    tick: Callable[[Status], None] | None = None,
) -> Status:
    """Go on with a run from its folder, in any process, on any machine with the account.

    Args:
        run: The run's folder.
        model: The model, where the run was not begun from a checkpoint.
        wait: Stay until everything is done.
        resubmit: Send a job again of which it is uncertain whether it exists.
        retry: Send jobs again that failed or were cancelled; else that is an error.
        budget_seconds: A new budget for the whole run.
        batch_size: Images per forward pass; need not be that of `submit`.
        patience: How long to wait for the service.
        tick: Called with the state while waiting.

    Returns:
        The run's state afterwards.

    Raises:
        JobError: If the folder is unusable or of another model, a job failed or is uncertain, or
            the budget does not suffice.
        DataError: If a logit is not finite.
        RouteError: If the account or device is refused.
        ServiceError: If the service does not answer; calling again goes on.

    Example:
        >>> from qvit_qiskit import resume
        >>> resume("runs/mine").state  # finished already: nothing is sent
        'finished'
    """
    folder = Path(run)
    RunReader.open(folder)
    if budget_seconds is not None:
        _check_budget(budget_seconds)
    with locked(folder):
        found = RunFolder.open(folder, budget_seconds)
        hardware = HardwareRun(found.reader, found.terms, patience)
        if found.reader.finished:
            if model is not None:
                found.model(model)  # of other weights, it has no answers here
            if not hardware.ledger.final:
                hardware.update_bills()
            return status(folder)
        if budget_seconds is not None:
            hardware.journal.append(NewBudget(seconds=budget_seconds))
        if model is None and not found.has_model:
            _fetch(hardware, wait=wait, resubmit=resubmit, retry=retry, tick=tick)
            if hardware.stages and not hardware.finished(hardware.stages - 1):
                return status(folder)  # what is out can be fetched without the model
        return _advance(
            hardware,
            found.model(model),
            found.source(),
            batch_size,
            wait=wait,
            resubmit=resubmit,
            retry=retry,
            tick=tick,
        )


def _fetch(
    run: HardwareRun,
    *,
    wait: bool,
    resubmit: bool,
    retry: bool,
    tick: Callable[[Status], None] | None,
) -> None:
    """Send and fetch the jobs of the stage that is worked on; no model is needed for that."""
    current = run.stages - 1
    if current >= 0 and not run.finished(current):
        progress = run.advance(current, resubmit=resubmit, retry=retry, wait=wait)
        if wait and not progress.finished:
            run.wait(current, tick and partial(_tell, run, tick))
    run.update_bills()


def _advance(
    run: HardwareRun,
    model: nn.Module,
    source: Source,
    batch_size: int,
    *,
    wait: bool,
    resubmit: bool = False,
    retry: bool = False,
    tick: Callable[[Status], None] | None = None,
) -> Status:
    while True:
        current = run.stages - 1
        if current >= 0 and not run.finished(current):
            _check_total(run)
            progress = run.advance(current, resubmit=resubmit, retry=retry, wait=wait)
            resubmit = retry = False
            if not progress.finished and not wait:
                return status(run.folder)
            if not progress.finished:
                run.wait(current, tick and partial(_tell, run, tick))
        run.update_bills()
        layers, count = run.reader.layers, len(source.labels)
        if share := loud_share(run, count):
            run.write_stage(share.rows, share.shots, projections=share.projections)
            continue
        answers = [answers_of(layer, count) for layer in layers]
        asked = [layer[0].asked for layer in layers]
        result = walk(model, source.images, answers, asked, batch_size)
        if not isinstance(result, np.ndarray):
            run.write_stage(result, first_shots(run.terms))
            continue
        if run.terms.adaptive is None:
            return _finish(run, result, source.labels)
        images = unsettled(run, model, source, result, batch_size)
        share = next_share(run, images, count)
        room = room_for(run, share, wait=wait)
        if share is None or room is False:
            return _finish(run, result, source.labels, len(images))
        if room is None:  # until jobs are billed nobody knows
            return status(run.folder)
        run.write_stage(share.rows, share.shots, share.images)


def _check_total(run: HardwareRun) -> None:
    """Price the whole run on the device itself, before its first job is sent.

    The budget must have room for the limit of the dearest job too, which lies above its estimate.

    Raises:
        JobError: If it is over the budget.
    """
    if run.sender.local:
        return
    layout, order, terms = run.layout(0), run.reader.order, run.terms
    first = first_shots(terms) if terms.adaptive else None
    asked = replace(terms, shots=first) if first else terms  # what follows depends on its answers
    projections = len(run.reader.layers[0][0].rows.pubs)
    priced = live_estimate(order.count, order.stage_rows, asked, layout, projections)
    run.whole = 0.0 if first else priced.seconds
    if run.reader.announced:
        return
    dearest = max(chunk.seconds for chunk in layout.chunks)
    if terms.quiet:  # jobs of the other share, which is not laid out yet, may be dearer
        few = replace(terms, shots=terms.quiet.shots)
        quiet = live_estimate(order.count, order.stage_rows, few, layout, projections)
        loud = (priced.seconds - quiet.seconds) / (priced.jobs - quiet.jobs)
        dearest = max(dearest, loud)
    least = priced.seconds + whole_seconds(HEADROOM * dearest) - dearest
    if least > run.terms.budget:
        raise JobError(
            f"On {run.sender.device.name} as it is now the run is estimated at "
            f"{priced.seconds:,.1f} QPU seconds, and a job is sent with a limit of {HEADROOM:g} "
            f"times its estimate, which asks for a budget of {math.ceil(least):,}; it has "
            f"{run.terms.budget:g}. Nothing was sent. Use fewer shots or images, or `qvit resume "
            f"{run.folder} --wait --budget {math.ceil(least)}`."
        )


def _finish(
    run: HardwareRun, logits: np.ndarray, labels: np.ndarray, unsettled: int | None = None
) -> Status:
    arrays = pack_arrays({"logits": logits, "labels": labels})
    stored = run.journal.store(PREDICTIONS, arrays)
    run.journal.append(Completion(predictions=stored, unsettled=unsettled))
    return status(run.folder)


def _tell(run: HardwareRun, tick: Callable[[Status], None], progress: Progress) -> None:
    tick(replace(status(run.folder), queue=progress.queue))


def cancel(run: Path | str, patience: Patience | None = None) -> int:
    """Cancel the jobs of a run that have not ended; the folder can be resumed.

    Args:
        run: The run's folder.
        patience: How long to wait for the service, and how often to ask again.

    Returns:
        How many jobs were cancelled.

    Raises:
        JobError: If the folder is unusable, or another process works on it.

    Example:
        >>> from qvit_qiskit.runs import cancel
        >>> cancel("runs/mine")
        0
    """
    folder = Path(run)
    RunReader.open(folder)
    with locked(folder, LOCK_SECONDS):
        found = RunFolder.open(folder)
        return HardwareRun(found.reader, found.terms, patience).cancel()
