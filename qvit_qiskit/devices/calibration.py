"""A device rebuilt from its recorded calibration: the errors of one moment, offline."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from qiskit.circuit import Delay, Parameter
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.circuit.measure import Measure
from qiskit.providers import QubitProperties
from qiskit.transpiler import InstructionProperties, Target
from qiskit_ibm_runtime.models import BackendProperties
from qiskit_ibm_runtime.models.exceptions import BackendPropertyError

from qvit_qiskit.devices.regions import TargetDevice
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.formats import Format

FORMAT = Format("calibration file", 1, RouteError, unnumbered=True)
"""The service's own properties, which bear no number; a version that adds to them numbers them."""
_FRACTIONAL = {"rx", "rzz"}
"""Reported for Heron processors, but our circuits are compiled without them."""
_DT = 4e-9
"""Seconds of a Heron's clock cycle; only delays that are counted in cycles depend on it."""


class CalibratedDevice(TargetDevice):
    """A device as its properties described it; it carries a target and cannot run."""

    def __init__(self, properties: BackendProperties) -> None:
        super().__init__(_target(properties), properties.backend_name)
        self._properties = properties

    def properties(self) -> BackendProperties:
        """Everything that was recorded."""
        return self._properties


def device_of(calibration: bytes, source: str) -> CalibratedDevice:
    """A device from the JSON of its properties.

    Args:
        calibration: As runs record it, or as `qvit backends check NAME --save FILE` writes it.
        source: Its name in messages.

    Raises:
        RouteError: If it holds no properties of a device.
    """
    try:
        record = json.loads(calibration)
        FORMAT.check(record.pop("format", None), source)
        properties = BackendProperties.from_dict(record)
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
            qubits: InstructionProperties(
                _value(values, "gate_length"), _value(values, "gate_error")
            )
            for qubits, values in properties.gate_property(name).items()
            if properties.is_gate_operational(name, qubits)
        }
        target.add_instruction(kinds[name], entries)
    measures = {
        (q,): InstructionProperties(_value(k, "readout_length"), _value(k, "readout_error"))
        for q, k in enumerate(known)
        if properties.is_qubit_operational(q)
    }
    target.add_instruction(Measure(), measures)
    target.add_instruction(Delay(Parameter("t")), {(q,): None for q in range(count)})
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
