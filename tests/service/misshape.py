"""Results that decode but are not what was asked for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def misshape(body: bytes, variant: str) -> bytes:
    """A damaged copy of a result.

    Args:
        body: JSON of a `QuantumProgramResultModel`.
        variant: ``"shots"`` or ``"rows"`` drops the last shot or the last row of every tensor of
            bits, ``"register"`` renames them, ``"item"`` drops the last item, ``"schema"`` names
            a version that no client knows.

    Raises:
        ValueError: If the variant is unknown.
    """
    result = json.loads(body)
    if variant == "schema":
        result["schema_version"] = "v99.0"
    elif variant == "item":
        result["data"] = result["data"][:-1]
    elif variant == "register":
        for item in result["data"]:
            item["results"] = {f"{name}_x": value for name, value in item["results"].items()}
    elif variant in ("shots", "rows"):
        axis = -2 if variant == "shots" else 0
        for item in result["data"]:
            bits = {n: t for n, t in item["results"].items() if _is_bits(n, t)}
            item["results"] |= {name: _shorter(tensor, axis) for name, tensor in bits.items()}
    else:
        raise ValueError(f"Unknown variant of a wrong result: {variant!r}.")
    return json.dumps(result).encode()


def _is_bits(name: str, tensor: dict[str, Any]) -> bool:
    return tensor["dtype"] == "bool" and not name.startswith("measurement_flips")


def _shorter(tensor: dict[str, Any], axis: int) -> dict[str, Any]:
    from ibm_quantum_schemas.common import CompressedTensorModel

    array = CompressedTensorModel.model_validate(tensor).to_numpy()
    kept = np.delete(array, -1, axis=axis)
    return CompressedTensorModel.from_numpy(np.ascontiguousarray(kept)).model_dump(mode="json")
