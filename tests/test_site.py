"""The site: every public name and page has its place, and what it shows is what there is."""

from __future__ import annotations

import functools
import http.server
import importlib
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import command_pages
import field_tables
import pytest
import reference_pages
import site_map
import stage
from comparison.chromium import chromium, find_chromium
from link_check import broken_links
from public_names import GROUPS, groups, public_names
from typer.main import get_command

from qvit_qiskit.cli.app import app
from qvit_qiskit.runs.spec import JobSpec
from qvit_qiskit.training import TrainConfig

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("*/README.md")]


# --- the reference ---------------------------------------------------------------------------


def test_every_public_name_has_a_page():
    listed = {id(one.value) for one in public_names()}
    made = stage.generated()
    for module in GROUPS:
        home = importlib.import_module(f"qvit_qiskit.{module}".rstrip("."))
        for name in getattr(home, "__all__", ()):
            assert id(getattr(home, name)) in listed, f"{module}.{name}"
    index = made["reference/index"]
    for one in public_names():
        assert f"](/{one.page}.md)" in index
        assert f"# {one.title}\n" in made[one.page]
        assert one.summary, f"{one.title} has no docstring"
    assert len({one.page for one in public_names()}) == len(public_names())


def test_subpackages_that_offer_names_are_in_the_reference():
    packages = {path.parent.name for path in (ROOT / "qvit_qiskit").glob("*/__init__.py")}
    for name in packages - GROUPS.keys():
        assert not hasattr(importlib.import_module(f"qvit_qiskit.{name}"), "__all__"), name


def test_a_spec_s_page_has_every_field():
    (page,) = [one for one in public_names() if one.value is JobSpec]
    text = reference_pages.reference_page(page)
    assert all(f"| `{name}` |" in text for name in JobSpec.model_fields)
    table = field_tables.field_table(JobSpec)
    assert "| `dataset` | `str` | must be given |" in table
    assert '`"test"`' in table
    assert "≥ 1" in table
    assert '| `shots` | `int \\| "auto" \\| None`, ≥ 1 | `None` |' in table
    assert "< 2⁶³" in field_tables.field_table(TrainConfig)


def test_every_command_has_a_page_with_its_options():
    made = stage.generated()
    for name, command in command_pages.commands().items():
        text = made[command_pages.page(name)]
        context = command.make_context(name, [], resilient_parsing=True)
        for option in context.command.get_params(context):
            if option.param_type_name == "option" and not getattr(option, "hidden", False):
                assert option.opts[0] in text, f"{name} {option.opts[0]}"
        assert command_pages.summary(command) in made["commands/index"].replace("\\", "")


def test_groups_are_in_the_order_of_the_modules():
    titles = list(groups())
    assert titles[: len(GROUPS)] == list(GROUPS.values())


# --- pages -----------------------------------------------------------------------------------


def test_every_page_of_the_repository_is_on_the_site():
    pages = site_map.pages()
    folders = ("docs/*.md", "docs/results/*/study.md", "notebooks/*.ipynb")
    there = {path.relative_to(ROOT).as_posix() for one in folders for path in ROOT.glob(one)}
    assert there <= pages.keys()
    listed = [one for section in site_map.SECTIONS.values() for one in section]
    made = stage.generated()
    assert all(one in pages or one in made for one in listed)
    assert len(set(pages.values()) | made.keys()) == len(pages) + len(made)


def moved(text, tmp_path, source="docs/plans.md"):
    return stage.with_site_links(text, source, site_map.address(source), tmp_path)


def test_links_of_the_repository_lead_to_pages_of_the_site(tmp_path):
    assert moved("[a](packing.md#b) [c](https://d.e)", tmp_path) == (
        "[a](packing.md#b) [c](https://d.e)"
    )
    assert moved("[a](../backends/README.md)", tmp_path) == "[a](reference/profiles.md)"
    assert moved("[a](../backends)", tmp_path) == "[a](reference/profiles.md)"
    assert moved("[a](../qvit_qiskit/runs)", tmp_path) == "a"
    assert moved("```\n[a](../backends)\n```", tmp_path) == "```\n[a](../backends)\n```"
    assert moved("[a](../docs/plans.md)", tmp_path, "jobs/README.md") == "[a](../plans.md)"
    assert moved("![a](pictures/demo-report.png)", tmp_path) == (
        "![a](files/docs/pictures/demo-report.png)"
    )
    assert (tmp_path / "files/docs/pictures/demo-report.png").is_file()


def test_the_first_mention_of_a_name_leads_to_its_page():
    words = {"fit": "reference/fit", "qvit plan": "commands/plan"}
    text = "# `fit`\n\n`fit` and `fit`, [`fit`](x.md), `unfit`, `qvit plan JOB`\n\n```\n`fit`\n```"
    assert stage.with_words(text, words, "study") == (
        "# `fit`\n\n[`fit`](reference/fit.md) and `fit`, [`fit`](x.md), `unfit`, "
        "[`qvit plan JOB`](commands/plan.md)\n\n```\n`fit`\n```"
    )


def test_a_broken_link_is_noticed(tmp_path):
    (tmp_path / "one.html").write_text(
        '<a id="a" href="two.html#b"></a><a href="#a"></a><img src="https://x.y">'
    )
    (tmp_path / "two.html").write_text('<a href="three.html"></a><a href="one.html#c"></a>')
    assert broken_links(tmp_path) == [
        "one.html: two.html#b leads to no place on its page",
        "two.html: three.html leads to no file",
        "two.html: one.html#c leads to no place on its page",
    ]


# --- commands that pages show ----------------------------------------------------------------


def shown_commands():
    for path in PAGES:
        for block in re.findall(r"```(?:bash)?\n(.*?)```", path.read_text(), re.S):
            for line in block.splitlines():
                if line.startswith("qvit "):
                    yield pytest.param(line, id=f"{path.parent.name}/{path.stem}: {line[:60]}")


@pytest.mark.parametrize("line", shown_commands())
def test_a_command_that_a_page_shows_exists(line):
    words = shlex.split(line, comments=True)[1:]
    command = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert command is not get_command(app)
    context = command.make_context("qvit", [], resilient_parsing=True)
    options = {
        one for p in context.command.get_params(context) for one in (*p.opts, *p.secondary_opts)
    }
    assert {one for one in words if re.match(r"--\w", one)} <= options | {"--help"}


# --- the site itself -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The whole site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, ROOT / "docs" / "site" / "build.py", folder]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(QuietHandler, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Say nothing."""


SEARCHES = {
    "packing": "packing.html",
    "own images": "own-images.html",
    "TrainConfig": "reference/TrainConfig.html",
    "qvit submit": "commands/submit.html",
    "intervals": "intervals.html",
    "noise training": "noise-aware-training.html",
    "PennyLane": "from-pennylane.html",
    "budget_seconds": "reference/runs.spec.JobSpec.html",
    "billed": "billing.html",
    "light cone": "wide-layers.html",
    "Dask cluster": "study.html",
    "glossary": "glossary.html",
}
RESULTS = "[...document.querySelectorAll('#search-results .search li > a')].map(e => e.href)"
SEARCHED = f"""new Promise((done, fail) => {{
    const end = Date.now() + 60000;
    const look = () => {{
        const finished = document.querySelector('#search-results .search-summary');
        if (finished && !/Searching|Preparing/.test(document.querySelector('#search-results h2')
            ?.textContent ?? '')) done({RESULTS});
        else if (Date.now() > end) fail('no results');
        else setTimeout(look, 100);
    }};
    look();
}})"""


@pytest.mark.check
def test_a_search_gives_the_right_page_among_the_first_three(address, tmp_path):
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on the PATH: the site is not searched in a browser")
    with chromium(program, tmp_path) as browser:
        wrong = {}
        for words, page in SEARCHES.items():
            query = words.replace(" ", "+")
            browser.open_address(f"{address}/search.html?q={query}", 1280)
            first = [one.split("#")[0].split("?")[0] for one in browser.ask(SEARCHED)]
            three = list(dict.fromkeys(first))[:3]
            if f"{address}/{page}" not in three:
                wrong[words] = [one.removeprefix(address) for one in three]
        assert wrong == {}


@pytest.mark.check
@pytest.mark.parametrize("width", [400, 1280])
def test_pages_do_not_scroll_sideways(address, tmp_path, width):
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on the PATH: the site is not opened in a browser")
    with chromium(program, tmp_path) as browser:
        for page in ("index", "start", "reference/fit", "reference/index", "commands/train"):
            browser.open_address(f"{address}/{page}.html", width)
            overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert browser.ask(overflow) <= 0, page
        assert [one for one in browser.requests() if not one.startswith(address)] == []
