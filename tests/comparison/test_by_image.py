"""Answers image by image: against the logits, one image and rung at a time."""

import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from comparison.comparisons import RETINA, make_comparison

from qvit_qiskit.cli import comparison_tables
from qvit_qiskit.comparison.builder import build
from qvit_qiskit.comparison.export import as_dict, csv, write_comparison
from qvit_qiskit.comparison.sections.images import images


def answer(logits, several):
    """The slow twin: one image's answer from its logits."""
    if several:
        return tuple(int(value > 0) for value in logits)
    if len(logits) == 2:
        return int(logits[1] > logits[0])
    return int(np.argmax(logits))


@pytest.fixture(params=["two", "five", "several"])
def comparison(request, rng):
    if request.param == "several":
        plain = make_comparison(n=40, class_names=RETINA, draws=2, shown=1, layers=1)
        labels = (rng.random((40, len(RETINA))) < 0.4).astype(np.int64)
        return build(replace(plain, labels=labels))
    names = {"two": ("benign", "malignant"), "five": RETINA}[request.param]
    return make_comparison(n=60, class_names=names, draws=2, shown=1)


def test_every_answer_is_that_of_its_logits(comparison):
    several, names = comparison.multi_label, comparison.class_names
    frame = comparison.predictions()
    assert len(frame) == len(comparison.rungs) * len(comparison.labels)
    changed = comparison.changes()
    for rung in comparison.rungs:
        lines = frame[frame["rung"] == rung.name].set_index("image")
        moved = set()
        for image, logits in enumerate(rung.logits):
            found, exact = (answer(x, several) for x in (logits, comparison.exact.logits[image]))
            line = lines.loc[image]
            if several:
                assert tuple(line[f"answer {name}"] for name in names) == found
                assert tuple(line[name] for name in names) == tuple(comparison.labels[image])
                assert [bool(line[f"changed {name}"]) for name in names] == [
                    a != b for a, b in zip(found, exact, strict=True)
                ]
            else:
                assert (line["answer"], line["class"]) == (
                    names[found], names[comparison.labels[image]],
                )  # fmt: skip
                assert bool(line["changed"]) == (found != exact)
                shares = np.exp(logits - logits.max())
                chances = [line[f"probability of {name}"] for name in names]
                np.testing.assert_allclose(chances, shares / shares.sum(), rtol=1e-12)
            moved |= {image} if found != exact else set()
        assert comparison.by_image[rung.name].changed == tuple(sorted(moved))
        assert set(changed[changed["rung"] == rung.name]["image"]) == moved
    assert len(changed) > 0
    assert (changed["exact answer"] != changed["answer"]).all()


@pytest.mark.parametrize("comparison", ["several"], indirect=True)
def test_files_and_terminal_name_the_images(comparison, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    write_comparison(comparison, tmp_path)
    stored = pd.read_csv(tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(
        stored, pd.read_csv(io.StringIO(csv(comparison.predictions()))), check_dtype=False
    )
    assert as_dict(comparison)["changes"] == comparison.changes().to_dict("records")
    comparison_tables.show(comparison, details=True)
    said = capsys.readouterr().out
    page = re.sub(r"<[^>]*>", " ", (tmp_path / "report.html").read_text())
    assert "Images that are answered otherwise than by exact" in said
    assert "Images that are answered otherwise than by exact" in page
    for rung in comparison.rungs[1:]:
        images = comparison.by_image[rung.name].changed
        first = ", ".join(map(str, images[:8]))
        assert first in said
        assert first in page


def test_without_a_changed_image_none_is_said_to_come_first(comparison):
    def order(one):
        return images(one).text[0]

    assert "Those images come first" in order(comparison)
    same = [replace(rung, logits=comparison.exact.logits) for rung in comparison.rungs]
    assert "First come those of which" in order(build(replace(comparison, rungs=tuple(same))))
