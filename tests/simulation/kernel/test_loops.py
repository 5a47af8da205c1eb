"""Compiled loops against the engine's stages, which other tests hold against dense matrices."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from reference.bundles import random_bundle, random_cotangents
from reference.library_circuits import library_circuit

from qvit_qiskit.circuits import FAMILIES, QNNCircuit, build_circuit
from qvit_qiskit.circuits.bundle import Bundle, BundleGradient, Values
from qvit_qiskit.simulation.exact import engine
from qvit_qiskit.simulation.exact.engine import Engine
from qvit_qiskit.simulation.exact.estimator import Compiler, ExactEstimator
from qvit_qiskit.simulation.exact.gradient import AdjointGradient
from qvit_qiskit.simulation.exact.program import compile_program
from qvit_qiskit.simulation.kernel import availability
from qvit_qiskit.simulation.kernel.availability import loops, pays

pytest.importorskip("numba")
kernel_task = pytest.importorskip("qvit_qiskit.simulation.kernel.kernel_task")
compilation = pytest.importorskip("qvit_qiskit.simulation.kernel.compilation")


def both_ways(
    bundles: list[Bundle], cotangents: Values, allowed: bool
) -> tuple[Values, list[BundleGradient]]:
    """Values and their pullback, every time with an engine of its own."""
    gradient = AdjointGradient(ExactEstimator(Engine(), Compiler(compile_program)))
    with loops(allowed):
        values, pull = gradient.vjp(bundles)
        return values, pull(cotangents)


def assert_alike(
    one: tuple[Values, list[BundleGradient]], other: tuple[Values, list[BundleGradient]]
) -> None:
    for a, b in zip(one[0], other[0], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(a.inputs, b.inputs, atol=1e-11)
        np.testing.assert_allclose(a.weights, b.weights, atol=1e-10)


def check(rng: np.random.Generator, circuit: QNNCircuit, rows: int, groups: int, arrays: int):
    bundles = [random_bundle(rng, circuit, rows, groups) for _ in range(arrays)]
    cotangents = [random_cotangents(rng, bundle) for bundle in bundles]
    assert_alike(both_ways(bundles, cotangents, True), both_ways(bundles, cotangents, False))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("qubits", "layers", "rows", "groups", "arrays"),
    [
        (1, 2, 3, 1, 1),
        (2, 2, 33, 3, 1),
        (4, 1, 40, 3, 2),
        (4, 3, 5, 1, 3),
        (7, 1, 17, 2, 1),
        (13, 1, 9, 2, 1),
    ],
)
def test_families(rng, family, qubits, layers, rows, groups, arrays):
    check(rng, build_circuit(family, qubits, layers), rows, groups, arrays)


@pytest.mark.parametrize(
    "seed", [k if k < 25 else pytest.param(k, marks=pytest.mark.check) for k in range(150)]
)
def test_circuits_of_the_library(rng, seed):
    """Gates of all kinds, angles that mix rows and weights, several observables."""
    circuit = library_circuit(rng, 1 + seed % 6, depth=int(rng.integers(2, 14)))
    check(rng, circuit, rows=1 + seed % 5 * 9, groups=1 + seed % 3, arrays=1 + seed % 2)


def recording(loop: Callable[..., None], seen: set[int]) -> Callable[..., None]:
    """A loop that notes which threads called it, and lets others come to work before it."""

    def call(*arguments: object) -> None:
        seen.add(threading.get_ident())
        time.sleep(0.05)
        loop(*arguments)

    return call


def test_rows_and_threads_change_nothing(rng, monkeypatch):
    """A row has the same bits in any batch, and the sums with any number of threads."""
    seen = set()
    monkeypatch.setattr(kernel_task, "back", recording(kernel_task.back, seen))
    circuit = build_circuit("reupload-ring", 3, 2)
    rows = 2 * kernel_task.PART + 7
    bundle = random_bundle(rng, circuit, rows, 2)
    cotangents = [random_cotangents(rng, bundle)]
    values, (gradient,) = both_ways([bundle], cotangents, True)
    some = slice(5, 38)
    part = Bundle(bundle.circuits, bundle.weights, bundle.inputs[some])
    few = both_ways([part], [[c[some] for c in cotangents[0]]], True)
    for a, b in zip(values[0], few[0][0], strict=True):
        np.testing.assert_array_equal(a[some], b)
    np.testing.assert_array_equal(gradient.inputs[some], few[1][0].inputs)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr(kernel_task, "THREADS_FROM", 0)
    assert len(seen) == 1
    try:
        again, (other,) = both_ways([bundle], cotangents, True)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(again[0], values[0])
    np.testing.assert_array_equal(other.inputs, gradient.inputs)
    np.testing.assert_array_equal(other.weights, gradient.weights)
    assert len(seen) > 1


def test_states_that_are_not_kept_are_computed_again(rng, monkeypatch):
    bundle = random_bundle(rng, build_circuit("rx-rz-ring", 3, 2), 40, 2)
    cotangents = [random_cotangents(rng, bundle)]
    kept = both_ways([bundle], cotangents, True)
    monkeypatch.setattr(engine, "TAPE_BYTES", 0)
    again = both_ways([bundle], cotangents, True)
    np.testing.assert_array_equal(kept[1][0].inputs, again[1][0].inputs)
    np.testing.assert_array_equal(kept[1][0].weights, again[1][0].weights)


def test_what_goes_through_the_loops():
    assert pays(4)
    assert pays(16)
    assert not pays(17)
    with loops(False):
        assert not pays(4)
    assert pays(4)


def test_single_precision_keeps_its_stages(rng, monkeypatch):
    monkeypatch.setattr(kernel_task, "KernelTask", None)  # would fail if it were called
    gradient = AdjointGradient(ExactEstimator(Engine(single=True), Compiler(compile_program)))
    gradient.vjp([random_bundle(rng, build_circuit("ry-ring", 4, 1), 20)])


def test_without_numba(monkeypatch):
    monkeypatch.setattr(availability, "find_spec", lambda name: None)
    monkeypatch.setattr(availability, "available", availability.available.__wrapped__)
    assert not pays(4)


def test_numba_is_not_imported_before_it_is_needed():
    code = (
        "import sys; sys.modules['numba'] = None; import torch; import qvit_qiskit as q;"
        "layer = q.QuantumLinear(q.build_circuit('ry-ring', 3, 1), q.registry.open('aer-exact'));"
        "layer(torch.zeros(2, 3)).sum().backward(); print('fine')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout == "fine\n", ended.stderr


def test_the_first_call_says_why_it_takes_long(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    told = compilation.CompileNotice()
    for _ in range(2):
        told.on_start(None)
        told.on_end(None)
    assert capsys.readouterr().err.count("once on this machine") == 1


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 100, 128, 129, 512, 1568])
@pytest.mark.parametrize("qubits", [1, 4, 8, 12])
def test_lanes_hold_all_rows_and_few_others(rows, qubits):
    lanes = kernel_task.lanes_of(rows, 8 * 2**qubits)
    blocks = -(-rows // lanes)
    assert lanes % 8 == 0
    assert blocks * lanes < rows + 8 * blocks
    assert lanes == 8 or lanes * 8 * 2**qubits <= kernel_task.STATE_BYTES


def test_loops_that_were_compiled_from_other_files_are_forgotten(tmp_path):
    """Numba itself looks at one file of several."""
    names = ("gate_loops.rotate-40", "block_loops.back-66", "loops.read-1", "tables.read-1")
    old, new, also, other = (tmp_path / f"{name}.py311.nbi" for name in names)
    for path in (old, new, also, other):
        path.write_bytes(b"")
    for path in (old, also, other):
        os.utime(path, (0, 0))
    compilation.forget_stale(tmp_path)
    assert set(tmp_path.iterdir()) == {new, other}
    compilation.forget_stale(tmp_path / "missing")


def test_without_compilation():
    """Numba's switch for debuggers."""
    code = (
        "import torch, qvit_qiskit as q;"
        "layer = q.QuantumLinear(q.build_circuit('ry-ring', 2, 1), q.registry.open('aer-exact'));"
        "layer(torch.zeros(2, 2)).sum().backward(); print('fine')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip
    assert ended.stdout == "fine\n", ended.stderr
