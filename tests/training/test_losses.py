import numpy as np
import pytest
import torch

from qvit_qiskit.training.losses import (
    Objective,
    class_weights,
    hard_loss,
    soft_label_loss,
    soft_loss,
)


def log_softmax(x):
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(logits, classes):
    return -np.mean([row[k] for row, k in zip(log_softmax(logits), classes, strict=True)])


def kl(student, teacher, temperature):
    """T² KL(p || q), image by image and class by class."""
    total = 0.0
    for s, t in zip(log_softmax(student / temperature), log_softmax(teacher / temperature)):  # noqa: B905
        total += sum(np.exp(b) * (b - a) for a, b in zip(s, t, strict=True))
    return temperature**2 * total / len(student)


def batch(rng, classes=3, count=6):
    """Logits of a student's two heads and of a teacher, and labels."""
    drawn = [torch.tensor(rng.normal(0, 3, (count, classes))) for _ in range(3)]
    labels = torch.tensor(rng.integers(0, classes, count))
    return drawn[:2], drawn[2], labels


# --- the two losses --------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_soft_loss_is_that_of_a_numpy_twin(rng, temperature, classes):
    (student, _), teacher, _ = batch(rng, classes)
    found = soft_loss(student, teacher, temperature).item()
    assert found == pytest.approx(kl(student.numpy(), teacher.numpy(), temperature), rel=1e-12)
    assert found > 0


def test_the_hard_loss_is_that_of_a_numpy_twin(rng):
    (student, _), teacher, _ = batch(rng)
    expected = cross_entropy(student.numpy(), teacher.numpy().argmax(axis=1))
    assert hard_loss(student, teacher).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_a_student_that_agrees_has_nothing_to_learn(rng, temperature):
    _, teacher, _ = batch(rng)
    student = (teacher + 7).requires_grad_()  # the same probabilities
    loss = soft_loss(student, teacher, temperature)
    loss.backward()
    assert abs(loss.item()) < 1e-12
    assert student.grad.abs().max() < 1e-12


def test_at_a_high_temperature_it_matches_logits(rng):
    (student, _), teacher, _ = batch(rng, classes=4)
    student.requires_grad_()
    loss = soft_loss(student, teacher, 1000.0)
    loss.backward()
    apart = student.detach() - teacher
    apart = apart - apart.mean(dim=1, keepdim=True)  # softmax does not see a common shift
    assert loss.item() == pytest.approx((apart**2).sum(dim=1).mean().item() / (2 * 4), rel=1e-2)
    torch.testing.assert_close(student.grad, apart / (4 * len(apart)), rtol=3e-2, atol=1e-3)


def test_at_a_high_temperature_single_precision_does_not_hurt(rng):
    (student, _), teacher, _ = batch(rng)
    exact = soft_loss(student, teacher, 500.0).item()
    single = soft_loss(student.float(), teacher, 500.0)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_gradients_are_those_of_finite_differences(rng, kind, alpha):
    heads, teacher, labels = batch(rng)
    objective = Objective(alpha, kind, temperature=3.0)

    def total(*heads):
        return objective(heads, labels, teacher).total

    for count in (1, 2):
        given = [head.clone().requires_grad_() for head in heads[:count]]
        assert torch.autograd.gradcheck(total, given)


# --- their mixture ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("alpha", [0.25, 0.5])
def test_the_mixture_is_that_of_a_numpy_twin(rng, kind, alpha):
    (label_head, teacher_head), teacher, labels = batch(rng)
    own = label_head.numpy(), teacher_head.numpy(), teacher.numpy()
    objective = Objective(alpha, kind, temperature=2.0)
    for heads, taught in (((label_head,), own[0]), ((label_head, teacher_head), own[1])):
        terms = objective(heads, labels, teacher)
        first = cross_entropy(own[0], labels.numpy())
        hard = cross_entropy(taught, own[2].argmax(axis=1))
        second = hard if kind == "hard" else kl(taught, own[2], 2.0)
        assert terms.cross_entropy.item() == pytest.approx(first)
        assert terms.distillation.item() == pytest.approx(second)
        assert terms.total.item() == pytest.approx((1 - alpha) * first + alpha * second)


@pytest.mark.parametrize(("alpha", "named"), [(0.0, "cross_entropy"), (1.0, "distillation")])
def test_with_one_thing_to_learn_both_heads_learn_it(rng, alpha, named):
    heads, teacher, labels = batch(rng)
    heads = [head.requires_grad_() for head in heads]
    terms = Objective(alpha)(tuple(heads), labels, teacher)
    alone = [getattr(Objective(alpha)((h,), labels, teacher), named).item() for h in heads]
    assert terms.total is getattr(terms, named)
    assert terms.total.item() == pytest.approx(np.mean(alone))
    terms.total.backward()
    assert all(head.grad.abs().max() > 0 for head in heads)


def test_a_term_of_no_weight_is_told_and_has_no_gradient(rng):
    (head, _), teacher, labels = batch(rng)
    head.requires_grad_()
    for alpha, idle in ((0.0, "distillation"), (1.0, "cross_entropy")):
        terms = Objective(alpha)((head,), labels, teacher)
        assert getattr(terms, idle).item() > 0
        assert not getattr(terms, idle).requires_grad
        assert terms.total.requires_grad


def test_without_a_teacher_there_is_cross_entropy_alone(rng):
    (head, _), _, labels = batch(rng)
    terms = Objective()((head,), labels)
    assert terms.total is terms.cross_entropy
    assert terms.distillation is None
    expected = cross_entropy(head.numpy(), labels.numpy())
    assert terms.total.item() == pytest.approx(expected)


def test_class_weights_count_for_labels_only(rng):
    (head, _), teacher, labels = batch(rng)
    weight = torch.tensor([1.0, 5.0, 2.0], dtype=torch.float64)
    plain, weighted = (
        Objective(0.5, class_weights=w)((head,), labels, teacher) for w in (None, weight)
    )
    assert torch.equal(plain.distillation, weighted.distillation)
    per_image = -log_softmax(head.numpy())[np.arange(6), labels.numpy()]
    share = weight.numpy()[labels.numpy()]
    expected = (share * per_image).sum() / share.sum()
    assert weighted.cross_entropy.item() == pytest.approx(expected)


def test_class_weights_are_inverse_frequencies():
    found = class_weights(torch.tensor([0, 0, 0, 2]), 3)
    torch.testing.assert_close(found, torch.tensor([4 / 9, 4 / 3, 4 / 3]))  # a missing one as one


def test_several_labels_are_learnt_one_by_one(rng):
    logits = rng.normal(size=(6, 4))
    labels = (rng.random((6, 4)) < 0.5).astype(np.int64)
    chance = 1 / (1 + np.exp(-logits))
    expected = -np.mean(labels * np.log(chance) + (1 - labels) * np.log(1 - chance))
    found = Objective(multi_label=True)((torch.tensor(logits),), torch.tensor(labels))
    assert found.total.item() == pytest.approx(expected)
    weights = class_weights(torch.tensor(labels), 4)
    present = labels.sum(axis=0).clip(1)
    np.testing.assert_allclose(weights.numpy(), (6 - present).clip(1) / present, rtol=1e-6)
    weighted = Objective(class_weights=weights, multi_label=True)
    told = weighted((torch.tensor(logits),), torch.tensor(labels)).total.item()
    ratio = weights.numpy()
    terms = ratio * labels * np.log(chance) + (1 - labels) * np.log(1 - chance)
    assert told == pytest.approx(-np.mean(terms))


# --- several labels ------------------------------------------------------------------------------


def two_outcomes(logits):
    """Each label as two classes, one row a label: no, yes."""
    flat = logits.reshape(-1)
    return torch.stack([torch.zeros_like(flat), flat], dim=1)


@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_labels_are_taught_as_classes_of_no_and_yes(rng, temperature):
    (student, _), teacher, _ = batch(rng)
    found = soft_label_loss(student, teacher, temperature).item()
    expected = soft_loss(two_outcomes(student), two_outcomes(teacher), temperature).item()
    assert found == pytest.approx(expected, rel=1e-12)
    assert soft_label_loss(teacher, teacher, temperature).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_the_objective_of_several_labels(rng, kind):
    (student, other), teacher, _ = batch(rng)
    labels = torch.tensor(rng.integers(0, 2, tuple(student.shape)))
    found = Objective(0.3, kind, 4.0, multi_label=True)((student, other), labels, teacher)
    plain = torch.nn.functional.binary_cross_entropy_with_logits
    learnt = soft_label_loss(other, teacher, 4.0)
    if kind == "hard":
        learnt = plain(other, (teacher > 0).double())
    expected = 0.7 * plain(student, labels.double()) + 0.3 * learnt
    assert found.total.item() == pytest.approx(expected.item(), rel=1e-12)
