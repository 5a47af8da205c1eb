"""Fixtures for all tests: a generator derived from the test's id, and a quiet environment.

Tests that `slower.txt` names belong to `make check`; `tiers.py` measures and writes that list.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch

SLOWER = frozenset((Path(__file__).parent / "slower.txt").read_text().splitlines())
"""Identifiers of tests that `make test` leaves to `make check`, because they take long."""

torch.set_num_threads(1)  # two pytest workers share two cores
for variable in ("QVIT_BACKENDS",):
    os.environ.pop(variable, None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, before tests are chosen by their marks."""
    for item in items:
        if item.nodeid in SLOWER:
            item.add_marker(pytest.mark.check)


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test writes to the cache of whoever runs it."""
    os.environ["QVIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's id, the same on every machine and in any order."""
    digest = hashlib.sha256(request.node.nodeid.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


@pytest.fixture
def data_root() -> Path:
    """The folder of official MedMNIST files; tests that need it skip without it."""
    root = os.environ.get("QVIT_DATA_ROOT")
    if not root:
        pytest.skip("QVIT_DATA_ROOT is not set: the official MedMNIST files are not at hand")
    return Path(root)
