"""Configurations: one for ViT and QViT, one for residual networks."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from qvit_qiskit.circuits import LOCAL_FAMILIES, QNNCircuit, build_circuit
from qvit_qiskit.circuits.circuit_record import pack_circuit
from qvit_qiskit.circuits.cones.light_cone import cone_widths
from qvit_qiskit.circuits.families import BUILT_IN
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.models.own_circuit import CircuitOption
from qvit_qiskit.spec import Old, Spec

MAX_QUBITS = 20
"""Qubits that an output may depend on; a head of local gates may be wider."""


class ViTConfig(Spec):
    """A vision transformer for square images; a QViT is one with ``projection = "qnn"``.

    The paper leaves most sizes open; this is our reconstruction after Boucher et al.
    (arXiv 2503.07294): pre-norm blocks, mean pooling, and per head three QNNs whose qubits are
    the head's features.

    Example:
        >>> from qvit_qiskit import ViTConfig
        >>> config = ViTConfig(channels=3, classes=5, width=8, heads=2)
        >>> config.tokens, config.head_width  # 4 x 4 patches; qubits of a circuit
        (16, 4)
        >>> config.parameter_matched().name
        'vit'
    """

    kind_of_key = "model option"
    kind: ClassVar[str] = "vit"
    later = {  # noqa: RUF012 - pydantic knows it as a class variable of the base
        "distillation_token": Old(False, keyed=True),
        "stem": Old("patch", keyed=True),
        "stem_width": Old(4, keyed=True),
        "position": Old("learned", keyed=True),
    }

    channels: int = Field(default=1, ge=1)
    """C, colour channels of an image: 1 or 3."""
    classes: int = Field(default=2, ge=2)
    """Logits: one for each class, or for each label where an image may have several."""
    image_size: int = Field(default=28, ge=1)
    """Pixels on a side."""
    patch_size: int = Field(default=7, ge=1)
    """Pixels on a side of a patch: without it a quarter of the image's side, which makes 16 tokens.
    4, 7 and 14 divide 28 into 49, 16 and 4 tokens."""
    width: int = Field(default=8, ge=1, le=4096)
    """D, features of a token."""
    depth: int = Field(default=1, ge=1)
    """Transformer blocks."""
    heads: int = Field(default=2, ge=1)
    """Attention heads; each sees D/heads features of every token."""
    mlp_ratio: float = Field(default=1.0, gt=0, le=64)
    """Hidden units of a block's MLP by width."""
    stem: Literal["patch", "conv"] = "conv"
    """How patches become tokens: one linear map of each, or two overlapping convolutions with a
    GELU between them (after Xiao et al., arXiv 2106.14881). They are 3 x 3 of stride 2, then 3 x 3
    of stride 2 for patches of 4, and else half a patch as kernel and stride: 4 x 4 for 7, 7 x 7 for
    14, 8 x 8 for 16. Patches of an odd size need 4 x 4 of them."""
    stem_width: int = Field(default=4, ge=1, le=4096)
    """Channels between the two convolutions."""
    position: Literal["learned", "axial"] = "axial"
    """A vector for each patch, or the sum of one for its row and one for its column."""
    pool: Literal["mean", "mean-max", "cls"] = "mean-max"
    """Mean over patches, mean beside maximum, or a class token."""
    distillation_token: bool = False
    """A token whose own head learns from a teacher, after DeiT (arXiv 2012.12877)."""
    projection: Literal["linear", "qnn"] = "qnn"
    """What Q, K and V of a head are: bias-free linear maps, or QNNs."""
    circuit: CircuitOption = "ry-ring"
    """The QNNs' circuit family by its name; in Python also a circuit of one's own. A registered
    family becomes one as well: it has an input for every feature of a head, and any number of
    outputs. Files hold it as QPY, so that nobody needs the code that made it."""
    circuit_layers: int = Field(default=2, ge=1)
    """The layers of the family; of a circuit of the user's own what it says itself."""

    @model_validator(mode="before")
    @classmethod
    def _patch_of_the_size(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Sixteen tokens, where nothing else is said."""
        size = values.get("image_size", 28)
        if "patch_size" in values or not isinstance(size, int) or size < 1:
            return values
        if size % 4:
            raise ValueError(
                f"an image of {size} pixels cannot be cut into 4 x 4 patches; choose patch_size "
                f"{_choices(size, values.get('stem', 'conv'))}"
            )
        return {**values, "patch_size": size // 4}

    @model_validator(mode="after")
    def _fits(self) -> ViTConfig:
        fitting = _choices(self.image_size, self.stem)
        if self.image_size % self.patch_size:
            raise ValueError(
                f"patch_size {self.patch_size} does not divide image_size {self.image_size}; "
                f"choose {fitting}"
            )
        if self.stem == "conv" and self.patch_size not in _dividing(self.image_size, "conv"):
            raise ValueError(
                f"stem 'conv' halves an image first, which leaves no whole patches of "
                f"{self.patch_size} for {self.image_size}; choose patch_size {fitting}, or stem "
                "'patch'"
            )
        # Heads of unequal width would need circuits of their own.
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} cannot be split over {self.heads} heads; "
                "choose a width that is a multiple of the number of heads"
            )
        if self.projection == "qnn":
            self._choose_circuit()
            self._fits_memory()
        return self

    def _choose_circuit(self) -> None:
        """Look a family up; one that was registered in this process becomes its circuit."""
        circuit: str | QNNCircuit = self.circuit
        if isinstance(circuit, str):
            try:
                built = build_circuit(circuit, self.head_width, self.circuit_layers)
            except CircuitError as error:
                raise ValueError(str(error).rstrip(".")) from error
            circuit = circuit if circuit in BUILT_IN else built
        if isinstance(circuit, str):
            return
        if circuit.num_inputs != self.head_width:
            raise ValueError(
                f"a circuit of {circuit.num_inputs} inputs does not fit heads of "
                f"{self.head_width} features; choose width = heads * {circuit.num_inputs}"
            )
        layers = max(1, circuit.layers)
        if "circuit_layers" in self.model_fields_set and self.circuit_layers != layers:
            raise ValueError(
                f"circuit_layers {self.circuit_layers} has no effect on a circuit of one's own, "
                "which is as it is; leave it out"
            )
        try:
            pack_circuit(circuit)  # rather than after a training that no checkpoint can keep
        except CircuitError as error:
            raise ValueError(str(error).rstrip(".")) from error
        # The settings are frozen for everybody else.
        self.__dict__.update(circuit=circuit, circuit_layers=layers)

    def _fits_memory(self) -> None:
        """Refuse heads whose outputs depend on more qubits than a state in memory has."""
        circuit = self.qnn_circuit
        if circuit.num_qubits <= MAX_QUBITS:
            return
        try:
            widest = max(cone_widths(circuit))
        except CircuitError as error:
            raise ValueError(str(error).rstrip(".")) from error
        if widest > MAX_QUBITS:
            families = ", ".join(LOCAL_FAMILIES[:-1]) + f" or {LOCAL_FAMILIES[-1]}"
            local = self.circuit in LOCAL_FAMILIES
            first = "fewer circuit_layers" if local else f"a circuit of local gates ({families})"
            raise ValueError(
                f"{circuit.num_qubits} qubits per head, with outputs that depend on up to {widest} "
                f"of them, are more than the {MAX_QUBITS} that can be simulated; choose {first}, "
                "more heads or a smaller width"
            )

    @property
    def qnn_circuit(self) -> QNNCircuit:
        """The circuit of a projection; the same object every time, so that it is compiled once.

        Raises:
            CircuitError: If its family has none of so many qubits and layers.
        """
        if isinstance(self.circuit, QNNCircuit):
            return self.circuit
        return build_circuit(self.circuit, self.head_width, self.circuit_layers)

    @property
    def circuit_name(self) -> str:
        """What the circuit is called: its family, ``"custom"`` where it has none."""
        return self.circuit.family if isinstance(self.circuit, QNNCircuit) else self.circuit

    @property
    def mixed_width(self) -> int:
        """Features of a token after attention: the outputs of all heads' values."""
        outputs = self.qnn_circuit.num_outputs if self.projection == "qnn" else self.head_width
        return self.heads * outputs

    @property
    def side(self) -> int:
        """Patches on a side of the image."""
        return self.image_size // self.patch_size

    @property
    def tokens(self) -> int:
        """N: patches, and the class and distillation tokens where there are such."""
        return self.side**2 + self.extra_tokens

    @property
    def extra_tokens(self) -> int:
        """Tokens before the patches: the class token, then the distillation token."""
        return int(self.pool == "cls") + int(self.distillation_token)

    @property
    def head_width(self) -> int:
        """Features of a head: the qubits of its QNNs."""
        return self.width // self.heads

    @property
    def mlp_width(self) -> int:
        """Hidden units of a block's MLP."""
        return max(1, round(self.mlp_ratio * self.width))

    @property
    def name(self) -> str:
        """``"qvit"`` or ``"vit"``."""
        return "qvit" if self.projection == "qnn" else "vit"

    def parameter_matched(self) -> ViTConfig:
        """The classical ViT of the same shape with as nearly as many parameters.

        Linear projections have more parameters than QNNs, so the MLP gives up hidden units:
        each is worth 2·D + 1 parameters.
        """
        if self.projection == "linear":
            return self
        weights = self.qnn_circuit.num_weights
        surplus = 3 * self.heads * (self.head_width**2 - weights)
        surplus += self.width * (self.width - self.mixed_width)  # of the map after attention
        hidden = max(1, self.mlp_width - round(surplus / (2 * self.width + 1)))
        return self.model_copy(update={"projection": "linear", "mlp_ratio": hidden / self.width})


def _dividing(size: int, stem: str) -> list[int]:
    """Patch sizes that cut an image of that size into whole patches."""
    whole = [patch for patch in range(1, size + 1) if size % patch == 0]
    if stem != "conv":
        return whole
    return [patch for patch in whole if patch % 2 == 0 or size == 4 * patch]


def _choices(size: int, stem: str) -> str:
    """The patch sizes that make more than one token, listed for a message."""
    fitting = [str(patch) for patch in _dividing(size, stem) if patch < size]
    if len(fitting) > 1:
        fitting = [", ".join(fitting[:-1]), fitting[-1]]
    return " or ".join(fitting) or "another size of the images"


class ResNetConfig(Spec):
    """A ResNet of basic blocks; the defaults are ResNet-18.

    Example:
        >>> from qvit_qiskit.models import ResNetConfig
        >>> ResNetConfig().name
        'resnet18'
    """

    kind_of_key = "teacher option"
    kind: ClassVar[str] = "resnet"

    channels: int = Field(default=1, ge=1)
    """C, colour channels of an image: 1 or 3."""
    classes: int = Field(default=2, ge=2)
    """Logits: one for each class, or for each label where an image may have several."""
    image_size: int = Field(default=28, ge=1)
    """Pixels on a side."""
    width: int = Field(default=64, ge=1, le=1024)
    """Channels of the first stage; each later stage has twice as many."""
    blocks: tuple[int, ...] = Field(default=(2, 2, 2, 2), min_length=1, max_length=6)
    """Basic blocks of each stage."""

    @property
    def name(self) -> str:
        """``"resnet18"``, by the number of layers with weights."""
        return f"resnet{2 * sum(self.blocks) + 2}"
