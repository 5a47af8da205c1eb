from typing import Literal

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from qvit_qiskit.suggest import first_complaint, unknown


@pytest.mark.parametrize(
    ("name", "valid", "sentence"),
    [
        ("ctas", ["dogs", "cats"], "Did you mean 'cats'? Choose from: cats, dogs."),
        ("ctas", {"dogs": 1, "cats": 2}, "Did you mean 'cats'? Choose from: cats, dogs."),
        ("xyz", ["dogs", "cats"], "Choose from: cats, dogs."),
        ("xyz", [], "Choose from: (none)."),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_the_choices(name, valid, sentence):
    assert unknown("pet", name, valid) == f"Unknown pet {name!r}. {sentence}"


class Inner(BaseModel):
    age: int = Field(ge=1)


class Model(BaseModel):
    kind: Literal["a", "b"] = "a"
    pet: Inner = Inner(age=3)
    odd: int = 1

    @field_validator("odd")
    @classmethod
    def _odd(cls, value):
        if value % 2 == 0:
            raise ValueError("even is not odd")
        return value


def complaint(values):
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(values)
    return first_complaint(caught.value)


def test_a_complaint_says_where_what_and_what_came():
    assert complaint({"kind": "c"}) == "kind: Input should be 'a' or 'b', but got 'c'."
    said = complaint({"pet": {"age": 0}, "odd": 2})  # the first of two
    assert said == "pet.age: Input should be greater than or equal to 1, but got 0."


def test_a_complaint_of_ours_is_not_decorated():
    assert complaint({"odd": 2}) == "odd: even is not odd."


def test_what_is_missing_has_no_value_to_show():
    assert complaint({"pet": {}}) == "pet.age: Field required."
