"""Which rows of a run go on to the next share of shots, and whether the budget has room."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from qvit_qiskit.devices.prices import Estimate, Mitigation, estimate
from qvit_qiskit.exceptions import JobError, ServiceError
from qvit_qiskit.hardware.hardware_run import HardwareRun
from qvit_qiskit.hardware.shot_shares import Adaptive, Quiet, SharePool, rows_of
from qvit_qiskit.hardware.stages.stage import Rows
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.inference.layer_estimator import LayerAnswers, LayerEstimator, logits_of
from qvit_qiskit.runs.run_folder import Source
from qvit_qiskit.statistics.stopping import StoppingRule

REDRAWS = 48
"""Redraws of the shots from which the noise of an image's logits is learned."""


@dataclass(frozen=True)
class NextShare:
    """What is to be measured next."""

    rows: Rows
    shots: int
    images: list[int] | None = None
    """Whose rows these are; None for all."""
    projections: list[int] | None = None
    """Whose rows these are; None for all."""


def rule_of(adaptive: Adaptive | None, shots: int) -> StoppingRule:
    """The rule that a run follows.

    Args:
        adaptive: How it spends its shots; not equally.
        shots: The most of a row.
    """
    assert adaptive is not None
    return StoppingRule.doubling(adaptive.first_shots, shots, adaptive.certainty)


def check_adaptive(
    adaptive: Adaptive | None, mitigation: Mitigation, layers: int, repeated: int
) -> None:
    """Refuse a run that cannot have adaptive shots.

    Args:
        adaptive: How its shots are spent; where they are equal nothing is refused.
        mitigation: Its resilience level.
        layers: Quantum layers of its model.
        repeated: Rows that are to run again, alone or in every job.

    Raises:
        JobError: If it has another number of quantum layers than one, mitigates errors, twirls
            gates or repeats rows.
    """
    if adaptive is None:
        return
    adaptive.check()
    if layers != 1:
        raise JobError(
            f"Adaptive shots are for models with one quantum layer, and this one has {layers}: "
            "further shots of a layer would change what the next one is asked. Leave adaptive out."
        )
    if any(mitigation.twirls):
        raise JobError(
            "Adaptive shots are for resilience level 0 without twirled gates: a calibration's "
            "noise is common to the rows of a job, and twirls come in batches of 64 shots. Set "
            "resilience_level = 0 and twirl_gates = false, or leave adaptive out."
        )
    if repeated:
        raise JobError(
            "Adaptive shots measure other rows in every share, so that none can be repeated "
            "beside them. Leave out control_rows and anchor_rows, or adaptive."
        )


def check_quiet(quiet: Quiet | None, terms: Terms, layers: int, projections: int) -> None:
    """Refuse a run that cannot have quiet projections.

    Args:
        quiet: Which; where there are none nothing is refused.
        terms: Of the run.
        layers: Quantum layers of its model.
        projections: Of its first quantum layer.

    Raises:
        JobError: If projections or shots are none that can be, or its model has several quantum
            layers, or it repeats rows or has adaptive shots.
    """
    if quiet is None:
        return
    if layers != 1:
        raise JobError(
            f"quiet_shots are for models with one quantum layer, and this one has {layers}. Leave "
            "them out."
        )
    if terms.control_rows or terms.anchor_rows or terms.adaptive:
        raise JobError(
            "quiet_shots exclude control_rows, anchor_rows and adaptive shots. Leave these out, or "
            "quiet_shots."
        )
    quiet.check(terms.shots, projections)


def first_shots(terms: Terms) -> int | None:
    """Shots of the first share; None where all rows have equal shots."""
    if terms.quiet:
        return terms.quiet.shots
    return rule_of(terms.adaptive, terms.shots).sizes[0] if terms.adaptive else None


def loud_share(run: HardwareRun, count: int) -> NextShare | None:
    """What the projections are asked that get more shots than the quiet ones; None if they have.

    Args:
        run: Whose stages so far are all finished.
        count: How many images the run has.
    """
    quiet, layers = run.terms.quiet, run.reader.layers
    if quiet is None or not layers or len(layers[-1]) > 1:
        return None
    rows = layers[-1][0].rows
    loud = quiet.loud(len(rows.pubs))
    asked = rows_of(rows, np.arange(count), count, loud)
    return NextShare(asked, run.terms.shots - quiet.shots, projections=loud)


def unsettled(
    run: HardwareRun, model: nn.Module, source: Source, logits: np.ndarray, batch_size: int
) -> np.ndarray:
    """The images of the last share whose answer its noise may still change.

    The same folder gives the same images, in any process.

    Args:
        run: Whose shares so far are all finished.
        model: The model.
        source: The images of the run.
        logits: As measured so far, shape (n, classes).
        batch_size: Images per forward pass.

    Returns:
        Numbers of images, ascending.
    """
    stages = run.reader.layers[0]
    last, count = stages[-1].order.images, len(logits)
    asked = np.arange(count) if last is None else np.asarray(last)
    # Another seed in each share, and the same one in every process that comes to it.
    seed = (run.terms.profile.seed, len(stages))
    pool = SharePool.of(stages, count)
    covariances = noise_of_logits(model, source.images, pool, asked, batch_size, seed)
    settled = rule_of(run.terms.adaptive, run.terms.shots).settled(
        logits[asked], covariances, multi_label=source.labels.ndim == 2
    )
    return np.asarray(asked[~settled])


def noise_of_logits(
    model: nn.Module,
    images: Tensor,
    pool: SharePool,
    asked: np.ndarray,
    batch_size: int,
    seed: tuple[int, ...],
) -> np.ndarray:
    """Covariances that the shots of some images give their logits, (m, classes, classes).

    Args:
        model: The model.
        images: All, shape (n, ...).
        pool: What its quantum layer returned for them.
        asked: Numbers of m images.
        batch_size: Images per forward pass.
        seed: Of the redraws.
    """
    rng, drawn = np.random.default_rng(list(seed)), []
    means = [values for values, _ in pool.answers]
    for _ in range(REDRAWS):
        layer = [
            (mean + error).reshape(pool.count, -1, mean.shape[1])[asked].reshape(-1, mean.shape[1])
            for mean, error in zip(means, pool.draw(rng), strict=True)
        ]
        estimator = LayerEstimator(None, [LayerAnswers(layer)], notes=False)
        drawn.append(logits_of(model, images[asked], estimator, batch_size))
    centred = np.stack(drawn) - np.mean(drawn, axis=0)  # (draws, n, K)
    return np.einsum("dnk,dnl->nkl", centred, centred) / (REDRAWS - 1)


def next_share(run: HardwareRun, images: np.ndarray, count: int) -> NextShare | None:
    """What these images are asked next; None without any, or where they have had the most shots.

    Args:
        run: Whose shares so far are all finished.
        images: Those that are not settled.
        count: How many images the run has.
    """
    stages, sizes = run.reader.layers[0], rule_of(run.terms.adaptive, run.terms.shots).sizes
    if not len(images) or len(stages) == len(sizes):
        return None
    rows = rows_of(stages[0].rows, images, count)  # the angles that the first share wrote down
    return NextShare(rows, sizes[len(stages)], [int(image) for image in images])


def room_for(run: HardwareRun, share: NextShare | None, *, wait: bool) -> bool | None:
    """Whether the budget has room for a share; None where that depends on bills to come.

    Args:
        run: The run.
        share: What comes next; for nothing there is room.
        wait: Whether to stay until bills say it.

    Raises:
        ServiceError: If the service does not bill for longer than an outage may last.
    """
    if share is None:
        return True
    end, pause = time.monotonic() + run.patience.outage, 0.2
    while (room := affords(run, share)) is None and wait:
        if time.monotonic() > end:
            raise ServiceError(
                "IBM has not billed all jobs yet, and whether the budget has room for further "
                "shots depends on that. Nothing is lost; go on later with `qvit resume "
                f"{run.folder} --wait`."
            )
        time.sleep(pause)
        pause = min(1.5 * pause, run.patience.poll)
        run.update_bills()
    return room


def affords(run: HardwareRun, share: NextShare) -> bool | None:
    """Whether the budget has room for a share now; None where that depends on bills to come.

    A job of it is taken to be sent with the least limit that it may have.

    Args:
        run: The run.
        share: What comes next.
    """
    priced = price_of(run, share)
    if run.sender.local:  # a rehearsal costs nothing, and ends where the run would
        return run.reader.planned_seconds + priced.seconds <= run.terms.budget
    ledger = run.ledger
    # Jobs are of about equal size.
    need = priced.jobs * ledger.limit(priced.seconds / priced.jobs)
    if need <= ledger.left:
        return True
    return False if ledger.final else None


def price_of(run: HardwareRun, share: NextShare) -> Estimate:
    """The price of a share, with the circuits as the first one had them.

    Args:
        run: The run.
        share: What comes next.
    """
    terms, layout = run.terms, run.reader.layers[0][0].layout
    rows = sum(len(group.rows) for group in share.rows.groups)
    return estimate([rows], share.shots, terms.procedure(layout))
