"""The answer of a comparison as a piece of HTML, for notebooks; and how templates are filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from qvit_qiskit.comparison.summary import between_devices, rule, summaries

if TYPE_CHECKING:
    from qvit_qiskit.comparison.findings.judgement import Conclusion

TEMPLATES = PackageLoader("qvit_qiskit.comparison", "templates")


def environment() -> Environment:
    """What fills a template; text is escaped wherever it comes from."""
    return Environment(
        loader=TEMPLATES,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def fragment(outcome: Conclusion) -> str:
    """The answer alone, as HTML that can stand in a page beside others."""
    template = environment().get_template("fragment.html.j2")
    return template.render(
        title=outcome.title,
        answers=summaries(outcome),
        between=between_devices(outcome),
        rule=rule(outcome),
    )
