"""What is minimised: cross-entropy with the labels, and what a teacher adds to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

Heads = tuple[Tensor, ...]
"""Logits (B, classes) of a model's one head, or of class head and distillation head."""


@dataclass(frozen=True)
class Terms:
    """A loss and what it is made of; all scalars."""

    total: Tensor
    cross_entropy: Tensor
    distillation: Tensor | None
    """Before its weight; none without a teacher."""


def soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher/T) ‖ softmax(student/T)), the mean over the batch.

    T² keeps the gradient's size when T changes; for T → ∞ the loss is half the squared distance
    of the logits, centred, divided by the number of classes (Hinton et al., arXiv 1503.02531,
    section 2). Computed in double precision, because there it is a small difference.

    Args:
        student: Logits, shape (B, classes).
        teacher: Logits, shape (B, classes).
        temperature: T.
    """
    q = (student.double() / temperature).log_softmax(dim=-1)
    p = (teacher.double() / temperature).log_softmax(dim=-1)
    divergence = F.kl_div(q, p, reduction="batchmean", log_target=True)
    return (temperature**2 * divergence).to(student.dtype)


def soft_label_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(teacher ‖ student) of each label's two probabilities, the mean over batch and labels.

    What `soft_loss` is for classes, for several labels of an image: probabilities are
    sigmoid(logits/T), and T² keeps the gradient's size when T changes.

    Args:
        student: Logits, shape (B, labels).
        teacher: Logits, shape (B, labels).
        temperature: T.
    """
    q, p = student.double() / temperature, teacher.double() / temperature
    chances = p.sigmoid()
    crossed = F.binary_cross_entropy_with_logits(q, chances)
    own = F.binary_cross_entropy_with_logits(p, chances)  # the least that it can be
    return (temperature**2 * (crossed - own)).to(student.dtype)


def hard_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy with the teacher's decisions (DeiT, arXiv 2012.12877, section 4).

    Args:
        student: Logits, shape (B, classes).
        teacher: Logits, shape (B, classes).
    """
    return F.cross_entropy(student, teacher.argmax(dim=-1))


class Objective:
    """(1 − alpha) · cross-entropy + alpha · distillation.

    A model with a distillation token learns the labels with its class head and the teacher with
    its distillation head; where alpha is 0 or 1 there is one thing to learn, and both heads learn
    it. A term of weight 0 is computed for the history and has no gradient, so that alpha = 0 is
    training without a teacher, to the bit.
    """

    def __init__(
        self,
        alpha: float = 0.0,
        kind: Literal["soft", "hard"] = "soft",
        temperature: float = 4.0,
        class_weights: Tensor | None = None,
        *,
        multi_label: bool = False,
    ) -> None:
        """What is minimised.

        Args:
            alpha: The teacher's share.
            kind: Whether its probabilities or its decisions are learnt.
            temperature: Of the soft loss.
            class_weights: Of classes, shape (classes,), or of present labels beside absent ones,
                shape (labels,).
            multi_label: Whether each logit answers a label of its own: the cross-entropy is then
                the mean of the labels' binary ones, and a teacher's answers are taken label by
                label.
        """
        self.alpha, self.kind, self.temperature = alpha, kind, temperature
        self.multi_label = multi_label
        self.cross_entropy: nn.Module = nn.CrossEntropyLoss(weight=class_weights)
        if multi_label:
            self.cross_entropy = nn.BCEWithLogitsLoss(pos_weight=class_weights)

    def __call__(self, heads: Heads, labels: Tensor, teacher: Tensor | None = None) -> Terms:
        """The loss of a batch.

        Args:
            heads: Logits of one or two heads, each (B, classes).
            labels: Classes, shape (B,), or 0 and 1 of several labels, shape (B, labels).
            teacher: The teacher's logits, shape (B, classes); needed if alpha is not 0.
        """
        labels = labels.to(heads[0].dtype) if self.multi_label else labels
        learns_labels = heads if self.alpha == 0 else heads[:1]  # the class head, unless alone
        learns_teacher = heads if self.alpha == 1 else heads[-1:]  # the distillation head
        with torch.set_grad_enabled(self.alpha < 1):
            cross_entropy = _mean([self.cross_entropy(head, labels) for head in learns_labels])
        if teacher is None:
            assert self.alpha == 0
            return Terms(cross_entropy, cross_entropy, None)
        with torch.set_grad_enabled(self.alpha > 0):
            distillation = _mean([self._taught(head, teacher) for head in learns_teacher])
        if self.alpha == 0:
            return Terms(cross_entropy, cross_entropy, distillation)
        if self.alpha == 1:
            return Terms(distillation, cross_entropy, distillation)
        total = (1 - self.alpha) * cross_entropy + self.alpha * distillation
        return Terms(total, cross_entropy, distillation)

    def _taught(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.multi_label and self.kind == "hard":
            # a logit above 0 is a probability above one half
            decided = (teacher > 0).to(student.dtype)
            return F.binary_cross_entropy_with_logits(student, decided)
        if self.multi_label:
            return soft_label_loss(student, teacher, self.temperature)
        if self.kind == "hard":
            return hard_loss(student, teacher)
        return soft_loss(student, teacher, self.temperature)


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Inverse class frequencies, 1 on average over the images, shape (classes,).

    Of several labels, shape (n, labels), how many images lack each for one that has it.

    Args:
        labels: Of the training images.
        classes: How many classes or labels there are.
    """
    if labels.ndim == 2:
        present = labels.sum(dim=0).clamp(min=1)
        return (len(labels) - present).clamp(min=1) / present  # `pos_weight` of torch
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return len(labels) / (classes * counts)


def _mean(losses: list[Tensor]) -> Tensor:
    return losses[0] if len(losses) == 1 else torch.stack(losses).mean()
