"""Who takes part: a name, the environment it runs in, the module that builds its variants.

A side's module has ``variants(case, dtype)``, which maps names to builders of a `step.Step`, and
``PACKAGES``, the distributions whose versions are reported. The worker times all variants of a
side and keeps the fastest, so that every library is used in the way that suits the case best.
"""

from __future__ import annotations

from dataclasses import dataclass

from cases import Case


@dataclass(frozen=True)
class Side:
    """One row of the table."""

    name: str
    module: str
    peer: bool = True
    """Whether it runs in the peers' environment."""
    sample: str = ""
    """Name of the rule for the rows that are run, empty for all of them."""
    dtypes: tuple[str, ...] = ("complex128", "complex64")
    tolerance: float | None = None
    """Allowed deviation, if the side's own precision asks for more than the usual."""

    def case(self, case: Case) -> Case:
        """The case as this side runs it: whole, or sampled."""
        return case.sampled(_SAMPLE[self.sample](case.qubits)) if self.sample else case


_SAMPLE = {
    "lightning": lambda n: 64 if n <= 8 else 16,
    "stock": lambda n: 8 if n <= 6 else 4 if n <= 8 else 1,
}

OURS = Side("qvit-qiskit", "ours", peer=False)

SIDES: tuple[Side, ...] = (
    OURS,
    Side("PennyLane default.qubit", "peers.pennylane_torch"),
    Side("PennyLane default.qubit, JAX", "peers.pennylane_jax"),
    Side("PennyLane lightning.qubit", "peers.pennylane_lightning", sample="lightning"),
    Side("TensorCircuit-NG, torch", "peers.tensorcircuit_torch"),
    Side("TensorCircuit-NG, JAX", "peers.tensorcircuit_jax"),
    Side("DeepQuantum", "peers.deepquantum_torch"),
    # TorchConnector returns float32 whatever its input is, hence the tolerance.
    Side(
        "stock EstimatorQNN",
        "stock",
        peer=False,
        sample="stock",
        dtypes=("complex128",),
        tolerance=1e-4,
    ),
)

BY_NAME = {side.name: side for side in SIDES}
