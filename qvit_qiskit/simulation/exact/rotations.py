"""One-qubit rotations of batches of states, and their derivatives."""

from __future__ import annotations

import torch
from torch import Tensor

Trig = tuple[Tensor, Tensor]
"""cos and sin of half an angle."""


def rotate(axis: str, trig: Trig, state: Tensor) -> Tensor:
    """Apply exp(−iφP/2) to one qubit.

    Args:
        axis: P: ``"x"``, ``"y"`` or ``"z"``.
        trig: cos φ/2 and sin φ/2, each of shape (G, R) or (G, 1).
        state: Viewed as (G, high, 2, low, R), the qubit on axis 2.

    Returns:
        The new state in the same view.
    """
    groups = max(len(state), len(trig[0]))
    rows = max(state.shape[-1], trig[0].shape[-1])
    state = spread(state, groups)
    c, s = (spread(part, groups)[:, None, None] for part in trig)  # (G, 1, 1, R)
    a, b = state[:, :, 0], state[:, :, 1]  # amplitudes of 0 and 1, (G, high, low, R)
    out = torch.empty((groups, *state.shape[1:-1], rows), dtype=state.dtype)
    if axis == "y":
        # real, so that real states stay real
        torch.mul(a, c, out=out[:, :, 0]).addcmul_(b, s, value=-1)
        torch.mul(a, s, out=out[:, :, 1]).addcmul_(b, c)
    elif axis == "x":
        s = s * 1j
        torch.mul(a, c, out=out[:, :, 0]).sub_(b * s)
        torch.mul(b, c, out=out[:, :, 1]).sub_(a * s)
    else:
        phase = torch.complex(c, s)  # exp(iφ/2)
        torch.mul(a, phase.conj(), out=out[:, :, 0])
        torch.mul(b, phase, out=out[:, :, 1])
    return out


def back(trig: Trig) -> Trig:
    """The rotation by minus the angle."""
    return trig[0], -trig[1]


def rotation_gradient(axis: str, cotangent: Tensor, out: Tensor) -> Tensor:
    """Derivative of a rotation's angle, ½ Im ⟨λ|P|out⟩, for every row.

    Args:
        axis: P: ``"x"``, ``"y"`` or ``"z"``.
        cotangent: λ, viewed as (G, high, 2, low, R).
        out: The rotated state in the same view.

    Returns:
        Shape (G, R).
    """
    (la, lb), (a, b) = cotangent.unbind(2), out.unbind(2)
    if axis == "y":
        overlap = lb.conj() * a - la.conj() * b  # ⟨λ|Y|out⟩ / i
        return 0.5 * (overlap.real if overlap.is_complex() else overlap).sum((1, 2))
    pair = la.conj() * b + lb.conj() * a if axis == "x" else la.conj() * a - lb.conj() * b
    return 0.5 * pair.imag.sum((1, 2))


def spread(tensor: Tensor, groups: int) -> Tensor:
    """Repeat each of the leading entries for its weight sets.

    Args:
        tensor: Shape (H, …), or (1, …) for all.
        groups: G, a multiple of H.
    """
    if len(tensor) == groups:
        return tensor
    if len(tensor) == 1:
        return tensor.expand(groups, *tensor.shape[1:])
    return tensor.repeat_interleave(groups // len(tensor), dim=0)


def reduce_to(grad: Tensor, shape: torch.Size) -> Tensor:
    """Sum over what `spread` and broadcasting repeated.

    Args:
        grad: The derivative of the repeated tensor.
        shape: Of the tensor before it was repeated.
    """
    if len(grad) != shape[0]:
        grad = grad.reshape(shape[0], -1, *grad.shape[1:]).sum(1)
    for dim in range(1, grad.ndim):
        if shape[dim] == 1 and grad.shape[dim] > 1:
            grad = grad.sum(dim, keepdim=True)
    return grad
