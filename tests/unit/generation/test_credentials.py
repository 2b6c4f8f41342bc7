from pathlib import Path

import pytest
from cultivar_generation.credentials import MEANT_FOR_TEACHERS, check_credentials, read_credential
from cultivar_generation.settings import GenerationSettings
from cultivar_generation.teacher import TeacherSpec
from cultivar_service.errors import FailedPrecondition, InvalidArgument
from pydantic import ValidationError


def may_be_named(reference: str) -> bool:
    """Whether a teacher may name a reference where people sign in."""
    try:
        check_credentials([reference], "support", MEANT_FOR_TEACHERS)
    except InvalidArgument:
        return False
    return True


@pytest.mark.parametrize(
    "reference", ["env:OPENAI_API_KEY", "env:TEACHER_LARGE", "file:/run/secrets/teachers/large", "env:TEACHER_KEY"]
)
def test_keys_that_are_meant_for_teachers_may_be_named(reference: str) -> None:
    assert may_be_named(reference)


@pytest.mark.parametrize(
    "reference",
    [
        "env:CULTIVAR_DATABASE_URL",
        "env:CULTIVAR_S3_SECRET_KEY",
        "env:PGPASSWORD",
        "file:/var/run/secrets/kubernetes.io/serviceaccount/token",
        "file:/run/secrets/teachers/../database",
        "file:/run/secrets/teachers//../database",
    ],
)
def test_secrets_of_the_service_may_not_be_named(reference: str) -> None:
    with pytest.raises(InvalidArgument, match="CULTIVAR_TEACHER_CREDENTIALS") as refused:
        check_credentials(["env:OPENAI_API_KEY", reference], "support", MEANT_FOR_TEACHERS)
    assert refused.value.field == "teacher.credential"


def test_a_pattern_may_be_of_one_project() -> None:
    allowed = "env:KEY_{PROJECT}_* file:/keys/{project}/*"
    check_credentials(["env:KEY_HELP_DESK_LARGE", "file:/keys/help-desk/large"], "help-desk", allowed)
    for foreign in ("env:KEY_SALES_LARGE", "file:/keys/sales/large"):
        with pytest.raises(InvalidArgument):
            check_credentials([foreign], "help-desk", allowed)


def test_where_people_sign_in_only_keys_for_teachers_may_be_named() -> None:
    assert GenerationSettings().allowed_credentials == ""
    assert GenerationSettings(oidc_issuer="https://id.example").allowed_credentials == MEANT_FOR_TEACHERS
    own = GenerationSettings(oidc_issuer="https://id.example", teacher_credentials="env:X")
    assert own.allowed_credentials == "env:X"


def test_a_key_that_is_not_there_says_where_to_put_it(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfd")
    for reference in ("env:NOT_SET_ANYWHERE", f"file:{tmp_path}/none", f"file:{tmp_path}/binary"):
        with pytest.raises(FailedPrecondition, match="for the generation service"):
            read_credential(reference)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("url", "example.com/v1", "must begin with http"),
        ("url", "https://me:hush@example.com/v1", "no user, password or key"),
        ("url", "https://example.com/v1?api_key=hush", "no user, password or key"),
        ("headers", {"api-key": "hush"}, "keys are not stored"),
        ("headers", {"Authorization": "Bearer hush"}, "keys are not stored"),
        ("headers", {"Host": "elsewhere"}, "no header that can be added"),
        ("headers", {"x-a": "b\r\nx-c: d"}, "no header that can be added"),
        ("request_fields", {"messages": []}, "messages is what is asked"),
        ("request_fields", {"x": "y" * 10_001}, "over 10000 characters"),
        ("requests_per_minute", -1, "greater than or equal to 0"),
    ],
)
def test_what_a_teacher_cannot_have_is_refused_without_repeating_a_key(field: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        TeacherSpec.model_validate({field: value})
    first = refused.value.errors(include_input=False, include_url=False)[0]
    assert first["loc"] == (field,) and "hush" not in first["msg"]


def test_headers_name_their_keys_and_nothing_else_as_credentials() -> None:
    headers = {"api-key": "env:LARGE_API_KEY", "x-team": "support"}
    spec = TeacherSpec(url="https://example.com/v1", model="m", credential="file:/keys/a", headers=headers)
    assert spec.credentials == ["file:/keys/a", "env:LARGE_API_KEY"]


@pytest.mark.parametrize("key", ["sk-a-key-itself", "env:", "file:", "env:NOT A NAME"])
def test_a_key_itself_is_refused_and_said_where_to_put_it(key: str) -> None:
    with pytest.raises(ValidationError, match="a key is not stored: say where it is read, as env:NAME or file:/PATH"):
        TeacherSpec(url="https://example.com/v1", model="m", credential=key)
