"""Every test keeps its teachers' logits to itself."""

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory, monkeypatch):
    """The folder that ``QVIT_CACHE`` names, empty."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("QVIT_CACHE", str(folder))
    return folder
