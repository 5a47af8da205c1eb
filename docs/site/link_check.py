"""Links between the pages of a built site: files that are there, and places on them."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and the places on it that a link may name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what the parser hands over.

        Args:
            tag: The element's name.
            attrs: Its attributes.
        """
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name in ("id", "name") and value:
                self.places.add(value)


def broken_links(site: Path) -> list[str]:
    """One line for every link within a site that leads nowhere.

    Args:
        site: The folder of HTML files.
    """
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    broken = []
    whole = cache(lambda folder, path: (folder / path).resolve())
    for path, page in sorted(pages.items()):
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = whole(path.parent, unquote(parts.path)) if parts.path else path
            if target not in pages and not target.is_file():
                broken.append(f"{path.name}: {link} leads to no file")
            elif parts.fragment and target in pages:
                places = pages[target].places
                if unquote(parts.fragment) not in places:
                    broken.append(f"{path.name}: {link} leads to no place on its page")
    return broken
