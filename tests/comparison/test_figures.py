"""Figures: they show the numbers, follow the user's style, and need no colour alone."""

from __future__ import annotations

import importlib
import itertools
import re
from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from comparison.comparisons import RETINA, make_comparison, outputs_of, with_hostile_names
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from sklearn.metrics import roc_curve

from qvit_qiskit import metrics
from qvit_qiskit.comparison.figures import (
    attribution_plot as attribution,
)
from qvit_qiskit.comparison.figures import (
    bias_plot as bias,
)
from qvit_qiskit.comparison.figures import (
    drift,
    scatter,
    style,
)
from qvit_qiskit.comparison.figures import (
    parts_plot as parts,
)
from qvit_qiskit.comparison.figures import (
    rung_plot as ladder,
)
from qvit_qiskit.comparison.figures.markup import embed
from qvit_qiskit.comparison.findings.attention import noisy_rung, received
from qvit_qiskit.comparison.findings.curves import GRID, band
from qvit_qiskit.comparison.findings.predictions import confusion as confusion_of
from qvit_qiskit.comparison.findings.predictions import reliability
from qvit_qiskit.statistics.intervals import wilson
from qvit_qiskit.statistics.resampling import replicates

MODULES = (
    "attention_maps",
    "attribution_plot",
    "bias_plot",
    "parts_plot",
    "reliability",
    "confusion",
    "drift",
    "rung_plot",
    "roc",
    "scatter",
)
LABELLED = {
    "attention_maps": "received attention",
    "attribution_plot": "share of what moved the logits",
    "bias_plot": "physical qubit",
    "parts_plot": "mean square error",
    "reliability": "predicted probability",
    "confusion": "predicted class",
    "drift": "job, in the order of time",
    "rung_plot": "difference from exact",
    "roc": "false positive rate",
    "scatter": "expectation value",
}


@pytest.fixture(scope="module")
def two():
    return make_comparison(n=40, draws=6, shown=2)


@pytest.fixture(scope="module")
def five():
    return make_comparison(n=60, class_names=RETINA, layers=1, draws=6, shown=1)


def draw(name, comparison):
    return importlib.import_module(f"qvit_qiskit.comparison.figures.{name}").draw(comparison)


def texts(figure: Figure) -> list[Text]:
    return [found for found in figure.findobj(Text) if found.get_text()]


@pytest.mark.parametrize("name", MODULES)
def test_every_figure_draws_with_labels_and_changes_nothing_global(name, two):
    before = dict(mpl.rcParams)
    figure = draw(name, two)
    figure.canvas.draw()
    assert LABELLED[name] in " ".join(text.get_text() for text in texts(figure))
    assert figure.get_figwidth() <= style.width()
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", MODULES)
def test_figures_follow_the_users_style(name, two):
    with mpl.rc_context({"font.family": "monospace", "text.color": "#123456", "font.size": 7}):
        found = texts(draw(name, two))
    assert {text.get_fontfamily()[0] for text in found} == {"monospace"}
    assert max(text.get_fontsize() for text in found) <= 7 * 1.2 + 1e-9
    free = [text for text in found if text.get_color() not in ("black", "white")]
    assert free or name == "confusion"


def test_bars_and_limits_take_the_foreground(two):
    with mpl.rc_context({"text.color": "#fedcba"}):
        bars = attribution.draw(two).axes[0].containers
        (errors,) = [one for one in bars if isinstance(one, ErrorbarContainer)]
        assert np.allclose(errors.lines[2][0].get_colors()[0][:3], to_rgb("#fedcba"))
        panels = scatter.draw(two).axes
        dashed = [line for panel in panels for line in panel.lines if line.get_linestyle() == "--"]
        assert dashed
        assert {line.get_color() for line in dashed} == {"#fedcba"}


def test_the_exact_rung_takes_the_foreground(two):
    with mpl.rc_context({"text.color": "white"}):
        assert style.looks(two)["exact"].color == "white"


def test_rungs_differ_in_colour_marker_and_line(two):
    many = [replace(two.rungs[-1], name=f"hardware {k}") for k in range(4)]
    found = list(style.looks(replace(two, rungs=(*two.rungs, *many))).values())
    assert len(found) == 8
    for part in ("color", "marker", "line"):
        values = [str(getattr(look, part)) for look in found]
        if part == "line":
            values = values[1:]  # the exact rung and hardware are both solid, one of them black
        assert len(set(values)) == len(values), part


def test_the_four_rungs_differ_in_grey(two):
    weights = np.array([0.2126, 0.7152, 0.0722])
    grey = [float(weights @ to_rgb(look.color)) for look in style.looks(two).values()]
    assert min(abs(a - b) for a, b in itertools.combinations(grey, 2)) > 0.05


def test_the_ladder_shows_values_and_intervals(two):
    found = two.scores
    axes = ladder.draw(two).axes
    for panel, intervals in (
        (axes[0], [one.auc for one in found]),
        (axes[1], [one.acc for one in found]),
        (axes[2], [one.auc_difference.interval for one in found[1:]]),
        (axes[3], [one.acc_difference.interval for one in found[1:]]),
    ):
        drawn = [tuple(np.ravel(line.get_xdata())) for line in panel.lines]
        for interval in intervals:
            assert (interval.low, interval.high) in drawn
            assert (interval.value,) in drawn
    shots = found[1].auc_shots
    assert (shots.low, shots.high) in [tuple(line.get_xdata()) for line in axes[0].lines]


def test_the_roc_curve_is_that_of_scikit_learn(two):
    for rung in two.rungs:
        found = band(two.labels, rung, two.seed, 100)
        scored = metrics.softmax(rung.logits)[:, 1]
        rates, curve, _ = roc_curve(two.labels, scored, drop_intermediate=False)
        np.testing.assert_allclose(found.rates, rates)
        np.testing.assert_allclose(found.curve, curve)
        middle = np.interp(GRID, rates, curve)
        assert (found.low <= middle).mean() > 0.95
        assert (found.high >= middle).mean() > 0.95


def test_roc_bands_are_quantiles_of_curves_of_resampled_images(two):
    rung, labels, draws = two.rungs[-1], two.labels, 100
    probabilities = metrics.softmax(rung.logits)[:, 1].round(1)  # with ties
    coarse = replace(rung, logits=np.log([1 - probabilities + 1e-9, probabilities + 1e-9]).T)
    scored = metrics.softmax(coarse.logits)[:, 1]
    curves = []
    for counts in replicates(labels, lambda counts: counts, draws, two.seed).astype(int):
        rates, curve, _ = roc_curve(np.repeat(labels, counts), np.repeat(scored, counts))
        curves.append(np.interp(GRID, rates, curve))
    low, high = np.quantile(curves, [0.1, 0.9], axis=0)
    found = band(labels, coarse, two.seed, draws, 0.8)
    np.testing.assert_allclose(found.low, low, atol=1e-12)
    np.testing.assert_allclose(found.high, high, atol=1e-12)


def test_the_mean_curve_has_the_official_area(five):
    rung = five.rungs[-1]
    found = band(five.labels, rung, five.seed, 100)
    area = float(np.trapezoid(found.curve, found.rates))
    assert abs(area - metrics.auc(five.labels, metrics.softmax(rung.logits))) < 0.01
    assert ((found.low <= found.curve) & (found.curve <= found.high)).mean() > 0.95


def test_labels_of_one_class_have_no_roc_curve(two):
    alone = np.zeros_like(two.labels)
    assert np.isnan(band(alone, two.exact, two.seed, 100).curve).all()


@pytest.mark.parametrize("which", ["two", "five"])
def test_reliability_counts_what_came_true(which, request):
    comparison = request.getfixturevalue(which)
    rung = comparison.rungs[-1]
    found = reliability(comparison.labels, rung)
    bins: dict[int, list[tuple[float, bool]]] = {}
    for label, row in zip(comparison.labels, metrics.softmax(rung.logits), strict=True):
        chance = row[1] if len(row) == 2 else row.max()
        hit = label == (1 if len(row) == 2 else row.argmax())
        bins.setdefault(min(int(chance * 10), 9), []).append((chance, bool(hit)))
    assert found.counts.tolist() == [len(bins.get(k, [])) for k in range(10)]
    for place, k in enumerate(sorted(bins)):
        chances, hits = zip(*bins[k], strict=True)
        expected = wilson(sum(hits), len(hits))
        assert found.predicted[place] == pytest.approx(np.mean(chances))
        assert found.observed[place] == pytest.approx(expected.value)
        assert (found.low[place], found.high[place]) == (expected.low, expected.high)


@pytest.mark.parametrize("which", ["two", "five"])
def test_confusion_agrees_with_the_official_accuracy(which, request):
    comparison = request.getfixturevalue(which)
    for rung in comparison.rungs:
        table = comparison.confusions[rung.name].counts
        acc = metrics.accuracy(comparison.labels, metrics.softmax(rung.logits))
        assert np.trace(table) / table.sum() == pytest.approx(acc)
        assert table.sum(axis=1).tolist() == [
            int((comparison.labels == k).sum()) for k in range(len(comparison.class_names))
        ]


def test_a_probability_of_one_half_is_no_second_class(two):
    even = replace(two.exact, logits=np.zeros_like(two.exact.logits))
    assert confusion_of(two.labels, even).counts[:, 1].tolist() == [0, 0]


def test_received_attention_is_relative_to_uniform():
    np.testing.assert_allclose(received(np.full((2, 3, 16, 16), 1 / 16)), 1.0)
    towards = np.zeros((1, 1, 16, 16))
    towards[..., 6] = 1.0  # second row, third column
    found = received(towards)[0, 0]
    assert found[1, 2] == 16
    assert found.sum() == 16


def test_a_class_token_is_no_patch(rng):
    weights = rng.random((1, 2, 17, 17))
    found = received(weights)
    assert found.shape == (1, 2, 4, 4)
    assert found[0, 1, 0, 0] == pytest.approx(17 * weights[0, 1, :, 1].mean())


def test_attention_is_shown_of_the_first_hardware_rung(two):
    assert noisy_rung(two) is two.maps.rung is two.rungs[-1]
    assert noisy_rung(replace(two, rungs=two.rungs[:3])) is two.rungs[2]
    assert noisy_rung(replace(two, rungs=two.rungs[:1])) is None


def test_points_are_exact_at_the_angles_that_were_run(two):
    rung = two.rungs[-1]
    for layer, outputs in enumerate(rung.layers):
        points = two.points[rung.name][layer]
        exact, measured = points.exact, points.measured
        expected = np.concatenate([outputs_of(out.parameters).ravel() for out in outputs])
        np.testing.assert_allclose(exact, expected, atol=1e-12)
        np.testing.assert_array_equal(
            measured, np.concatenate([out.values.ravel() for out in outputs])
        )


def test_bands_of_shot_noise_hold_what_shots_do(two):
    """The dashed lines are drawn where they say: 95 % of a perfect device's outputs are within."""
    rung = two.rungs[1]
    figure = scatter.draw(two)
    exact, measured = two.points[rung.name][0].exact, two.points[rung.name][0].measured
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    low, high = (np.interp(exact, line.get_xdata(), line.get_ydata()) for line in lines)
    assert abs(np.mean((low <= measured) & (measured <= high)) - 0.95) < 0.01


def bars(figure: Figure) -> set[tuple[float, float]]:
    """Lower and upper ends of all error bars, rounded."""
    found = set()
    for container in [one for panel in figure.axes for one in panel.containers]:
        container = getattr(container, "errorbar", None) or container  # of a bar
        if isinstance(container, ErrorbarContainer):
            across = int(container.has_yerr)
            for segment in container.lines[2][0].get_segments():
                found.add(tuple(sorted(segment[:, across].round(9).tolist())))
    return found


def ends(lines, name):
    """The same of a frame."""
    known = lines[lines[name].notna()]
    limits = known[[f"{name} low", f"{name} high"]].to_numpy().round(9)
    return {(low, high) for low, high in limits.tolist()}


@pytest.mark.parametrize(
    ("module", "frame", "name"),
    [(bias, "bias", "bias"), (drift, "drift", "bias"), (attribution, "shares", "share")],
)
def test_error_bars_are_the_frames_intervals(module, frame, name, two):
    lines = getattr(two, frame)()
    expected = ends(lines, name)
    assert len(expected) > 2
    assert bars(module.draw(two)) == expected


def test_every_part_of_the_errors_is_shown(two):
    lines = two.layers()
    columns = ("shots", "reported errors", "the rest")
    expected = set.union(*(ends(lines, f"square from {part}") for part in columns))
    assert len(expected) > 6
    assert bars(parts.draw(two)) == expected


@pytest.mark.parametrize("text", ["$x", "a $b$ c", "_hidden", "\x00\x1b[31m", "a\nb"])
def test_any_text_can_be_a_label(text):
    figure = style.canvas(1, 2)
    axes = figure.subplots()
    axes.plot([0, 1], label=style.plain(text))
    axes.set_title(style.folded(text) or style.short(text))
    axes.legend()
    assert len(axes.get_legend().get_texts()) == 1
    assert "<svg" in embed(figure, "any", text)


def test_letters_that_the_font_lacks_are_told():
    figure = style.canvas(1, 2)
    figure.text(0, 0, style.plain("日本"))
    with pytest.warns(UserWarning, match="missing from font"):
        embed(figure, "any", "日本")


def test_a_dollar_is_a_dollar():
    figure = style.canvas(1, 2)
    text = figure.text(0, 0, style.plain("a $b$"))
    cleaned, mathematical = text._preprocess_math(text.get_text())  # noqa: SLF001 - what matplotlib makes of it is told nowhere else
    assert (cleaned, mathematical) == ("a $b$", False)


def test_hostile_names_do_not_break_figures(two):
    for name in ("confusion", "reliability", "attention_maps"):
        draw(name, with_hostile_names(two)).canvas.draw()


def simple() -> Figure:
    figure = style.canvas(1.5, 2)
    axes = figure.subplots()
    axes.plot([0, 1], clip_on=True)
    axes.bar([0], [1], hatch="//")
    for place in (0, 1):  # twice the same image
        axes.imshow([[0, 1]], extent=(place, place + 1, 0, 1))
    axes.set_title("<script>&")
    return figure


def test_embedded_figures_have_the_same_bytes_and_own_names():
    found = embed(simple(), "first", 'a <b> "c"')
    assert found == embed(simple(), "first", 'a <b> "c"')
    assert '<title id="first-title">a &lt;b&gt; &quot;c&quot;</title>' in found
    assert "<script" not in found
    assert "<!--" not in found
    assert "<?xml" not in found
    names = re.findall(r'\bid="([^"]+)"', found)
    assert names
    assert all(name.startswith("first-") for name in names)
    assert len(names) == len(set(names))
    used = re.findall(r'(?:href="#|url\(#)([^")]+)', found)
    assert used
    assert set(used) <= set(names)
    assert "http" not in found.replace('xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace(
        'xmlns="http://www.w3.org/2000/svg"', ""
    )


def test_large_figures_become_pixels():
    found = embed(simple(), "first", 'a "b"', largest=100)
    assert found.startswith('<img src="data:image/png;base64,')
    assert 'alt="a &quot;b&quot;"' in found
    assert found == embed(simple(), "first", 'a "b"', largest=100)
