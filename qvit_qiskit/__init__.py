"""Quantum vision transformers: trained on Aer, evaluated on IBM quantum processors.

The names below load on first use, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qvit_qiskit.execution import noise_names

__version__ = "0.2.0"

_HOMES = {
    "QNNCircuit": "circuits",
    "build_circuit": "circuits",
    "register_family": "circuits",
    "registry": "execution",
    "QuantumLinear": "qnn",
    "QuantumProjections": "qnn",
    "convert": "qnn",
    "ViTConfig": "models",
    "build_model": "models",
    "Distillation": "training",
    "TrainConfig": "training",
    "fit": "training",
    "load_checkpoint": "training",
    "save_checkpoint": "training",
    "evaluate": "runs",
    "plan": "runs",
    "submit": "runs",
    "resume": "runs",
    "compare": "comparison",
    "as_images": "data",
    "load": "data",
}

if TYPE_CHECKING:
    from qiskit.providers import BackendV2

    from qvit_qiskit.circuits import QNNCircuit, build_circuit, register_family
    from qvit_qiskit.comparison import compare
    from qvit_qiskit.data import as_images, load
    from qvit_qiskit.execution import registry
    from qvit_qiskit.models import ViTConfig, build_model
    from qvit_qiskit.qnn import QuantumLinear, QuantumProjections, convert
    from qvit_qiskit.runs import evaluate, plan, resume, submit
    from qvit_qiskit.training import (
        Distillation,
        TrainConfig,
        fit,
        load_checkpoint,
        save_checkpoint,
    )

__all__ = [
    "Distillation",
    "QNNCircuit",
    "QuantumLinear",
    "QuantumProjections",
    "TrainConfig",
    "ViTConfig",
    "as_images",
    "build_circuit",
    "build_model",
    "compare",
    "convert",
    "evaluate",
    "fit",
    "load",
    "load_checkpoint",
    "plan",
    "register_family",
    "registry",
    "resume",
    "save_checkpoint",
    "submit",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = f"{__name__}.{_HOMES[name]}"
    if name == "registry":
        return import_module(f"{home}.registry")
    return getattr(import_module(home), name)


def _device_of_run(name: str) -> BackendV2:
    from qvit_qiskit.runs.run_noise import run_device

    return run_device(name)


noise_names.register("run", _device_of_run)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
