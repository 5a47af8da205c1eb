"""Python in the README and the docs runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ELSEWHERE = "around-a-training.md"
"""Its examples need packages that need not be installed; `training/test_loggers.py` runs them."""
BLOCKS = [
    (path.name, k, block)
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if path.name != ELSEWHERE
    for k, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.S))
]


@pytest.mark.parametrize(("name", "k", "block"), BLOCKS, ids=[f"{n}-{k}" for n, k, _ in BLOCKS])
def test_code_runs(
    name: str, k: int, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block, f"{name}:{k}", "exec"), {})


def test_links_point_to_files() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name} links to {target}"
