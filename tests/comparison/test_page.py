"""The page: one file, the same bytes every time, whatever texts it is given."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest
from comparison.comparisons import RETINA, make_comparison, rebuilt, with_hostile_names

from qvit_qiskit.comparison.page import page
from qvit_qiskit.pages.table import Entry, fixed, limits, listed, p_value

SCRIPT = resources.files("qvit_qiskit.comparison") / "templates" / "report.js"
OUR_SCRIPT = base64.b64encode(hashlib.sha256(SCRIPT.read_bytes()).digest()).decode()
VOID = {"meta", "link", "img", "br", "hr", "input"}
ALL = [
    "images",
    "ladder",
    "attribution",
    "budget",
    "outputs",
    "bias",
    "drift",
    "roc",
    "calibration",
    "confusion",
    "attention",
    "reading",
    "compared",
]


class Document(HTMLParser):
    """Tags, attributes and text of a page; refuses tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def sections(self) -> list[str | None]:
        return [section["id"] for section in self.all("section")]


@pytest.fixture(scope="module")
def comparison():
    return make_comparison(n=24, layers=2, draws=6, shown=1)


@pytest.fixture(scope="module")
def html(comparison):
    return page(comparison)


@pytest.fixture(scope="module")
def document(html):
    return Document(html)


def test_all_sections_are_there_and_linked(document):
    assert document.sections == ALL
    links = [link["href"] for link in document.all("a")]
    assert links == [f"#{name}" for name in ALL]


def test_the_bytes_are_the_same_every_time(html):
    assert page(make_comparison(n=24, layers=2, draws=6, shown=1)) == html


def test_nothing_is_loaded_from_outside(html, document):
    plain = html.replace('xmlns="http://www.w3.org/2000/svg"', "").replace(
        'xmlns:xlink="http://www.w3.org/1999/xlink"', ""
    )
    assert "http:" not in plain
    assert "https:" not in plain
    assert "@import" not in html
    loaded = [a[key] for _, a in document.tags for key in ("src", "xlink:href", "href") if key in a]
    assert loaded
    assert all(address.startswith(("#", "data:")) for address in loaded)
    assert all(found.startswith("#") for found in re.findall(r"url\(([^)]*)\)", html))
    (policy,) = [m["content"] for m in document.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{OUR_SCRIPT}'" in policy


def test_names_are_unique_and_references_lead_somewhere(document):
    names = [a["id"] for _, a in document.tags if "id" in a]
    assert len(names) == len(set(names))
    for _, attributes in document.tags:
        for key in ("aria-labelledby", "href", "xlink:href"):
            value = attributes.get(key) or ""
            if key == "aria-labelledby" and value:
                assert value in names
            elif value.startswith("#"):
                assert value[1:] in names


def test_figures_have_titles_and_tables_have_headings(comparison, document):
    drawings = [a for a in document.all("svg") if a.get("role") == "img"]
    assert len(drawings) >= 10
    assert len(document.all("title")) == len(drawings) + 1
    assert all("alt" in image for image in document.all("img"))
    heads = document.all("th")
    assert {head.get("scope") for head in heads} == {"row", "col"}
    assert [tag for tag, _ in document.tags if re.fullmatch("h[1-6]", tag)] == [
        "h1",
        *["h2"] * (len(comparison.answers) + len(ALL)),
    ]


def test_scores_are_told_with_their_intervals(comparison, document):
    for _, line in comparison.table().iterrows():
        for name in ("AUC", "ACC"):
            value, low, high = (line[name + end] for end in ("", " low", " high"))
            assert f"{value:.3f} [{low:.3f}, {high:.3f}]" in document.text
    assert "95 %" in document.text
    assert "They do not cover training" in document.text


def test_what_the_noise_model_lacks_is_told(document):
    assert "lacks crosstalk between qubits" in document.text
    assert "crosstalk between qubits, and drift since the calibration" in document.text


def test_dark_narrow_and_printed(html):
    for rule in ("prefers-color-scheme: dark", "max-width: 40rem", "@media print"):
        assert rule in html


def test_texts_are_escaped():
    hostile = with_hostile_names(make_comparison(n=24, kinds=("exact", "shot noise"), layers=1))
    html = page(hostile)
    document = Document(html)
    assert html.lower().count("<script") == 1
    assert not [a for _, a in document.tags for key in a if key.startswith("on")]
    assert '<script>alert("1")</script> {{ 7 * 7 }}' in document.text
    assert "https://example.org/a.js" in document.text
    assert all(not (a.get("href") or "").startswith("http") for _, a in document.tags)


def test_five_classes_without_hardware():
    few = make_comparison(30, RETINA, ("exact", "shot noise", "device noise"), 1, draws=6, shown=0)
    document = Document(page(few))
    assert document.sections == [
        name for name in ALL if name not in ("attribution", "drift", "attention")
    ]
    assert "proliferative" in document.text
    assert "QPU seconds" not in document.text
    assert "one-versus-rest" in document.text


def test_the_exact_rung_alone():
    document = Document(page(make_comparison(n=24, kinds=("exact",), layers=1, shown=1)))
    assert document.sections == [
        "ladder",
        "roc",
        "calibration",
        "confusion",
        "attention",
        "reading",
        "compared",
    ]
    assert "Against" not in document.text


def test_a_run_without_extras_and_labels_of_one_class():
    bare = make_comparison(n=24, kinds=("exact", "hardware"), layers=1, extras=False, shown=0)
    alone = rebuilt(bare, labels=np.zeros_like(bare.labels))
    document = Document(page(alone))
    assert "roc" not in document.sections
    assert "attribution" not in document.sections
    assert "no row was repeated in every job" in document.text
    assert not re.search(r"\bnan\b", document.text)


def test_the_template_is_part_of_the_package():
    found = resources.files("qvit_qiskit.comparison") / "templates" / "report.html.j2"
    assert found.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("value", "low", "high", "cell"),
    [
        (0.84213, 0.7811, 0.8899, Entry("0.842", "[0.781, 0.890]")),
        (0.0123456, 0.0121111, 0.0125555, Entry("0.01235", "[0.01211, 0.01256]")),
        (-0.5, -0.6, 0.0, Entry("−0.500", "[−0.600, 0.000]")),
        (3.61e-6, 1.72e-6, 7.8e-6, Entry("3.6 × 10⁻⁶", "[1.7, 7.8] × 10⁻⁶")),
        (0.0, 0.0, 0.0, Entry("0.000", "[0.000, 0.000]")),
        (2e-5, 2e-5, 2e-5, Entry("2.0 × 10⁻⁵", "[2.0, 2.0] × 10⁻⁵")),
        (1.0, 1.0, 1.0, Entry("1.000", "[1.000, 1.000]")),
        (float("nan"), float("nan"), float("nan"), Entry("–")),
    ],
)
def test_numbers_are_rounded_to_their_interval(value, low, high, cell):
    assert limits(value, low, high) == cell


def test_words_and_numbers():
    assert fixed(-0.0001) == "0.000"
    assert fixed(-1234.5, 1) == "−1,234.5"
    assert fixed(float("inf")) == "–"
    assert [p_value(p) for p in (0.0004, 0.0456, 1.0, float("nan"))] == [
        "<\u00a00.001",
        "0.046",
        "1",
        "–",
    ]
    assert [listed(["a", "b", "c"][:k]) for k in range(4)] == ["", "a", "a and b", "a, b and c"]
