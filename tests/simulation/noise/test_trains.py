"""Vectors as products of small tensors, beside the vectors themselves."""

import numpy as np
import pytest
import torch

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.simulation.exact.engine import Request
from qvit_qiskit.simulation.noise import cone_engine
from qvit_qiskit.simulation.noise.cone_engine import ConeTask
from qvit_qiskit.simulation.noise.noisy_cones import ConeCompiler
from qvit_qiskit.simulation.noise.trains import decompose


def whole(train):
    """The vectors that a train stands for."""
    out = train.cores[0][:, 0]
    for core in train.cores[1:]:
        out = torch.einsum("n...a,nalb->n...lb", out, core)
    return out[..., 0]


@pytest.mark.parametrize("sizes", [(3,), (2, 4), (4, 3, 4, 2), (2, 2, 2, 2, 2)])
def test_any_vector_is_a_train(sizes, rng):
    vectors = torch.from_numpy(rng.normal(size=(3, *sizes)))
    train = decompose(vectors)
    assert torch.allclose(whole(train), vectors, atol=1e-12)
    parts = [torch.from_numpy(rng.normal(size=(3, 6, size))) for size in sizes]
    expected = vectors[:, None]
    for part in parts:
        expected = torch.einsum(
            "nrl...,nrl->nr...", expected.expand(-1, 6, *expected.shape[2:]), part
        )
    assert torch.allclose(train.values(parts), expected, atol=1e-11)


def test_products_have_rank_one_and_zeros_stay_zero(rng):
    one, two, three = (torch.from_numpy(rng.normal(size=(2, 4))) for _ in range(3))
    product = torch.einsum("na,nb,nc->nabc", one, two, three)
    assert [core.shape[-1] for core in decompose(product).cores] == [1, 1, 1]
    product[1] = 0.0
    train = decompose(product)
    assert torch.allclose(whole(train), product, atol=1e-12)
    assert [core.shape[-1] for core in train.cores] == [1, 1, 1]


@pytest.mark.parametrize(("family", "n"), [("ry-chain", 9), ("lattice", 10), ("cz-ring", 12)])
def test_cones_as_trains_give_the_same_values(family, n, rng, monkeypatch):
    """Means and products of two outputs, at two heads of two weight sets."""
    circuit = build_circuit(family, n, 2)
    (basis,) = measurement_bases(circuit.pauli_terms)
    region = place(circuit.canonical, bundled_device("fake_fez"), seed=1)
    columns = tuple(range(circuit.num_inputs))
    compiler = ConeCompiler(region, circuit.canonical.parameters, columns, "")
    moments = compiler.moments(basis, circuit.num_outputs)
    monkeypatch.setattr(cone_engine, "MIN_ROWS", 4)
    rows = rng.uniform(-np.pi, np.pi, (circuit.num_inputs, 2, 5))
    shared = rng.uniform(-np.pi, np.pi, (4, circuit.num_weights))
    for program, count in ((moments.means, n), (moments.products, len(moments.pairs))):
        values, used = [], []
        for entries in (10**9, 16):
            monkeypatch.setattr(cone_engine, "MIN_ENTRIES", entries)
            task = ConeTask(Request(program, rows, shared, program.diagonals(count)))
            values.append(task.run())
            used.append(len(task.trains))
        assert used[0] == 0 < used[1]
        assert np.allclose(*values, atol=1e-12)
        others = rng.uniform(-np.pi, np.pi, rows.shape)
        again = ConeTask(Request(program, others, shared, program.diagonals(count))).run()
        assert np.allclose(task.at(others).run(), again, atol=1e-14)
