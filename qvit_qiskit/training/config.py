"""How a model is trained."""

from __future__ import annotations

from pydantic import Field

from qvit_qiskit.spec import Spec


class TrainConfig(Spec):
    """Data, optimiser and seeds of one training."""

    kind_of_key = "training option"

    dataset: str = "phantom"
    """A MedMNIST name, or ``"phantom"``."""
    subset: int | None = Field(default=None, ge=2)
    """Train on a stratified subset of this many images."""
    backend: str = "aer-exact"
    """The profile to train on; of kind ``aer``."""
    epochs: int = Field(default=60, ge=1, le=100_000)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=5e-3, gt=0, le=10)
    """Of AdamW, after the warm-up."""
    weight_decay: float = Field(default=1e-2, ge=0, allow_inf_nan=False)
    warmup_epochs: int = Field(default=2, ge=0)
    """Epochs of linear warm-up before the cosine."""
    class_weights: bool = False
    """Weight the loss by inverse class frequency."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Of torch while training. One is fastest up to about six qubits a head: the matrices are
    small, and Aer runs beside them. Sums change in the last bit with the number of threads."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seeds initial weights, the order of images and shots."""
