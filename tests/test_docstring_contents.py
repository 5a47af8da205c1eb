"""Docstrings of public names say shapes of arrays, units of numbers, and what can be raised."""

from __future__ import annotations

import inspect
import re
from types import FunctionType

import numpy as np
import pytest
from public_names import public_names
from reference.docstring_parts import entries, fields, sections
from reference.escaping import documented, escaping, plain

from qvit_qiskit.exceptions import ConfigError, DataError, QvitError

ARRAY = re.compile(r"\b(ndarray|NDArray|ArrayLike|Tensor)\b")
SHAPE = re.compile(r"\([\w.]+(?: [+·] \w+)?(?:,| \+)[^()]*\)|\bshape\b|\bbatch_size\b", re.I)
"""Such as ``(n, classes)`` or ``(n,)``, or words that refer to another shape."""
NUMBER = re.compile(r"\b(float|int)\b")
TIMED = re.compile(r"seconds|outage|poll|patience|timeout|delay|duration|latency")
TIME = re.compile(r"second|minute|hour|\bwall time\b|\bQPU time\b|µs", re.I)
SPANS = re.compile(r"\bhow long\b", re.I)


def functions() -> list:
    """Every public function, and every public method and property of a public class."""
    out = []
    for one in public_names():
        if one.kind == "function":
            out.append(pytest.param(plain(one.value), None, id=one.title))
        if one.kind == "class" and not issubclass(one.value, BaseException):
            for name, value in vars(one.value).items():
                function = plain(value)
                ours = getattr(function, "__module__", "").startswith("qvit_qiskit")
                if not name.startswith("_") and ours and isinstance(function, FunctionType):
                    out.append(pytest.param(function, one.value, id=f"{one.title}.{name}"))
    return out


CLASSES = [
    pytest.param(one.value, id=one.title)
    for one in public_names()
    if one.kind == "class" and one.value.__module__.startswith("qvit_qiskit")
]


def unsaid(kind: str, name: str, words: str) -> list[str]:
    """What the words about a value of a type leave out."""
    if ARRAY.search(kind):
        return [] if SHAPE.search(words) else [f"the shape of {name}"]
    if NUMBER.search(kind) and (TIMED.search(name) or SPANS.search(words)):
        return [] if TIME.search(f"{name} {words}") else [f"the unit of {name}"]
    return []


def unsaid_of(function: FunctionType) -> list[str]:
    parts = sections(inspect.getdoc(function))
    args = entries(parts.get("Args", ""))
    gives = parts.get("Returns", "") + parts.get("Yields", "") or parts[""]
    return [
        word
        for name, kind in function.__annotations__.items()
        for word in unsaid(
            str(kind),
            "what it returns" if name == "return" else name,
            gives if name == "return" else args.get(name, parts[""]),
        )
    ]


@pytest.mark.parametrize(("function", "owner"), functions())
def test_a_function_says_shapes_and_units(function, owner):
    assert unsaid_of(function) == []


@pytest.mark.parametrize("cls", CLASSES)
def test_a_field_says_its_shape_or_unit(cls):
    told = fields(cls)
    numbers = [name for name, (kind, words) in told.items() if NUMBER.search(kind) and not words]
    assert numbers == [], "numbers without a word about them"
    assert [word for name, of in told.items() for word in unsaid(of[0], name, of[1])] == []


NEVER = {
    ("compare", "CircuitError"): "circuits of a run or a model were measured or made before",
    ("evaluate", "JobError"): "only a route that has a run to write to has one",
    **{
        (f"Classifier.{name}", error): "it counts on aer-exact, which comes with the package"
        for name in ("cost", "stage_projections", "stage_rows")
        for error in ("JobError", "ProfileError", "RouteError")
    },
    ("StudySpec.all_qubits", "ConfigError"): "a spec with such a width cannot be made",
    ("Evaluation.predicted", "DataError"): "logits that are not finite are refused before",
    ("status", "DataError"): "the same",
    ("preset", "ConfigError"): "the package reads the configurations that it comes with",
}
"""What the text alone allows and cannot happen, by function and exception, and why."""
HARMLESS = {
    "read_toml": "it raises the class that it is given",
    "open_route": "on aer-exact, where a layer begins",
}
"""Places from where nothing else comes either, and why."""


def undocumented(function: FunctionType, owner: type | None) -> dict[str, str]:
    """What can leave a function, its docstring does not name, and is possible."""
    named = tuple(documented(inspect.getdoc(function)))
    return {
        one.__name__: place
        for one, place in escaping(function, owner).items()
        if issubclass(one, QvitError | KeyboardInterrupt)
        and not issubclass(one, named)
        and (function.__qualname__, one.__name__) not in NEVER
        and place not in HARMLESS
    }


@pytest.mark.parametrize(("function", "owner"), functions())
def test_a_function_names_the_exceptions_that_can_leave_it(function, owner):
    assert undocumented(function, owner) == {}


# --- that the tests can fail -----------------------------------------------------------------


def checked(value: int) -> None:
    if value < 0:
        raise DataError("Expected no less than 0.")


def guarded(value: int) -> None:
    """Refuse it.

    Raises:
        ConfigError: If it is negative.
    """
    try:
        checked(value)
    except DataError as error:
        raise ConfigError("Expected no less than 0.") from error


def silent(rows: np.ndarray, patience: float) -> np.ndarray:
    """Do something.

    Args:
        rows: What is looked at.
        patience: How long it waits.
    """
    checked(len(rows))
    return rows


def told(rows: np.ndarray, patience: float) -> np.ndarray:
    """The same.

    Args:
        rows: Shape (R, K).
        patience: How long it waits, in seconds.

    Returns:
        Rows, shape (R, K).

    Raises:
        QvitError: If there are none.
    """
    checked(len(rows))
    guarded(len(rows))
    return rows


class Holder:
    values: np.ndarray
    """Some."""
    seconds: float


def test_what_is_left_out_is_noticed():
    assert unsaid_of(silent) == [
        "the shape of rows",
        "the unit of patience",
        "the shape of what it returns",
    ]
    assert undocumented(silent, None) == {"DataError": "checked"}
    assert (unsaid_of(told), undocumented(told, None)) == ([], {})
    assert undocumented(guarded, None) == {}
    assert fields(Holder) == {"values": ("np.ndarray", "Some."), "seconds": ("float", "")}
    assert unsaid("np.ndarray", "values", "Some.") == ["the shape of values"]
