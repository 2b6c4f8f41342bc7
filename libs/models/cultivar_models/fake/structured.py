"""Answers in the JSON of a schema."""

import json
import random
import re
from collections.abc import Mapping
from typing import Any

from cultivar_models.fake.forms import asked_for, program, sentence

_CODE = re.compile(r"```python\n(.*?)\n```", re.DOTALL)


def structured(schema: Mapping[str, Any], prompt: str, chance: random.Random) -> str:
    """Returns JSON of a schema, its texts made of the prompt's words and its lists as long as the prompt asks for."""
    return json.dumps(_value(schema, prompt, chance))


def _value(schema: Mapping[str, Any], prompt: str, chance: random.Random) -> Any:
    kind, options = schema.get("type"), schema.get("enum")
    if options:
        return chance.choice(options)
    if kind == "object":
        fields = schema.get("properties", {})
        if {"solution", "tests"} <= set(fields):
            return _program(chance)
        return {name: _value(field, prompt, chance) for name, field in fields.items()}
    if kind == "array":
        count = max(schema.get("minItems", 0), min(asked_for(prompt), schema.get("maxItems", 64)))
        return [_value(schema.get("items", {}), prompt, chance) for _ in range(count)]
    if kind in ("integer", "number"):
        return chance.randint(1, 5)
    return True if kind == "boolean" else sentence(prompt, chance)


def _program(chance: random.Random) -> dict[str, str]:
    written = program(chance)
    solution, tests = _CODE.findall(written)
    return {"problem": written.partition("Problem: ")[2].partition("\n")[0], "solution": solution, "tests": tests}
