"""Fixtures: the estimators that must behave as others expect."""

import pytest
from qiskit.primitives import BaseEstimatorV2
from reference.kinds import KINDS


@pytest.fixture(params=["exact", "shots"])
def kind(request: pytest.FixtureRequest) -> str:
    """The name of an estimator; that of a device compiles for long, and has tests of its own."""
    return request.param


@pytest.fixture
def estimator(kind: str) -> BaseEstimatorV2:
    """The estimator of this kind."""
    return KINDS[kind][0]()


@pytest.fixture(params=KINDS)
def any_kind(request: pytest.FixtureRequest) -> str:
    """The name of any estimator."""
    return request.param
