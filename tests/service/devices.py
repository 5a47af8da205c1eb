"""Devices: the client's bundled calibration snapshots under the names of real processors."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any


def snapshots() -> Path:
    """The folder of snapshots in the installed client, found without importing it."""
    spec = importlib.util.find_spec("qiskit_ibm_runtime")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("qiskit_ibm_runtime is not installed.")
    return Path(next(iter(spec.submodule_search_locations))) / "fake_provider" / "backends"


@dataclass(frozen=True)
class Device:
    """A processor, or with ``mock`` its twin that validates programs and returns random bits."""

    snapshot: str
    """E.g. ``"torino"``."""
    mock: bool = False

    @property
    def name(self) -> str:
        """E.g. ``"ibm_torino"`` or ``"mock_torino"``."""
        return f"{'mock' if self.mock else 'ibm'}_{self.snapshot}"

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The bundled configuration under this device's name."""
        return self._read("conf") | {"backend_name": self.name}

    @cached_property
    def properties(self) -> dict[str, Any]:
        """The bundled calibration under this device's name."""
        return self._read("props") | {"backend_name": self.name}

    def with_faults(self, qubits: list[int]) -> dict[str, Any]:
        """A later calibration in which some qubits are not operational."""
        found = dict(self.properties)
        now = datetime.now(UTC).isoformat()
        fault = {"name": "operational", "unit": "", "value": 0, "date": now}
        found["last_update_date"] = now
        found["qubits"] = [
            [*entries, fault] if qubit in qubits else entries
            for qubit, entries in enumerate(found["qubits"])
        ]
        return found

    @property
    def num_qubits(self) -> int:
        """How many qubits the device has."""
        return int(self.configuration["n_qubits"])

    @property
    def rep_delay(self) -> float:
        """The default delay between executions, in seconds; configurations give microseconds."""
        return float(self.configuration.get("default_rep_delay") or 250.0) * 1e-6

    def _read(self, kind: str) -> dict[str, Any]:
        path = snapshots() / self.snapshot / f"{kind}_{self.snapshot}.json"
        if not path.is_file():
            raise ValueError(f"The client bundles no snapshot of {self.snapshot!r}.")
        return json.loads(path.read_text())


def load(names: tuple[str, ...]) -> dict[str, Device]:
    """Devices and their mock twins by name, from ``"fake_torino"`` and the like.

    Raises:
        ValueError: If a snapshot is missing.
    """
    found: dict[str, Device] = {}
    for mock in (False, True):
        for name in names:
            snapshot = name.lower().removeprefix("fake_").removeprefix("ibm_")
            device = Device(snapshot, mock)
            if device.num_qubits:
                found[device.name] = device
    return found
