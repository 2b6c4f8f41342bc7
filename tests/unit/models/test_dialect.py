import json

import pytest
from cultivar_models.dialect import Dialect, of_schema

BODY = {"model": "m", "messages": [], "max_tokens": 5, "temperature": 0.2, "top_p": 0.9, "seed": 1, "stop": ["x"]}


def refusal(message: str = "", code: str = "", param: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "code": code, "param": param}}).encode()


@pytest.mark.parametrize(
    ("said", "gone", "new"),
    [
        (
            refusal("Unsupported parameter: 'max_tokens' is not supported with this model.", "", "max_tokens"),
            "max_tokens",
            {"max_completion_tokens": 5},
        ),
        (refusal("'temperature' does not support 0.2", "unsupported_value", "temperature"), "temperature", {}),
        (refusal("Unrecognized request argument supplied: seed"), "seed", {}),
        (b'{"detail":[{"type":"extra_forbidden","loc":["body","top_p"],"msg":"Extra inputs"}]}', "top_p", {}),
        (b'{"error":"unknown field `stop`"}', "stop", {}),
    ],
)
def test_a_field_that_a_server_refuses_is_renamed_or_left_out_from_then_on(
    said: bytes, gone: str, new: dict[str, int]
) -> None:
    dialect = Dialect({})
    assert dialect.learn(BODY, said)
    expected = {name: value for name, value in BODY.items() if name != gone} | new
    assert dialect.spoken(BODY) == expected
    assert dialect.left_out == (() if new else (gone,))


@pytest.mark.parametrize(
    "said",
    [
        refusal("temperature must be at most 2", "invalid_value", "temperature"),
        refusal("the prompt is too long", "context_length_exceeded", "messages"),
        refusal("Unsupported: please stop"),
        b'{"body": "seed is not supported"}',
        b'["seed is not supported"]',
        b"seed is not supported",
        b'{"error": null, "detail": null}',
        b'{"detail": [5, {"loc": "seed"}]}',
    ],
)
def test_other_refusals_change_nothing(said: bytes) -> None:
    dialect = Dialect({})
    assert not dialect.learn(BODY, said)
    assert dialect.spoken(BODY) == BODY


def test_every_request_that_was_under_way_is_sent_again_and_none_twice() -> None:
    dialect, said = Dialect({}), refusal("seed is not supported", param="seed")
    assert dialect.learn(BODY, said) and dialect.learn(BODY, said)
    assert not dialect.learn(dialect.spoken(BODY), said)


def test_fields_of_the_endpoint_stand_in_place_of_the_clients_own() -> None:
    dialect = Dialect({"max_tokens": None, "max_completion_tokens": 900, "top_k": 20})
    assert dialect.spoken({"model": "m", "max_tokens": 5}) == {"model": "m", "max_completion_tokens": 900, "top_k": 20}
    assert not dialect.learn({"top_k": 20, "max_completion_tokens": 900}, refusal("unsupported", param="top_k"))


def test_a_refusal_of_the_schema_is_told_from_others_that_repeat_the_request() -> None:
    assert of_schema(refusal("Invalid schema for response_format 'answer'", param="response_format"))
    assert of_schema(b'{"detail": [{"loc": ["body", "response_format"], "msg": "Field required"}]}')
    assert not of_schema(b'{"error": {"message": "too long"}, "request": {"response_format": {}}}')
