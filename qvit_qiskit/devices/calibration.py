"""A device rebuilt from its recorded calibration: the errors of one moment, offline."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.circuit.measure import Measure
from qiskit.providers import BackendV2, QubitProperties
from qiskit.transpiler import InstructionProperties, Target
from qiskit_ibm_runtime.models import BackendProperties
from qiskit_ibm_runtime.models.exceptions import BackendPropertyError

from qvit_qiskit.devices.regions import TargetDevice, bundled_device
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.hardware.account import connect, find_device
from qvit_qiskit.hardware.calls import Patience, repeat
from qvit_qiskit.hardware.journal import Event, Journal
from qvit_qiskit.hardware.senders import properties_json
from qvit_qiskit.profile import IbmProfile

_FRACTIONAL = {"rx", "rzz"}
"""Reported for Heron processors, but our circuits are compiled without them."""
_DT = 4e-9
"""Seconds of a Heron's clock cycle; no error depends on it."""


class CalibratedDevice(TargetDevice):
    """A device as its properties described it; it carries a target and cannot run."""

    def __init__(self, properties: BackendProperties) -> None:
        super().__init__(_target(properties), properties.backend_name)
        self._properties = properties

    def properties(self) -> BackendProperties:
        """Everything that was recorded."""
        return self._properties


def noise_device(noise: str, base: Path) -> BackendV2:
    """The device that a profile's ``noise`` names.

    Args:
        noise: A bundled snapshot, ``run:`` and a run's folder or its name below ``runs/``, or a
            calibration file ending in ``.json``.
        base: What the file's path is relative to.

    Raises:
        RouteError: If there is no such snapshot or calibration.
        JobError: If the folder is no run's.
    """
    if noise.startswith("run:"):
        return run_device(Path(noise.removeprefix("run:")))
    if noise.endswith(".json"):
        path = base / noise
        try:
            return device_of(path.read_bytes(), str(path))
        except OSError as error:
            raise RouteError(f"Cannot read the calibration {path}: {error.strerror}.") from error
    return bundled_device(noise)


def run_device(folder: Path) -> BackendV2:
    """The device of a run, as it was when the run's last quantum layer was compiled.

    Raises:
        RouteError: If the run is not compiled, or its device reported nothing.
        JobError: If the folder is no run's.
    """
    if not folder.exists() and (Path("runs") / folder).exists():
        folder = Path("runs") / folder
    journal = Journal.open(folder)
    compiled = journal.of("compiled")
    if not compiled:
        raise RouteError(f"The run in {folder} has recorded no calibration yet; resume it first.")
    return compiled_device(journal, compiled[-1])


def compiled_device(journal: Journal, compiled: Event) -> CalibratedDevice:
    """The device as it was when a stage was compiled.

    Args:
        journal: Of the run.
        compiled: The journal's event.

    Raises:
        JobError: If the calibration is missing or not what the run wrote.
        RouteError: If the device reported nothing.
    """
    found = compiled["calibration"]
    errors = journal.load(found["file"], found["sha256"])
    return device_of(errors, str(journal.folder / found["file"]))


def live_calibration(profile: IbmProfile, patience: Patience) -> str:
    """What a profile's device reports of itself now, as `device_of` reads it; costs no QPU time.

    Raises:
        RouteError: If the account is missing or refused, or has no such device.
        ServiceError: If the service does not answer.
    """
    device = find_device(connect(profile, patience), profile, patience)
    return repeat("reading the calibration", patience, lambda: properties_json(device))


def device_of(calibration: bytes, source: str) -> CalibratedDevice:
    """A device from the JSON of its properties.

    Args:
        calibration: As runs record it, or as `qvit backends check NAME --save FILE` writes it.
        source: Its name in messages.

    Raises:
        RouteError: If it holds no properties of a device.
    """
    try:
        properties = BackendProperties.from_dict(json.loads(calibration))
    except (ValueError, KeyError, TypeError, AttributeError, BackendPropertyError) as error:
        raise _no_calibration(source) from error
    try:
        return CalibratedDevice(properties)
    except (ValueError, KeyError, TypeError, BackendPropertyError) as error:
        raise _no_calibration(f"{source} ({error})") from error


def _no_calibration(source: str) -> RouteError:
    return RouteError(
        f"{source} is no calibration of a device. Expected a file that a run recorded, or that "
        "`qvit backends check NAME --save FILE` wrote."
    )


def _target(properties: BackendProperties) -> Target:
    count = len(properties.qubits)
    known = [properties.qubit_property(q) for q in range(count)]
    for qubit in known:
        for name in ("prob_meas0_prep1", "prob_meas1_prep0"):
            _value(qubit, name)
    target = Target(
        num_qubits=count,
        dt=_DT,
        qubit_properties=[QubitProperties(t1=_value(k, "T1"), t2=_value(k, "T2")) for k in known],
    )
    kinds = get_standard_gate_name_mapping()
    names = {gate.gate for gate in properties.gates} - _FRACTIONAL - {"measure"}
    for name in sorted(names & set(kinds)):
        entries = {
            qubits: InstructionProperties(_value(found, "gate_length"), _value(found, "gate_error"))
            for qubits, found in properties.gate_property(name).items()
            if properties.is_gate_operational(name, qubits)
        }
        target.add_instruction(kinds[name], entries)
    measures = {
        (q,): InstructionProperties(_value(k, "readout_length"), _value(k, "readout_error"))
        for q, k in enumerate(known)
        if properties.is_qubit_operational(q)
    }
    target.add_instruction(Measure(), measures)
    return target


_MOST = {"gate_error": 1.0, "readout_error": 1.0, "prob_meas0_prep1": 1.0, "prob_meas1_prep0": 1.0}
"""Probabilities; times have no upper limit."""


def _value(entry: dict[str, Any], name: str) -> float | None:
    """A reported number, in SI units.

    Raises:
        ValueError: If it is none, or not possible.
    """
    if name not in entry:
        return None
    value = entry[name][0]
    least = sys.float_info.min if name in ("T1", "T2") else 0.0
    if not isinstance(value, int | float) or not least <= value <= _MOST.get(name, math.inf):
        raise ValueError(f"{name} is {value!r}")
    return float(value)
