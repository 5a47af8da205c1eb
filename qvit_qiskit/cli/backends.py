"""``qvit backends``."""

from __future__ import annotations

from typing import Annotated

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson, BackendsDir

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
    for found in registry.available(backends_dir):
        try:
            profile = found.load()
        except ProfileError as error:
            broken.append(str(error))
            continue
        rows.append(
            {
                "name": found.name,
                "kind": profile.kind,
                "simulates": profile.simulates,
                "file": str(found.path),
            }
        )
    if json:
        screen.as_json(rows)
    elif rows:
        screen.table("Backend profiles", rows)
    if broken:
        raise ProfileError(" ".join(broken))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A profile's name or .toml file.")],
    circuit: Annotated[str, typer.Option(help="Circuit family.")] = "ry-ring",
    qubits: Annotated[int, typer.Option(help="Qubits of the circuit.")] = 4,
    layers: Annotated[int, typer.Option(help="Layers of the circuit.")] = 2,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Show a profile and how it runs a circuit: engine, device qubits, gradient.

    Example: qvit backends show fake-boston --circuit ry-chain --qubits 4
    """
    from qvit_qiskit.circuits import build_circuit
    from qvit_qiskit.execution import registry

    route = registry.open(name, backends_dir=backends_dir)
    chosen = build_circuit(circuit, qubits, layers)
    facts = {
        "profile": route.name,
        "file": str(route.path),
        "description": route.profile.description,
        "simulates": route.profile.simulates,
        f"{circuit}, {qubits} qubits, {layers} layers": route.describe(chosen),
        "gradient": type(route.gradient).__name__ if route.gradient else "none: evaluation only",
    }
    if json:
        screen.as_json(facts)
    else:
        screen.table("Profile", [{"": k, "value": v} for k, v in facts.items()])
