import pytest

from qvit_qiskit.circuits import Patch, build_circuit
from qvit_qiskit.circuits.lattice import compact_patch
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.exceptions import CircuitError


@pytest.mark.parametrize(
    ("kind", "rows", "columns", "qubits", "couplers", "colours"),
    [
        ("heavy-hex", 1, 5, 5, 4, 2),
        ("heavy-hex", 2, 8, 18, 18, 3),
        ("heavy-hex", 5, 10, 60, 65, 3),
        ("heavy-hex", 8, 16, 156, 176, 3),
        ("square", 2, 2, 4, 4, 2),
        ("square", 6, 10, 60, 104, 4),
    ],
)
def test_couplers_of_one_colour_share_no_qubit(kind, rows, columns, qubits, couplers, colours):
    patch = Patch(kind, rows, columns)
    assert (patch.num_qubits, len(patch.couplers())) == (qubits, colours)
    for pairs in patch.couplers():
        ends = [q for pair in pairs for q in pair]
        assert len(ends) == len(set(ends))
    every = {frozenset(pair) for pairs in patch.couplers() for pair in pairs}
    assert len(every) == couplers
    assert {q for pair in every for q in pair} == set(range(qubits))


def test_the_whole_patch_is_the_lattice_of_a_heron():
    """Counted as IBM counts them, qubit by qubit."""
    pairs = {frozenset(p) for one in Patch("heavy-hex", 8, 16).couplers() for p in one}
    device = bundled_device("fake_fez")
    assert pairs == {frozenset(edge) for edge in device.coupling_map.get_edges()}


@pytest.mark.parametrize(("kind", "rows", "columns"), [("heavy-hex", 2, 3), ("square", 0, 4)])
def test_patches_that_do_not_exist(kind, rows, columns):
    with pytest.raises(CircuitError, match=f"got {rows} x {columns}"):
        Patch(kind, rows, columns)


def test_a_number_of_qubits_is_the_patch_with_most_couplers():
    assert compact_patch("heavy-hex", 60) == Patch("heavy-hex", 5, 10)
    assert compact_patch("square", 60) == Patch("square", 6, 10)
    assert compact_patch("square", 7) == Patch("square", 1, 7)


def test_a_layer_is_as_deep_as_there_are_colours():
    for family, colours in (("lattice", 3), ("square-lattice", 4), ("ry-chain", 2), ("cz-ring", 2)):
        gates = build_circuit(family, 60, 2).circuit.depth(lambda item: len(item.qubits) == 2)
        assert gates == 2 * colours
