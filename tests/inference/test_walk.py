"""The walk over all images: what it refuses, and that a batch's size changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.exceptions import DataError, JobError
from qvit_qiskit.execution import registry
from qvit_qiskit.hardware.stages.stage import Rows
from qvit_qiskit.inference.layer_estimator import walk
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.qnn import QuantumLinear
from qvit_qiskit.runs import resume, submit


class Net(nn.Module):
    """Two quantum layers around a nonlinearity."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = (QuantumLinear(build_circuit("ry-chain", 2, 1)) for _ in "ab")
        self.shift = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return self.two(torch.tanh(self.one(x + self.shift)))


def exact(rows: Rows) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
    """Answers of a noiseless device."""
    estimator = registry.open("aer-exact").estimator
    answers, asked = [], []
    for group, index in rows.pubs:
        values = rows.groups[group].rows[index]
        terms = [[o] for o in rows.groups[group].terms]
        evs = estimator.run([(rows.groups[group].circuit, terms, values)]).result()[0].data.evs
        answers.append((evs.T, np.zeros((len(values), len(terms), len(terms)))))
        asked.append(values)
    return answers, asked


@pytest.mark.parametrize("batches", [(1, 2, 5), (64, 64, 64), (3, 1, 2)])
def test_layer_by_layer_equals_at_once(batches: tuple[int, ...]) -> None:
    net, images = Net(), torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    answers, asked = [], []
    for batch in batches:
        found = walk(net, images, answers, asked, batch)
        if isinstance(found, Rows):
            answered, values = exact(found)
            answers.append(answered)
            asked.append(values)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, net(images).detach(), atol=1e-6)
    assert len(answers) == 2


def test_strides_do_not_change_what_is_asked(rng: np.random.Generator) -> None:
    """Images of one channel are the same in memory with other strides."""
    model = build_model(ViTConfig(patch_size=14), seed=0)
    images = torch.from_numpy(rng.normal(size=(3, 1, 28, 28))).float()
    odd = images.as_strided(images.shape, (784, 1, 28, 1))
    one, other = (walk(model, given, [], [], 3) for given in (images, odd))
    assert isinstance(one, Rows)
    assert isinstance(other, Rows)
    for mine, theirs in zip(one.groups, other.groups, strict=True):
        np.testing.assert_array_equal(mine.rows, theirs.rows)


def test_what_it_refuses() -> None:
    images = torch.zeros(2, 2)
    with pytest.raises(JobError, match="no quantum layer"):
        walk(nn.Linear(2, 2), images, [], [], 1)
    with pytest.raises(DataError, match="at least one image"):
        walk(Net(), images, [], [], 0)
    rows = walk(Net(), images, [], [], 1)
    assert isinstance(rows, Rows)
    answers, asked = exact(rows)
    with pytest.raises(JobError, match="fewer quantum calls"):
        walk(Net().one, images, [answers, answers], [asked, asked], 1)
    with pytest.raises(JobError, match="not those that the run was begun with"):
        walk(Net(), images + 0.1, [answers], [asked], 1)
    with pytest.raises(JobError, match="not those that the run was begun with"):
        walk(Net(), torch.zeros(3, 2), [answers], [asked], 1)

    class Broken(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) / 0 * 0

    second = walk(Net(), images, [answers], [asked], 2)
    assert isinstance(second, Rows)
    more, values = exact(second)
    with pytest.raises(DataError, match="NaN logits"):
        walk(Broken(), images, [answers, more], [asked, values], 2)


def test_changed_code_is_noticed_on_resume(tmp_path: Path) -> None:
    net, run = Net(), tmp_path / "run"
    data = [(torch.randn(2, generator=torch.Generator().manual_seed(k)), k % 2) for k in range(3)]
    submit(net, data, "fake-torino", run, budget_seconds=10, shots=16, wait=True)  # type: ignore[arg-type]
    lines = (run / "journal.jsonl").read_text().splitlines(keepends=True)
    (run / "journal.jsonl").write_text("".join(lines[:-1]))  # as if killed before the end
    net.shift = 0.5
    with pytest.raises(JobError, match="not those that the run was begun with"):
        resume(run, net)
    net.shift = 0.0
    assert resume(run, net).state == "finished"
    with torch.no_grad():
        next(net.parameters()).add_(0.5)
    with pytest.raises(JobError, match="Pass that model, or name a new folder"):
        resume(run, net)  # finished: the answers are another model's
