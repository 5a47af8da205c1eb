"""The page in a real browser: silent, alone with itself, and readable at any width."""

from __future__ import annotations

from importlib import resources

import pytest
from comparison.chromium import Browser, chromium, find_chromium
from comparison.comparisons import make_comparison

from qvit_qiskit.comparison.page import page

WIDTHS = (400, 800, 1280)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNFOLD = "document.querySelectorAll('details').forEach(part => { part.open = true; })"
SIZES = """[...document.querySelectorAll('.card svg[role=img], .card img')].map(
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
    assert opened.ask(OVERFLOW) == 0
    opened.ask(UNFOLD)
    sizes = opened.ask(SIZES)
    assert len(sizes) >= 9
    assert all(w > 200 and h > 80 for w, h in sizes)
    assert opened.ask(OVERFLOW) == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_the_verdict_is_on_the_first_screen_and_the_page_is_short(opened, report, width):
    opened.open(report, width)
    heads = opened.ask(
        "[...document.querySelectorAll('.answer h2')].map(e => e.getBoundingClientRect().bottom)"
    )
    assert heads
    assert max(heads) < 700
    assert opened.ask("document.documentElement.scrollHeight") < 6000
    assert report.stat().st_size < 3_000_000


def test_a_table_that_goes_on_says_so(opened, report):
    """Phones hide the bars by which one scrolls; a shade at the side stays."""
    opened.open(report, 400)
    opened.ask(UNFOLD)
    grounds = opened.ask(
        "[...document.querySelectorAll('.sheet')].filter(e => e.scrollWidth > e.clientWidth).map("
        "e => getComputedStyle(e).backgroundImage)"
    )
    assert grounds
    assert all(ground.count("gradient") == 4 for ground in grounds)
    number = "document.querySelector('.images tbody th').getBoundingClientRect().width"
    assert opened.ask(number) < 100  # room for what is said about the image


def shown(browser, selector="th"):
    """What stands in a column of the visible rows of images."""
    return browser.ask(
        "[...document.querySelectorAll('.images tbody tr:not([hidden])')].map("
        f"row => row.querySelector('{selector}').dataset.value)"
    )


def test_images_are_sorted_filtered_and_paged(opened, report):
    comparison = make_comparison(n=24, layers=1, draws=6, shown=1)
    changed = comparison.by_image["ibm_boston"].changed
    opened.open(report, 1280)
    assert shown(opened) == [str(image) for image in comparison.image_order[:10]]
    opened.ask("document.querySelectorAll('.images .turn')[1].click()")
    assert shown(opened) == [str(image) for image in comparison.image_order[10:20]]
    opened.ask("document.querySelector('.images thead button').click()")
    assert shown(opened) == [str(image) for image in range(10)]
    opened.ask("document.querySelector('.images thead button').click()")
    assert shown(opened) == [str(image) for image in range(23, 13, -1)]
    opened.ask("document.querySelector('[name=changed]').click()")
    assert shown(opened) == [str(image) for image in sorted(changed, reverse=True)[:10]]
    opened.ask("document.querySelector('[name=changed]').click()")
    name = comparison.class_names[0]
    opened.ask(
        f"const label = document.querySelector('[name=label]'); label.value = '{name}'; "
        "label.dispatchEvent(new Event('change'))"
    )
    kept = [image for image in range(23, -1, -1) if comparison.labels[image] == 0]
    assert shown(opened) == [str(image) for image in kept[:10]]
    assert f"{len(kept)} images" in opened.ask("document.querySelector('.count').textContent")


def test_a_link_opens_the_part_that_it_leads_to(opened, report):
    opened.open(report, 800)
    assert not opened.ask("document.querySelector('#roc details').open")
    opened.ask("document.querySelector('a[href=\"#roc\"]').click()")
    assert opened.ask(
        "new Promise(done => setTimeout(() => done("
        "document.querySelector('#roc details').open), 100))"
    )


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        (400, False),
        *(pytest.param(width, dark, marks=pytest.mark.check)
          for width, dark in ((400, True), (800, False), (1280, False), (1280, True))),
    ],
)  # fmt: skip
def test_axe_finds_nothing_serious(opened, report, width, dark):
    """Roles, names, contrast and keyboard, by the rules of axe-core."""
    axe = resources.files("axe_core_python") / "axe.min.js"
    opened.open(report, width, dark)
    opened.ask(UNFOLD)
    opened.ask(axe.read_text(encoding="utf-8") + "; true")
    found = opened.ask(
        "axe.run({exclude: [['svg > *']]}).then(found => found.violations.filter("
        "one => ['serious', 'critical'].includes(one.impact)).map("
        "one => one.id + ': ' + one.nodes.map(node => node.html.slice(0, 120)).join(' | ')))"
    )
    assert found == []


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
    opened.ask(UNFOLD)
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
