"""A device as Qiskit sees it: its target, and the part of it that some qubits make."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from qiskit.providers import BackendV2, Options
from qiskit.transpiler import InstructionProperties, Target
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import fake_provider

from .components import MAX_STATE_QUBITS
from .devices import Device


@lru_cache(maxsize=8)
def _snapshot(name: str) -> BackendV2:
    for attribute in dir(fake_provider):
        kind = getattr(fake_provider, attribute)
        if getattr(kind, "conf_filename", None) == f"conf_{name}.json":
            return kind()
    raise ValueError(f"The client bundles no device of the snapshot {name!r}.")


def target(device: Device) -> Target:
    """The target of a whole device."""
    return _snapshot(device.snapshot).target


@lru_cache(maxsize=64)
def simulator(device: Device, qubits: tuple[int, ...], noiseless: bool) -> AerSimulator:
    """Aer with the noise of some of the device's qubits, renumbered in the given order."""
    quiet: dict[str, Any] = {"max_parallel_threads": 1, "enable_truncation": False}
    if len(qubits) > MAX_STATE_QUBITS:
        quiet["method"] = "matrix_product_state"
    if noiseless:
        return AerSimulator(**quiet)
    return AerSimulator.from_backend(_Part(device, qubits), **quiet)


class _Measure(InstructionProperties):
    """A measurement's errors by prepared state; Aer reads these attributes."""

    prob_meas1_prep0: float
    prob_meas0_prep1: float


class _Part(BackendV2):
    """Some qubits of a device as a backend; it only carries a target."""

    def __init__(self, device: Device, qubits: tuple[int, ...]) -> None:
        super().__init__(name=f"{device.name} on {qubits}")
        whole = target(device)
        place = {physical: wire for wire, physical in enumerate(qubits)}
        part = Target(
            num_qubits=len(qubits),
            dt=whole.dt,
            qubit_properties=[whole.qubit_properties[q] for q in qubits],
        )
        for name in whole.operation_names:
            entries = whole[name]
            if entries is None or None in entries:
                continue
            kept = {
                tuple(place[q] for q in wires): entry
                for wires, entry in entries.items()
                if all(q in place for q in wires)
            }
            if name == "measure":
                kept = {
                    (wire,): measurement(device, physical, kept[(wire,)].duration)
                    for physical, wire in place.items()
                }
            if kept:
                part.add_instruction(whole.operation_from_name(name), kept)
        self._target = part

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Any, **options: Any) -> Any:
        raise NotImplementedError


@lru_cache(maxsize=1024)
def measurement(device: Device, qubit: int, duration: float | None) -> _Measure:
    """A qubit's readout errors from the device's calibration."""
    known = {entry["name"]: entry["value"] for entry in device.properties["qubits"][qubit]}
    error = float(known.get("readout_error", 0.0))
    entry = _Measure(duration=duration, error=error)
    entry.prob_meas1_prep0 = float(known.get("prob_meas1_prep0", error))
    entry.prob_meas0_prep1 = float(known.get("prob_meas0_prep1", error))
    return entry
