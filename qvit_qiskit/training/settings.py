"""How a model is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from qvit_qiskit.spec import Old, Spec


class Distillation(Spec):
    """What a model learns from a teacher, and when.

    Without `pretrain_epochs` it learns from teacher and labels at once. With them it learns from
    the teacher alone first, and then from the labels, as in Boucher et al. (arXiv 2503.07294).

    Example:
        >>> from qvit_qiskit import Distillation, TrainConfig
        >>> soft = Distillation(teacher="checkpoints/resnet", temperature=2)
        >>> TrainConfig(epochs=10, distill=soft).distill.label_alpha
        0.5
    """

    kind_of_key = "distillation option"

    teacher: str | None = None
    """A checkpoint, a training folder, or ``"hf:NAME_OR_FOLDER"``; none if `fit` is given one."""
    kind: Literal["soft", "hard"] = "soft"
    """The teacher's probabilities (Hinton et al., arXiv 1503.02531), or its decisions, learnt by
    a distillation token (DeiT, arXiv 2012.12877)."""
    temperature: float = Field(default=4.0, gt=0, le=1000)
    """T of the soft loss: both sides' logits are divided by it."""
    alpha: float | None = Field(default=None, ge=0, le=1)
    """The teacher's share of the loss while there are labels: by default 0.5, or 0 after a
    pre-training."""
    pretrain_epochs: int = Field(default=0, ge=0, le=100_000)
    """Epochs on the teacher alone, before `TrainConfig.epochs` with labels."""
    pretrain_dataset: str | None = None
    """Where those take place, if not on the data set itself."""

    @model_validator(mode="after")
    def _fits(self) -> Distillation:
        if self.pretrain_dataset is not None and not self.pretrain_epochs:
            raise ValueError(
                f"pretrain_dataset {self.pretrain_dataset!r} has no effect without "
                "pretrain_epochs; say how many epochs to pre-train"
            )
        return self

    @property
    def label_alpha(self) -> float:
        """The teacher's share of the loss while there are labels."""
        if self.alpha is not None:
            return self.alpha
        return 0.0 if self.pretrain_epochs else 0.5

    @property
    def teaches_labels(self) -> bool:
        """Whether the teacher is asked about the images that have labels."""
        return not self.pretrain_epochs or self.label_alpha > 0


class TrainConfig(Spec):
    """Data, optimiser and seeds of one training.

    Example:
        >>> from qvit_qiskit import TrainConfig
        >>> TrainConfig(epochs=20, learning_rate=1e-2).batch_size
        32
        >>> TrainConfig(epoch=20)
        Traceback (most recent call last):
            ...
        qvit_qiskit.exceptions.ConfigError: Unknown training option 'epoch'. ...
    """

    kind_of_key = "training option"
    later = {  # noqa: RUF012 - pydantic knows it as a class variable of the base
        "optimizer": Old("adamw", keyed=True),
        "augment": Old("none", keyed=True),
        "contrast": Old(0.0, keyed=True),
        "ema": Old(0.0, keyed=True),
        "select": Old("best", keyed=True),
        "distill": Old(None, keyed=True),
        "threads": Old(1, keyed=True),
    }

    dataset: str = "phantom"
    """A MedMNIST name, or ``"phantom"``."""
    subset: int | None = Field(default=None, ge=2)
    """Train on a stratified subset of this many images."""
    backend: str = "aer-exact"
    """The profile to train on; of kind ``aer``."""
    epochs: int = Field(default=60, ge=1, le=100_000)
    """Passes over the training images, without those on a teacher alone."""
    batch_size: int = Field(default=32, ge=1)
    """Images per step of the optimiser."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or SGD with Nesterov's momentum of 0.9."""
    learning_rate: float = Field(default=5e-3, gt=0, le=10)
    """The optimiser's rate at its peak, after the warm-up."""
    weight_decay: float = Field(default=1e-2, ge=0, allow_inf_nan=False)
    """The optimiser's weight decay, of all parameters alike: angles and biases as well."""
    warmup_epochs: int = Field(default=2, ge=0)
    """Epochs of linear warm-up before the cosine."""
    class_weights: bool = False
    """Weight the loss by inverse class frequency."""
    augment: Literal["none", "shift", "modality"] = "modality"
    """Move training images by up to two pixels, or also flip them as their modality allows."""
    contrast: float = Field(default=0.2, ge=0, lt=1)
    """Multiply the contrast of each training image by up to 1 ± this, and move its brightness by
    up to half of it."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay per step of an exponential moving average of the weights, which is then what is
    validated and kept; 0 for none."""
    select: Literal["best", "last"] = "best"
    """Keep the epoch of the highest validation AUC, or the last one."""
    distill: Distillation | None = None
    """A teacher and what is learnt from it."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads of torch while training. One is fastest up to about six qubits a head: matrices are
    small, and Aer runs beside them. Sums change in the last bit with the number of threads."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seeds initial weights, the order of images and shots."""

    @property
    def planned_epochs(self) -> int:
        """Epochs of all phases."""
        return self.epochs + (self.distill.pretrain_epochs if self.distill else 0)
