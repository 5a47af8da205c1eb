"""Figures as files: every figure of the page, in both widths, the same bytes every time."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from comparison.comparisons import make_comparison

from qvit_qiskit.comparison import Comparison, save_figures
from qvit_qiskit.comparison.figures import bias_plot, style
from qvit_qiskit.comparison.sections import sections
from qvit_qiskit.comparison.sections.base import Drawn
from qvit_qiskit.exceptions import ConfigError, DataError

POINTS_AN_INCH = 72


@pytest.fixture(scope="module")
def two() -> Comparison:
    return make_comparison(n=24, layers=1, draws=4, shown=1)


def _inches(path: Path) -> float:
    return float(ElementTree.parse(path).getroot().attrib["width"][:-2]) / POINTS_AN_INCH


@pytest.mark.check
@pytest.mark.parametrize("columns", [1, 2])
def test_every_figure_of_the_page_is_a_file(two: Comparison, tmp_path: Path, columns: int) -> None:
    files = save_figures(two, tmp_path / "new" / "figures", columns=columns)
    drawn = [p for part in sections(two) for p in part.pieces if isinstance(p, Drawn)]
    assert len(files) == 2 * len(drawn)
    assert sorted(tmp_path.rglob("*.*")) == sorted(files)
    for path in files:
        if path.suffix == ".svg":
            assert 0 < _inches(path) <= style.WIDTHS[columns] + 1e-6, path
        else:
            assert path.read_bytes().startswith(b"%PDF")


@pytest.mark.check
def test_the_bytes_repeat(two: Comparison, tmp_path: Path) -> None:
    first, second = (save_figures(two, tmp_path / name, ("svg", "pdf", "png")) for name in "ab")
    assert [one.read_bytes() for one in first] == [one.read_bytes() for one in second]


def test_physical_qubits_are_categories(two: Comparison) -> None:
    """Every qubit stands beside the next, however far apart their numbers are."""
    frame = two.bias()
    qubits = sorted(frame[frame["by"] == "qubit"]["number"].unique())
    assert len(qubits) > 1
    figure = bias_plot.draw(two)
    (panel, *_) = [a for a in figure.axes if a.get_xlabel() == "physical qubit"]
    names = [text.get_text() for text in panel.get_xticklabels()]
    assert set(names) <= {str(q) for q in qubits}
    places = [line.get_xdata() for line in panel.lines if len(line.get_xdata()) == len(qubits)]
    assert places
    assert max(float(x.max()) for x in places) < len(qubits)


def test_mistakes(two: Comparison, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Expected figures as a list of svg, pdf, png"):
        save_figures(two, tmp_path / "no", ("gif",))
    with pytest.raises(ConfigError, match="Expected figures as a list"):
        save_figures(two, tmp_path / "no", "svg")
    with pytest.raises(ConfigError, match="1 or 2 columns"):
        save_figures(two, tmp_path / "no", columns=3)
    assert not (tmp_path / "no").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="Name another folder"):
        save_figures(two, tmp_path / "file")
