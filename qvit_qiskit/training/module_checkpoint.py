"""Checkpoints of modules that no configuration of ours rebuilds: weights, and their circuits."""

from __future__ import annotations

import json
from collections.abc import Mapping

from torch import Tensor, nn

from qvit_qiskit.circuits.circuit_record import pack_circuit, same_circuit, unpack_circuit
from qvit_qiskit.exceptions import CheckpointError, CircuitError
from qvit_qiskit.execution.parts import places
from qvit_qiskit.qnn import QuantumLinear

KIND = "module"


def describe(model: nn.Module) -> dict[str, str]:
    """What a checkpoint says of a module, beside its weights.

    Args:
        model: Any module.

    Raises:
        CheckpointError: If a quantum layer's weights are in no state dict, or a circuit cannot be
            stored.
    """
    within = {id(part) for part in model.modules()}
    for place in places(model):
        if isinstance(place.held, QuantumLinear) and id(place.held) not in within:
            raise CheckpointError(
                f"Expected quantum layers that are modules of the model, but {place.name!r} stands "
                "where torch does not look, so that its weights are in no state dict. Put it in an "
                "attribute or in an nn.ModuleList."
            )
    try:
        circuits = {name: pack_circuit(layer.circuit) for name, layer in _layers(model).items()}
    except CircuitError as error:
        raise CheckpointError(f"The model cannot be stored: {error}") from error
    kind = type(model)
    return {
        "kind": KIND,
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "circuits": json.dumps(circuits),
    }


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A module's state, each tensor its own, so that shared ones may be stored.

    Raises:
        CheckpointError: If its state dict holds more than tensors.
    """
    state = model.state_dict()
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise CheckpointError(
            f"Expected a state dict of tensors, but {odd[0]!r} is a {type(state[odd[0]]).__name__}:"
            " only tensors are stored, since anything else would have to be trusted when it is "
            "read. Leave out get_extra_state, or write a tensor."
        )
    return {name: value.detach().clone().contiguous() for name, value in state.items()}


def fill(model: nn.Module, tensors: Mapping[str, Tensor], circuits: str | None) -> None:
    """Load a checkpoint's weights into a module; one that does not fit is left as it was.

    Args:
        model: The module, e.g. freshly made.
        tensors: The checkpoint's, by name.
        circuits: What `describe` wrote of them; None where the checkpoint says nothing.

    Raises:
        CheckpointError: If names, shapes or circuits are not those of the checkpoint.
    """
    own = model.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or extra:
        raise CheckpointError(
            f"the model lacks {extra[:3] or 'nothing'} of it, and has {missing[:3] or 'nothing'} "
            "beside it"
        )
    for name, value in own.items():
        if value.shape != tensors[name].shape:
            raise CheckpointError(
                f"{name!r} has the shape {tuple(tensors[name].shape)} in it, but "
                f"{tuple(value.shape)} in the model"
            )
    if circuits is not None:
        _check_circuits(model, circuits)
    model.load_state_dict(dict(tensors))


def _check_circuits(model: nn.Module, circuits: str) -> None:
    layers, stored = _layers(model), dict(json.loads(circuits))
    for name in sorted(layers.keys() | stored.keys()):
        if name not in layers or name not in stored:
            where = "the model" if name in layers else "the checkpoint"
            raise CheckpointError(f"only {where} has a quantum layer {name!r}")
        try:
            same = same_circuit(unpack_circuit(stored[name]), layers[name].circuit)
        except CircuitError as error:
            raise CheckpointError(f"the circuit of {name!r} cannot be read: {error}") from error
        if not same:
            raise CheckpointError(f"the circuit of {name!r} is another one than in the model")


def _layers(model: nn.Module) -> dict[str, QuantumLinear]:
    return {name: part for name, part in model.named_modules() if isinstance(part, QuantumLinear)}
