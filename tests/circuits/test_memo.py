import copy
import pickle

from qiskit.circuit import Parameter, QuantumCircuit

from qvit_qiskit.circuits.memo import Memo


class Recorder:
    """A ``make`` that counts its calls."""

    def __init__(self) -> None:
        self.made: list[tuple[int, object]] = []

    def __call__(self, circuit: QuantumCircuit, key: object) -> object:
        self.made.append((circuit.num_qubits, key))
        return object()


def test_made_once_per_circuit_and_key():
    memo, make = Memo(), Recorder()
    one, two = QuantumCircuit(1), QuantumCircuit(2)
    first = memo.get(one, "a", make)
    assert memo.get(one, "a", make) is first
    assert memo.get(one, "b", make) is not first
    assert memo.get(two, "a", make) is not first
    assert make.made == [(1, "a"), (1, "b"), (2, "a")]


def test_equal_circuits_are_not_one():
    memo, make = Memo(), Recorder()
    one, other = QuantumCircuit(1), QuantumCircuit(1)
    assert one == other
    assert memo.get(one, None, make) is not memo.get(other, None, make)


def test_a_circuit_changed_in_place_is_new():
    memo, make = Memo(), Recorder()
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("a"), 0)
    first = memo.get(circuit, None, make)
    circuit.assign_parameters([1.0], inplace=True)
    second = memo.get(circuit, None, make)
    circuit.x(0)
    third = memo.get(circuit, None, make)
    assert len({id(first), id(second), id(third)}) == 3


def test_the_oldest_goes_first():
    memo, make = Memo(size=2), Recorder()
    circuit = QuantumCircuit(1)
    for key in (1, 2, 3, 2, 3, 1):
        memo.get(circuit, key, make)
    assert [key for _, key in make.made] == [1, 2, 3, 1]


def test_ids_are_not_reused_while_remembered():
    """A freed circuit's id may return; the memo keeps its circuits alive."""
    memo, make = Memo(), Recorder()
    for k in range(20):
        circuit = QuantumCircuit(1)
        memo.get(circuit, None, make)
        del circuit
        assert len(make.made) == k + 1


def test_copies_start_empty():
    memo, make = Memo(size=1), Recorder()
    circuit = QuantumCircuit(1)
    first = memo.get(circuit, 1, make)
    for other in (copy.deepcopy(memo), pickle.loads(pickle.dumps(memo))):
        assert other.get(circuit, 1, make) is not first
        other.get(circuit, 2, make)
        other.get(circuit, 1, make)  # the size was copied: 2 pushed 1 out
    assert len(make.made) == 7
