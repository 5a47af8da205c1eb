"""The page in a real browser: silent, alone with itself, and readable at any width."""

from __future__ import annotations

import pytest
from comparison.chromium import Browser, chromium, find_chromium
from comparison.comparisons import make_comparison

from qvit_qiskit.comparison.page import page

WIDTHS = (400, 1280)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SIZES = """[...document.querySelectorAll('figure svg[role=img], figure img')].map(
    figure => { const box = figure.getBoundingClientRect(); return [box.width, box.height]; })"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on the PATH: the report is not opened in a browser")
    with chromium(program, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(make_comparison(n=24, layers=1, draws=6, shown=1)), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Browser):
    browser.events.clear()
    return browser


@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_opens_silently_and_asks_for_nothing(opened, report, width):
    opened.open(report, width)
    assert opened.complaints() == []
    assert opened.requests() == [report.as_uri()]
    assert opened.ask("document.title").startswith("synthetic")


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_is_visible_and_the_page_does_not_scroll_sideways(opened, report, width):
    opened.open(report, width)
    sizes = opened.ask(SIZES)
    assert len(sizes) >= 9
    assert all(w > 200 and h > 80 for w, h in sizes)
    assert opened.ask(OVERFLOW) == 0


def test_dark_and_light_schemes(opened, report):
    colours = {}
    for dark in (False, True):
        opened.open(report, 1280, dark)
        style = "getComputedStyle(document.{}).backgroundColor"
        colours[dark] = opened.ask(style.format("body"))
        card = opened.ask(style.format("querySelector('.card')"))
        assert card == "rgb(255, 255, 255)"
    assert colours[False] == "rgb(255, 255, 255)"
    assert colours[True] == "rgb(20, 24, 29)"


def test_printed_figures_are_not_cut(opened, report):
    opened.open(report, 700, media="print")
    overflow = opened.ask("getComputedStyle(document.querySelector('.card')).overflowX")
    assert overflow == "visible"
    assert all(w <= 700 for w, _ in opened.ask(SIZES))


def test_a_bad_page_is_noticed(opened, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><link rel=icon href='data:,'><div style='width:3000px'>wide</div>"
        "<img src='other.png'><script>console.warn('w'); throw new Error('e')</script>"
    )
    opened.open(bad, 1280)
    told = str(opened.complaints())
    assert "'w'" in told
    assert "Error: e" in told
    assert (tmp_path / "other.png").as_uri() in opened.requests()
    assert opened.ask(OVERFLOW) > 1000
