"""What a caller is told of a value that is wrong: the field and the sentence, in nobody's jargon."""

import pytest
from cultivar_generation.teacher import TeacherSpec
from cultivar_service.errors import InvalidArgument
from cultivar_service.translate import invalid
from pydantic import ValidationError


def refusal(**given: object) -> InvalidArgument:
    with pytest.raises(ValidationError) as refused:
        TeacherSpec.model_validate(given)
    return invalid(refused.value, "teacher")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"credential": "sk-a"},
            "teacher.credential: a key is not stored: say where it is read, as env:NAME or file:/",
        ),
        ({"headers": {"x-key": "a"}}, "teacher.headers: x-key holds a key, and keys are not stored"),
        ({"temperature": 3}, "teacher.temperature: Input should be less than or equal to 2"),
    ],
)
def test_a_wrong_value_is_said_with_its_field_and_without_the_library_s_name_for_it(
    given: dict[str, object], said: str
) -> None:
    assert str(refusal(**given)).startswith(said)
