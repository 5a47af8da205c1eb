"""The public names of the package: what the reference has a page for."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise
from types import ModuleType
from typing import Any

PACKAGE = "qvit_qiskit"

GROUPS: dict[str, str] = {
    "": "The names that `import qvit_qiskit` gives",
    "circuits": "Circuits",
    "qnn": "Layers",
    "models": "Models",
    "data": "Images",
    "training": "Training",
    "runs": "Evaluations and runs",
    "comparison": "Comparisons",
    "study": "Studies",
    "zoo": "Trained models",
    "profile": "Profiles",
    "runs.spec": "Job specs",
    "execution.registry": "Routes",
    "exceptions": "Exceptions",
}
"""Modules with public names, without the package's own name, and the titles of their groups."""

OF_MODULE = {
    "profile": ("AerProfile", "FakeProfile", "IbmProfile", "load_profile"),
    "runs.spec": ("JobSpec", "load_spec"),
    "execution.registry": ("available", "find", "folders", "open", "route"),
}
"""The public names of modules that have no ``__all__``."""

RETURNED = {
    "circuits.bundle": ("Measurement",),
    "comparison.correction": ("Common",),
    "comparison.evidence": ("Executions", "Rung"),
    "comparison.findings.advice": ("Advice",),
    "comparison.findings.attention": ("AttentionMaps",),
    "comparison.findings.cause": ("Cause",),
    "comparison.findings.curves": ("Band",),
    "comparison.findings.gains": ("Gain", "LayerGain"),
    "comparison.findings.image_answers": ("ImageAnswers",),
    "comparison.findings.judgement": ("Answer", "Conclusion", "DeviceDifference"),
    "comparison.findings.parts": ("LayerError", "Parts"),
    "comparison.findings.planned_loss": ("PlannedLoss",),
    "comparison.findings.points": ("Points",),
    "comparison.findings.predictions": ("Confusion", "Reliability"),
    "comparison.findings.scores": ("RungScores",),
    "comparison.findings.shares": ("Share",),
    "comparison.findings.systematic": ("Bias", "Drift", "Hypothesis", "MeanError"),
    "data.pixels": ("Pixels", "PreparedPixels"),
    "devices.compiled_circuit": ("Compiled",),
    "devices.prices": ("Estimate", "Mitigation", "Procedure", "Timing"),
    "execution.profile_route": ("ProfileRoute",),
    "execution.registry": ("Found",),
    "execution.route": ("Route",),
    "hardware.values.outputs": ("Outputs",),
    "hardware.values.repeats": ("Anchors", "Control"),
    "ibm.calls": ("Patience",),
    "metrics": ("Scores",),
    "runs.planning.chosen_plan": ("Check", "Option"),
    "runs.planning.request": ("Accuracy",),
    "runs.watcher": ("Watched",),
    "statistics.differences": ("Difference",),
    "statistics.intervals": ("Interval",),
    "statistics.verdicts": ("Verdict",),
    "study.cells": ("SetSource", "Sources", "TeacherSource"),
    "study.profiles": ("Profile",),
    "study.running.tasks": ("Outcome",),
    "study.planned_devices": ("PlannedDevice", "PlanSpec"),
    "study.spec": ("Override",),
    "training.history": ("Epoch",),
}
"""Classes of values that public names take, hold and return, by their modules. Their pages say
what is in them; nobody makes one by hand."""
RETURNED_TITLE = "Values that these return"


@dataclass(frozen=True)
class PublicName:
    """One name with a page of its own."""

    module: str
    """Where a user imports it from, such as ``"qvit_qiskit.data"``."""
    name: str
    value: Any

    @property
    def path(self) -> str:
        """The full dotted path."""
        return f"{self.module}.{self.name}"

    @property
    def title(self) -> str:
        """The path without the package: ``"fit"``, ``"data.names"``."""
        return self.path.removeprefix(f"{PACKAGE}.").removeprefix("execution.")

    @property
    def listed(self) -> bool:
        """Whether it stands at the side of the pages: names of the package itself do."""
        return self.module == PACKAGE

    @property
    def page(self) -> str:
        """The address of its page."""
        return f"reference/{self.title}"

    @property
    def origin(self) -> str:
        """Where Sphinx finds the line of documentation below it: for data, where it is assigned."""
        if self.kind != "data":
            return self.path
        assigned = re.compile(rf"^{self.name}\b.*=", re.M)
        homes = [
            module
            for name, module in sorted(sys.modules.items())
            if name.startswith(self.module)
            and vars(module).get(self.name) is self.value
            and assigned.search(inspect.getsource(module))
        ]
        return f"{homes[0].__name__}.{self.name}"

    @property
    def summary(self) -> str:
        """The first paragraph of its docstring on one line."""
        text = data_docstring(self.origin) if self.kind == "data" else inspect.getdoc(self.value)
        return " ".join((text or "").split("\n\n")[0].split())

    @property
    def kind(self) -> str:
        """``"module"``, ``"class"``, ``"function"`` or ``"data"``."""
        if isinstance(self.value, ModuleType):
            return "module"
        if inspect.isclass(self.value):
            return "class"
        return "function" if callable(self.value) else "data"


def data_docstring(path: str) -> str:
    """The string that stands below an assignment.

    Args:
        path: The dotted path of what is assigned.
    """
    module, _, name = path.rpartition(".")
    body = ast.parse(inspect.getsource(import_module(module))).body
    for node, below in pairwise(body):
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if name in [getattr(one, "id", None) for one in targets]:
            value = getattr(below, "value", None)
            return str(value.value) if isinstance(value, ast.Constant) else ""
    return ""


def names_of(module: str) -> list[str]:
    """The names that a module offers.

    Args:
        module: Without the package's name; empty for the package itself.
    """
    if module in OF_MODULE:
        return list(OF_MODULE[module])
    home = import_module(f"{PACKAGE}.{module}".rstrip("."))
    if module == "exceptions":
        return [name for name, value in vars(home).items() if inspect.isclass(value)]
    return list(home.__all__)


@cache
def groups() -> dict[str, list[PublicName]]:
    """Public names by their group's title; a name of several modules stands in the first."""
    seen: set[int] = set()
    made: dict[str, list[PublicName]] = {}
    for module, title in GROUPS.items():
        home = f"{PACKAGE}.{module}".rstrip(".")
        for name in names_of(module):
            value = getattr(import_module(home), name)
            if id(value) not in seen:
                seen.add(id(value))
                made.setdefault(title, []).append(PublicName(home, name, value))
    made[RETURNED_TITLE] = [
        PublicName(f"{PACKAGE}.{module}", name, getattr(import_module(f"{PACKAGE}.{module}"), name))
        for module, names in RETURNED.items()
        for name in names
    ]
    return made


def public_names() -> list[PublicName]:
    """All of them."""
    return [one for group in groups().values() for one in group]
