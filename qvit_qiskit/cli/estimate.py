"""``qvit estimate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson, BackendsDir, DataRoot


def estimate(
    job: Annotated[Path, typer.Argument(help="A job spec, e.g. jobs/hello-hardware.toml.")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="The checkpoint, instead of the spec's.")
    ] = None,
    data_root: DataRoot = None,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Price a job offline: executions, QPU seconds, money. Nothing is sent.

    Example: qvit estimate jobs/hello-hardware.toml --checkpoint checkpoints/demo
    """
    from qvit_qiskit.data import load
    from qvit_qiskit.exceptions import JobError
    from qvit_qiskit.execution import registry
    from qvit_qiskit.execution.profile import IbmProfile
    from qvit_qiskit.runs.pricing import price
    from qvit_qiskit.runs.spec import load_spec
    from qvit_qiskit.training import load_checkpoint

    spec = load_spec(job)
    found = registry.find(spec.backend, backends_dir)
    _refuse_shadow(found, backends_dir)
    profile = found.load()
    if not isinstance(profile, IbmProfile):
        raise JobError(
            f"The profile {spec.backend!r} is of kind {profile.kind!r} and costs no QPU time. "
            "Run it with `qvit evaluate`, or name a profile of kind 'ibm' in the spec."
        )
    path = checkpoint or (job.parent / spec.checkpoint if spec.checkpoint else None)
    if path is None:
        raise JobError(f"{job} names no checkpoint. Pass one with --checkpoint.")
    model = load_checkpoint(path).model
    images = spec.subset or len(load(spec.dataset, data_root).split(spec.split))
    shots = spec.shots or profile.shots
    priced = price(model, model.cost(), images, profile, shots)
    facts = _facts(priced, images, profile)
    facts |= {"budget": f"{spec.budget_seconds:g} s", "profile": str(found.path)}
    if json:
        values = {"seconds": priced.seconds, "executions": priced.executions, "jobs": priced.jobs}
        screen.as_json({**values, "budget_seconds": spec.budget_seconds, "facts": facts})
    else:
        screen.table(f"{job} (estimate)", [{"": k, "value": v} for k, v in facts.items()])
    _check_budget(priced, images, spec.budget_seconds)


def _facts(priced: Any, images: int, profile: Any) -> dict[str, Any]:
    from qvit_qiskit.execution.cost import MAX_SUBMISSIONS_PER_MINUTE, prices

    each = priced.timing
    money = [f"{plan} {priced.money(plan):.2f}" for plan in prices()["per_second"]]
    return {
        "device": f"{profile.device}, priced as {profile.priced_as}",
        "images": str(images),
        "rows (circuits)": f"{priced.rows:,} in {priced.stages} stage(s)",
        "shots per circuit": f"{priced.shots:,} at resilience level {profile.resilience_level}",
        "executions": f"{priced.executions:,}",
        "one execution": f"{1e6 * each.execution:.1f} µs, {1e6 * each.rep_delay:.0f} of them delay",
        "jobs": f"{priced.jobs} (at most {MAX_SUBMISSIONS_PER_MINUTE} may be sent a minute)",
        "QPU time": f"{priced.seconds:,.1f} s",
        "of the Open plan's ten minutes": f"{priced.open_plan_share:.1%}",
        f"price, {prices()['currency']} as of {prices()['date']}": ", ".join(money),
    }


def _check_budget(priced: Any, images: int, budget: float) -> None:
    from qvit_qiskit.exceptions import JobError
    from qvit_qiskit.runs.pricing import affordable

    if priced.seconds <= budget:
        return
    shots, fewer = affordable(priced, images, budget)
    raise JobError(
        f"The estimate of {priced.seconds:,.1f} QPU seconds is over the budget of {budget:g}. "
        f"It would fit with shots = {shots} or subset = {fewer}, or with a larger budget_seconds."
    )


def _refuse_shadow(found: Any, backends_dir: Path | None) -> None:
    """A profile in a downloaded folder must not pass for a packaged one that costs money."""
    from qvit_qiskit.exceptions import ProfileError
    from qvit_qiskit.execution.profile import IbmProfile

    if backends_dir is None and found.shadows and isinstance(found.load(), IbmProfile):
        raise ProfileError(
            f"The profile {found.path} costs QPU time and hides {found.shadows[0]} of the same "
            f"name. Rename it, or say that you mean it with --backends-dir {found.path.parent}."
        )
