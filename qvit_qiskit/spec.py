"""The base of everything a user writes down: profiles, model and training configurations."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from qvit_qiskit.exceptions import ConfigError
from qvit_qiskit.suggest import first_complaint, unknown


class Spec(BaseModel):
    """Frozen and validated; a misspelt key is answered with the nearest valid one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind_of_key: ClassVar[str] = "option"
    """What a key is called in an error."""

    @classmethod
    def create(cls, **values: Any) -> Self:
        """Validate values.

        Raises:
            ConfigError: If a name is unknown or a value does not fit.
        """
        for key in values:
            if key not in cls.model_fields:
                raise ConfigError(unknown(cls.kind_of_key, key, cls.model_fields))
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError(first_complaint(error)) from error
