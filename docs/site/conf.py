"""Settings of Sphinx; `make docs` builds the site with them."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import docstrings  # noqa: E402

project = "qvit-qiskit"
author = "the qvit-qiskit authors"
version = release = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())["project"][
    "version"
]
copyright = author
html_show_copyright = False
html_show_sphinx = False

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["files"]  # what pages offer for download

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
nb_execution_mode = "off"
smartquotes = False  # two hyphens are options of commands
suppress_warnings = ["mystnb.unknown_mime_type"]

default_role = "code"  # docstrings write code between single backticks
nitpicky = True
nitpick_ignore_regex = docstrings.NOT_OURS
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72
add_module_names = False
toc_object_entries = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"qvit-qiskit {release}"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
pygments_style = "friendly"


def setup(app):  # type: ignore[no-untyped-def]
    """Connect what makes docstrings ready for Sphinx."""
    # Before napoleon, which makes a list of what stands under "Attributes:".
    app.connect("autodoc-process-docstring", docstrings.without_fields, priority=400)
    app.connect("autodoc-process-docstring", docstrings.with_colons_kept, priority=400)
    app.connect("autodoc-process-docstring", docstrings.with_links)
    app.connect("autodoc-process-signature", docstrings.short_signature)
