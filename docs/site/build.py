"""Build the site: ``python docs/site/build.py FOLDER`` leaves it in ``FOLDER/html``.

No network is used. A warning is an error, and so is a link that leads nowhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

from link_check import broken_links
from sphinx.cmd.build import build_main
from stage import stage

HERE = Path(__file__).resolve().parent


def build(folder: Path) -> int:
    """Build the site and check its links.

    Args:
        folder: Where sources, caches and pages are put.

    Returns:
        The exit code: 0 where nothing was amiss.
    """
    stage(folder / "source")
    arguments = ["-b", "html", "-c", HERE, "-d", folder / "doctrees", "-j", "2", "-q"]
    strict = ["-W", "--keep-going", "-n"]
    code = build_main([*strict, *map(str, [*arguments, folder / "source", folder / "html"])])
    broken = broken_links(folder / "html")
    for one in broken:
        print(one, file=sys.stderr)
    if not code and not broken:
        print(f"The site is built: open {folder / 'html' / 'index.html'}")
    return code or bool(broken)


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1])))
