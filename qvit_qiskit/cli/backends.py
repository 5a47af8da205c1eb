"""``qvit backends``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.estimate import CheckpointFile, job_file
from qvit_qiskit.cli.options import AsJson, BackendsDir

if TYPE_CHECKING:
    from qvit_qiskit.circuits import QNNCircuit
    from qvit_qiskit.ibm.account import Standing
    from qvit_qiskit.profile import AnyProfile, IbmProfile
    from qvit_qiskit.runs.readiness import Readiness

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def backends(
    context: typer.Context, backends_dir: BackendsDir = None, json: AsJson = False
) -> None:
    """List backend profiles and the files they come from.

    Example: qvit backends show aer-exact --qubits 8
    """
    if context.invoked_subcommand is not None:
        return
    from qvit_qiskit.exceptions import ProfileError
    from qvit_qiskit.execution import registry

    rows, broken = [], []
    for entry in registry.available(backends_dir):
        try:
            profile = entry.load()
        except ProfileError as error:
            broken.append(str(error))
            continue
        rows.append(
            {
                "name": entry.name,
                "kind": profile.kind,
                "simulates": profile.simulates,
                "file": str(entry.path),
            }
        )
    if json:
        screen.as_json(rows)
    elif rows:
        screen.table("Backend profiles", [{k: row[k] for k in row if k != "file"} for row in rows])
        screen.lines(_places([Path(row["file"]) for row in rows]))
    if broken:
        raise ProfileError(" ".join(broken))


def _places(files: Sequence[Path]) -> list[str]:
    """Which folders the profiles lie in, and which lie where there are several."""
    folders: dict[Path, list[str]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file.stem)
    if len(folders) == 1:
        return [f"The files are NAME.toml in {screen.near(files[0].parent)}"]
    return [f"{screen.near(folder)}: {', '.join(names)}" for folder, names in folders.items()]


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A profile's name or .toml file.")],
    circuit: Annotated[str, typer.Option(help="Circuit family.")] = "ry-ring",
    qubits: Annotated[int, typer.Option(help="Qubits of the circuit.")] = 4,
    layers: Annotated[int, typer.Option(help="Layers of the circuit.")] = 2,
    packing: Annotated[
        bool,
        typer.Option("--packing", help="Draw the chip with copies side by side, and price them."),
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="The .svg or .png file; by default NAME-packing.svg.")
    ] = None,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Show a profile and how it runs a circuit: engine, device qubits, gradient.

    Example: qvit backends show fake-boston --circuit ry-chain --qubits 4
    """
    from qvit_qiskit.circuits import build_circuit
    from qvit_qiskit.execution import registry
    from qvit_qiskit.profile import IbmProfile

    chosen = build_circuit(circuit, qubits, layers)
    entry = registry.find(name, backends_dir)
    profile = entry.load()
    if packing:
        _show_packing(profile, chosen, picture or Path(f"{entry.name}-packing.svg"), json)
        return
    if isinstance(profile, IbmProfile):
        _show_facts(_ibm_facts(entry.name, entry.path, profile, chosen), json)
        return
    route = registry.open(name, backends_dir=backends_dir)
    facts = {
        "profile": route.name,
        "file": route.path,
        "description": route.profile.description,
        "simulates": route.profile.simulates,
        f"{circuit}, {qubits} qubits, {layers} layers": route.describe(chosen),
        "gradient": type(route.gradient).__name__ if route.gradient else "none: evaluation only",
    }
    _show_facts(facts, json)


def _show_facts(facts: dict[str, Any], json: bool) -> None:
    screen.as_json(facts) if json else screen.facts("Profile", facts)


def _show_packing(profile: AnyProfile, circuit: QNNCircuit, picture: Path, json: bool) -> None:
    from qvit_qiskit.exceptions import ProfileError
    from qvit_qiskit.profile import AerProfile

    if isinstance(profile, AerProfile):
        raise ProfileError("A profile of kind 'aer' has no chip. Name one of kind 'ibm' or 'fake'.")
    if picture.suffix.lower() not in (".svg", ".png"):
        raise ProfileError(f"Expected a .svg or .png file for the picture, but got {picture}.")
    from qvit_qiskit.comparison.figures.chip import draw_chip
    from qvit_qiskit.runs.pricing import packing_choices, pricing_device, usual_shots

    device = pricing_device(profile)
    rows, chosen = packing_choices(circuit, profile, device)
    draw_chip(device, [r.qubits for r in chosen.regions], chosen.fidelities).savefig(picture)
    if json:
        screen.as_json(rows)
    else:
        screen.table(f"{device.name}: k copies, {usual_shots(profile)} shots, 1,000 rows", rows)
        print(f"The profile's choice, {len(chosen)} copies, is drawn in {picture}.")


def _ibm_facts(name: str, path: Path, profile: IbmProfile, circuit: QNNCircuit) -> dict[str, Any]:
    from qvit_qiskit.devices.prices import prices
    from qvit_qiskit.runs.pricing import price_circuit

    compiled, price = price_circuit(circuit, profile)
    money = [f"{plan} {price.money(plan):.2f}" for plan in prices()["per_second"]]
    return {
        "profile": name,
        "file": path,
        "description": profile.description,
        "runs on": profile.simulates,
        "mode": profile.mode,
        "priced as": price.timing.device,
        "circuit": compiled.describe(),
        "one execution": f"{1e6 * price.timing.execution:.1f} µs",
        "1,000 executions": f"{1000 * price.timing.execution:.2f} s, and "
        f"{price.seconds - 1000 * price.timing.execution:.0f} s for the job",
        f"price of such a job, {prices()['currency']} as of {prices()['date']}": ", ".join(money),
        "gradient": "none: evaluation only",
    }


@app.command()
def check(
    name: Annotated[
        str | None, typer.Argument(help="A profile of kind ibm, or its .toml file.")
    ] = None,
    job: Annotated[
        Path | None,
        typer.Option(
            help="A job spec: its profile, and whether it could be sent now.", callback=job_file
        ),
    ] = None,
    checkpoint: CheckpointFile = None,
    backends_dir: BackendsDir = None,
    patience: Annotated[float, typer.Option(min=0.1, help="Seconds an outage may last.")] = 60.0,
    save: Annotated[
        Path | None, typer.Option(help="A .json file for the device's reported errors.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Ask IBM whether account and device are ready, for a job too. Costs no QPU time.

    Example: qvit backends check ibm-boston --save boston.json
    """
    from qvit_qiskit.exceptions import ProfileError
    from qvit_qiskit.execution import registry
    from qvit_qiskit.ibm.account import check as ask
    from qvit_qiskit.ibm.calls import Patience
    from qvit_qiskit.profile import IbmProfile
    from qvit_qiskit.runs.job import read_job

    read = read_job(job, checkpoint, backends_dir) if job is not None else None
    if name is None and read is None:
        raise ProfileError("Expected the name of a profile, or --job with a job spec.")
    if read is not None and name not in (None, read.spec.backend):
        raise ProfileError(f"{job} is for the profile {read.spec.backend!r}. Leave {name!r} out.")
    name = name or (read.spec.backend if read is not None else "")
    entry = registry.find(name, backends_dir)
    profile = entry.load()
    if not isinstance(profile, IbmProfile):
        raise ProfileError(
            f"The profile {name!r} is of kind {profile.kind!r} and needs no account. Name one of "
            "kind 'ibm'."
        )
    if save is not None and save.suffix != ".json":
        raise ProfileError(f"Expected a .json file for the calibration, but got {save}.")
    standing = ask(profile, Patience.of(patience))
    if save is not None:
        from qvit_qiskit.execution.noise_source import live_calibration
        from qvit_qiskit.files import write_text

        write_text(save, live_calibration(profile, Patience.of(patience)))
    ready = None
    if read is not None:
        from qvit_qiskit.runs.readiness import check_job

        ready = check_job(read, Patience.of(patience), standing.device)
    _show_standing(str(entry.path), standing, ready, json)
    if save is not None and not json:
        print(f'The reported errors are in {save}: a profile of kind "aer" takes it as noise.')
    if ready is not None and ready.problem is not None:
        raise ready.problem


def _show_standing(title: str, standing: Standing, ready: Readiness | None, json: bool) -> None:
    from dataclasses import asdict

    if json:
        screen.as_json({**asdict(standing), **({"job": _job_facts(ready)} if ready else {})})
        return
    left = "no limit" if standing.left_seconds is None else f"{standing.left_seconds:,.0f} s left"
    screen.facts(
        title,
        {
            "instance": standing.instance,
            "plan": standing.plan,
            "QPU time": f"{standing.used_seconds:,.0f} s used, {left}",
            "device": f"{standing.device}, {standing.qubits} qubits",
            "state": standing.state,
            "jobs waiting": str(standing.queue),
            "delay between executions": f"{1e6 * standing.rep_delay:.0f} µs",
            "devices of the instance": ", ".join(standing.devices),
            **(_job_rows(ready) if ready else {}),
        },
    )


def _job_facts(ready: Readiness) -> dict[str, Any]:
    """What is told of a job as JSON."""
    return {
        "seconds": ready.seconds,
        "executions": ready.executions,
        "jobs": ready.jobs,
        "request_bytes": ready.request_bytes,
        "ready": ready.problem is None,
        "problem": str(ready.problem) if ready.problem else None,
    }


def _job_rows(ready: Readiness) -> dict[str, str]:
    """What is told of a job to people."""
    return {
        "the job, on the device now": f"{ready.seconds:,.1f} s of QPU time (estimate), "
        f"{ready.executions:,} executions in {ready.jobs} job(s) of about "
        f"{max(ready.request_bytes / 1e6, 0.1):,.1f} MB",
        "could be sent now": "no" if ready.problem else "yes",
    }
