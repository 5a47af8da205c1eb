"""What the engine does without compiled loops; `simulation/kernel` compares these with it."""

from collections.abc import Iterator

import pytest

from qvit_qiskit.simulation.kernel.availability import loops


@pytest.fixture(scope="module")
def stages() -> Iterator[None]:
    """The engine as it is where numba is not installed."""
    with loops(False):
        yield
