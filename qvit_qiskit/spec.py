"""The base of everything a user writes down: profiles, model and training configurations."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from qvit_qiskit.exceptions import ConfigError, QvitError
from qvit_qiskit.suggest import first_complaint, unknown


class Spec(BaseModel):
    """Frozen and validated; a misspelt key is answered with the nearest valid one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind_of_key: ClassVar[str] = "option"
    """What a key is called in an error."""

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
            told = f"The {what} {path} does not exist; {examples} holds examples."
            raise refusal(told) from error
        raise refusal(f"Cannot read the {what} {path}: {error}.") from error
