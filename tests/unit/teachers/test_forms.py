import json
from typing import Any

import pytest
import torch
from cultivar_generation.teachers.decoder import Decoder
from cultivar_generation.teachers.forms import LARGEST_SCHEMA, LONGEST_REASON, Forms, FormUnsupported, limited
from cultivar_generation.teachers.generation_lane import GenerationLane, Limits
from cultivar_generation.teachers.tokens import Tokens
from cultivar_generation.teachers.work import GenerateWork, Made, SamplingRules
from jsonschema import validate

WORD = {"type": "string", "maxLength": 3}
SCHEMAS: dict[str, dict[str, Any]] = {
    "record": {
        "type": "object",
        "properties": {"text": WORD, "mood": {"enum": ["glad", "sad"]}, "sure": {"type": "boolean"}},
        "required": ["text", "mood", "sure"],
        "additionalProperties": False,
    },
    "list": {
        "type": "object",
        "properties": {"items": {"type": "array", "items": WORD, "minItems": 2, "maxItems": 4}},
        "required": ["items"],
        "additionalProperties": False,
    },
    "number": {"type": "integer", "minimum": 3, "maximum": 17},
    "either": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}]},
}


@pytest.fixture
def lane(tiny_decoder: Decoder, tiny_tokens: Tokens) -> GenerationLane:
    return GenerationLane(tiny_decoder, tiny_tokens, Limits())


def finish(lane: GenerationLane, works: list[GenerateWork]) -> list[Made]:
    for work in works:
        lane.add(work)
    while lane.busy:
        lane.step()
    return [work.future.result(0) for work in works]


def rules(seed: int = 0, temperature: float = 1.5, max_tokens: int = 110) -> SamplingRules:
    return SamplingRules(temperature=temperature, seed=seed, max_tokens=max_tokens, top_p=0.9)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_a_model_of_chance_writes_the_json_of_the_schema(
    lane: GenerationLane, tiny_forms: Forms, name: str, temperature: float
) -> None:
    form = tiny_forms.of(SCHEMAS[name])
    for made in finish(lane, [GenerateWork((5, seed), rules(seed, temperature), form) for seed in range(9)]):
        assert made.finish_reason == "stop", made.text
        validate(json.loads(made.text), SCHEMAS[name])
        assert made.tokens == len(made.choices)


def test_an_answer_cut_at_its_bound_is_the_beginning_of_such_json(lane: GenerationLane, tiny_forms: Forms) -> None:
    form = tiny_forms.of(SCHEMAS["record"])
    (whole,) = finish(lane, [GenerateWork((5,), rules(), form)])
    (made,) = finish(lane, [GenerateWork((5,), rules(max_tokens=7), form)])
    assert (made.finish_reason, made.tokens) == ("length", 7)
    assert whole.text.startswith(made.text)


def test_answers_without_a_form_are_the_same_beside_those_with_one(lane: GenerationLane, tiny_forms: Forms) -> None:
    prompts = [(5, 6), (40,), (41, 42)]

    def free() -> list[GenerateWork]:
        return [GenerateWork(prompt, rules(seed, max_tokens=20)) for seed, prompt in enumerate(prompts)]

    held = [GenerateWork((7,), rules(), tiny_forms.of(schema)) for schema in SCHEMAS.values()]
    together = finish(lane, [*held[:2], *free(), *held[2:]])
    assert [made.text for made in together[2:5]] == [made.text for made in finish(lane, free())]


def test_log_probabilities_are_those_of_the_model_and_not_of_the_form(lane: GenerationLane, tiny_forms: Forms) -> None:
    asked = SamplingRules(temperature=0.0, max_tokens=1, top=1)
    (free,) = finish(lane, [GenerateWork((5,), asked)])
    (held,) = finish(lane, [GenerateWork((5,), asked, tiny_forms.of(SCHEMAS["record"]))])
    assert held.text == "{"
    assert held.choices[0].top == free.choices[0].top
    assert held.choices[0].logprob < free.choices[0].logprob


def test_no_token_beyond_the_tokenizer_is_allowed(tiny_forms: Forms, tiny_tokenizer: Any) -> None:
    size = len(tiny_tokenizer)
    found = limited(torch.zeros(2, size + 42), [None, tiny_forms.of(SCHEMAS["record"]).fresh()])
    allowed = torch.isfinite(found)
    assert allowed[0].all()
    assert allowed[1].nonzero().flatten().tolist() == [tiny_tokenizer.convert_tokens_to_ids("{")]


def test_two_answers_of_one_form_go_their_own_ways(tiny_forms: Forms, tiny_tokenizer: Any) -> None:
    first, second = (tiny_forms.of(SCHEMAS["number"]).fresh() for _ in range(2))
    assert not first.take(tiny_tokenizer.convert_tokens_to_ids("1"))
    assert second.take(tiny_tokenizer.convert_tokens_to_ids("9"))


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "nope"}, "nope"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"$ref": "https://example.com/elsewhere.json"}, "does not fetch"),
    ],
)
def test_a_schema_that_cannot_be_held_to_is_refused_in_words(
    tiny_forms: Forms, schema: dict[str, Any], said: str
) -> None:
    with pytest.raises(FormUnsupported, match=said):
        tiny_forms.of(schema)


def test_a_reason_is_short_whatever_the_schema_holds(tiny_forms: Forms) -> None:
    with pytest.raises(FormUnsupported) as refused:
        tiny_forms.of({"type": "long" * 1_000})
    assert 0 < len(str(refused.value)) <= LONGEST_REASON


def test_a_schema_above_the_bound_is_refused_before_it_is_read(tiny_forms: Forms) -> None:
    def padded(size: int) -> dict[str, Any]:
        return {"type": "boolean", "description": "d" * (size - len('{"type": "boolean", "description": ""}'))}

    assert tiny_forms.of(padded(LARGEST_SCHEMA)).fresh()
    with pytest.raises(FormUnsupported, match="more than 65536 bytes"):
        tiny_forms.of(padded(LARGEST_SCHEMA + 1))
