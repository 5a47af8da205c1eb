"""The base of everything a user writes down: profiles, model and training configurations."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from qvit_qiskit.exceptions import ConfigError, QvitError
from qvit_qiskit.suggest import first_complaint, unknown

_FIELD: dict[str, Any] = {"initial_indent": "    ", "subsequent_indent": "        "}
FOR_KEYS = {"purpose": "keys"}
"""The context in which fields write themselves down for keys and digests."""


@dataclass(frozen=True)
class Old:
    """What a stored record means that was written before there was a field."""

    value: Any
    keyed: bool = False
    """Whether keys and digests name the field at this value, too. Only fields that are older than
    the first keys do; all others stay out at their old value, so that no key changes by them."""


class Spec(BaseModel):
    """Frozen and validated; a misspelt key is answered with the nearest valid one."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    kind_of_key: ClassVar[str] = "option"
    """What a key is called in an error."""
    later: ClassVar[Mapping[str, Old]] = {}
    """Fields that are younger than the first stored records, with their old values. A field that
    is added must stand here; its old value need not be its default."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Put the fields' documentation into that of the class, where `?` and `help` show it."""
        super().__pydantic_init_subclass__(**kwargs)
        fields = [
            fill(f"{name}: {' '.join(field.description.split())}", 92, **_FIELD)
            for name, field in cls.model_fields.items()
            if field.description
        ]
        if cls.__doc__ and fields:
            cls.__doc__ = "\n".join([inspect.cleandoc(cls.__doc__), "", "Attributes:", *fields])

    if not TYPE_CHECKING:  # type checkers see the constructor that pydantic makes

        def __init__(self, **values: Any) -> None:
            for key in values:
                if key not in type(self).model_fields:
                    raise ConfigError(unknown(self.kind_of_key, key, type(self).model_fields))
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise ConfigError(first_complaint(error)) from error

    @classmethod
    def create(cls, **values: Any) -> Self:
        """The constructor, for values that a type checker cannot know.

        Raises:
            ConfigError: If a name is unknown or a value does not fit.
        """
        return cls(**values)

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> Self:
        """From a stored record; fields that are younger than it have their old values.

        Raises:
            ConfigError: If another field is missing, or a name or value does not fit.
        """
        # A record of before keeps its meaning when a default changes.
        values = {**{name: old.value for name, old in cls.later.items()}, **record}
        missing = [name for name in cls.model_fields if name not in values]
        if missing and values.keys() <= cls.model_fields.keys():
            raise ConfigError(f"The {cls.kind_of_key} {missing[0]!r} is missing.")
        for name, field in cls.model_fields.items():
            for part in (field.annotation, *get_args(field.annotation)):
                nested = isinstance(part, type) and issubclass(part, Spec)
                if nested and values.get(name) is not None:
                    values[name] = part.restored(values[name])
        return cls.create(**values)

    def ingredients(self) -> dict[str, Any]:
        """What keys and digests are made of, as JSON holds it.

        That is every field but those that came after the first keys, while they have their old
        value: a new field changes no key until it is used.
        """
        return self.model_dump(mode="json", exclude=self._unsaid(), context=FOR_KEYS)

    def ingredients_json(self) -> str:
        """The `ingredients` as text, in the order of the fields."""
        return self.model_dump_json(exclude=self._unsaid(), context=FOR_KEYS)

    def _unsaid(self) -> dict[str, Any]:
        """Fields that keys leave out, as pydantic excludes them, those of nested specs as well."""
        unsaid: dict[str, Any] = {}
        for name in type(self).model_fields:
            value, old = getattr(self, name), type(self).later.get(name)
            if old is not None and not old.keyed and value == old.value:
                unsaid[name] = True
            elif isinstance(value, Spec):
                unsaid[name] = value._unsaid()  # noqa: SLF001 - of another spec
        return unsaid


def read_toml(
    path: Path, what: str, refusal: type[QvitError], examples: str | None = None
) -> dict[str, Any]:
    """What stands in a TOML file that a user wrote.

    Args:
        path: The file.
        what: What it should be, such as ``"job spec"``.
        refusal: What to raise.
        examples: Where to find such files, told if this one is missing.

    Raises:
        QvitError: Of that kind, if the file cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise refusal(f"{path} is not valid TOML: {error}.") from error
    except (OSError, UnicodeDecodeError) as error:
        if examples and isinstance(error, FileNotFoundError):
            problem = f"The {what} {path} does not exist; {examples} holds examples."
            raise refusal(problem) from error
        raise refusal(f"Cannot read the {what} {path}: {error}.") from error
