"""The sources of the site, put together: pages of the repository, their pictures, and reference.

``python docs/site/stage.py FOLDER`` writes them; links that lead to files on a code forge lead to
pages of the site afterwards.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import shutil
import sys
from pathlib import Path

import command_pages
import reference_pages
from public_names import public_names
from site_map import FIRST, ROOT, SECTIONS, UNLISTED, address, pages

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
SPAN = re.compile(r"(?<![`\[])`([^`\n]+)`(?![`\]])")


def stage(out: Path) -> None:
    """Write the sources of the site.

    Args:
        out: A folder, which is replaced.
    """
    shutil.rmtree(out, ignore_errors=True)
    words = linked_words()
    for source, page in pages().items():
        path = ROOT / source
        target = out / f"{page}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = notebook(text, source, page, out)
        else:
            text = with_words(with_site_links(text, source, page, out), words, page)
        target.write_text(text, encoding="utf-8")
    with (out / "index.md").open("a", encoding="utf-8") as index:
        index.write(navigation())
    for page, text in generated().items():
        (out / page).parent.mkdir(parents=True, exist_ok=True)
        (out / f"{page}.md").write_text(text, encoding="utf-8")


def generated() -> dict[str, str]:
    """Pages that have no file: every public name, every command, and their lists."""
    made = {one.page: reference_pages.reference_page(one) for one in public_names()}
    lists = {
        "reference/index": reference_pages.reference_index()
        + _tree([one.page for one in public_names() if one.listed]),
    }
    of_commands = {
        command_pages.page(name): command_pages.command_page(name, command)
        for name, command in command_pages.commands().items()
    }
    lists["commands/index"] = command_pages.command_index() + _tree(list(of_commands))
    return made | of_commands | lists


def navigation() -> str:
    """The trees of contents of the first page: one a section, shown at the side only."""
    known = pages()
    return "".join(
        _tree([known.get(one, one) for one in listed], caption)
        for caption, listed in SECTIONS.items()
    ) + _tree([address(one) for one in UNLISTED if one != FIRST])


def _tree(listed: list[str], caption: str | None = None) -> str:
    head = f":caption: {caption}\n" if caption else ""
    rows = "\n".join(f"/{one}" for one in listed)
    return f"\n```{{toctree}}\n:hidden:\n{head}\n{rows}\n```\n"


def with_site_links(text: str, source: str, page: str, out: Path) -> str:
    """A page whose links lead to pages of the site, and to copies of other files.

    Args:
        text: Markdown.
        source: Its file, from the root of the repository.
        page: Its address on the site.
        out: Where copies are put.
    """
    known = pages()

    def moved(link: re.Match[str]) -> str:
        mark, label, target = link.groups()
        path, sharp, part = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return link[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if place in known:
            suffix = Path(place).suffix
            return f"{mark}[{label}]({_way(page, known[place])}{suffix}{sharp}{part})"
        if (ROOT / place).is_dir():
            inside = known.get(f"{place}/README.md")
            return f"[{label}]({_way(page, inside)}.md)" if inside else label
        copy = f"files/{place}"
        (out / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / place, out / copy)
        return f"{mark}[{label}]({_way(page, copy)})"

    return _outside_code(text, lambda line: LINK.sub(moved, line))


def notebook(text: str, source: str, page: str, out: Path) -> str:
    """A notebook whose text links to pages of the site.

    Args:
        text: The file, JSON.
        source: Its file, from the root of the repository.
        page: Its address on the site.
        out: Where copies of what it links to are put.
    """
    book = json.loads(text)
    for cell in book["cells"]:
        if cell["cell_type"] == "markdown":
            joined = with_site_links("".join(cell["source"]), source, page, out)
            cell["source"] = joined.splitlines(keepends=True)
    return json.dumps(book)


def linked_words() -> dict[str, str]:
    """What stands as code in a text and has a page: public names of the package, and commands."""
    words = {one.title: one.page for one in public_names() if "." not in one.title}
    words |= {
        one.name: one.page
        for one in public_names()
        if one.kind == "class" and one.name not in words
    }
    return words | {f"qvit {name}": command_pages.page(name) for name in command_pages.commands()}


def with_words(text: str, words: dict[str, str], page: str) -> str:
    """A text in which the first mention of each public name and command leads to its page.

    Args:
        text: Markdown.
        words: Addresses by the word.
        page: The text's own address.
    """
    met: set[str] = set()

    def linked(span: re.Match[str]) -> str:
        word = re.match(r"qvit \w+|[\w.]+", span[1])
        name = word[0] if word else ""
        whole = name == span[1] or name.startswith("qvit ") or span[1].startswith(f"{name}(")
        if not whole or name not in words or words[name] == page or name in met:
            return span[0]
        met.add(name)
        return f"[{span[0]}]({_way(page, words[name])}.md)"

    return _outside_code(text, lambda line: line if line.startswith("#") else _spans(line, linked))


def _spans(line: str, change) -> str:  # type: ignore[no-untyped-def]
    """Change code spans of a line that stand in no link."""
    parts = re.split(r"(!?\[[^\]]*\]\([^)]*\))", line)
    return "".join(one if k % 2 else SPAN.sub(change, one) for k, one in enumerate(parts))


def _outside_code(text: str, change) -> str:  # type: ignore[no-untyped-def]
    """Change what stands outside of fenced code, paragraph by paragraph.

    A link may go over the end of a line, so that lines are not looked at one by one.
    """
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    return "".join(
        one if k % 2 else "\n\n".join(change(paragraph) for paragraph in one.split("\n\n"))
        for k, one in enumerate(parts)
    )


def _way(start: str, end: str) -> str:
    """A relative address."""
    return os.path.relpath(end, posixpath.dirname(start) or ".")


if __name__ == "__main__":
    stage(Path(sys.argv[1]))
