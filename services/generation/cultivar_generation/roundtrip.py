"""The check of a variant by a second call: asked what the variant says, the teacher must come near the seed's input."""

from collections.abc import Mapping
from typing import Any

from cultivar_records import Example, TaskSpec
from cultivar_texts import rouge_l

from cultivar_generation.plan import Call
from cultivar_generation.prompts import render
from cultivar_generation.strategies.reading import plain


def question(call: Call, task: TaskSpec, made: Example) -> str:
    """Returns what to ask about a candidate; empty where the call has no check."""
    check: Mapping[str, Any] | None = call.use.params.get("check")
    if check is None:
        return ""
    given = {"draft": made.text, "text": call.plan.seeds[0].text, "axes": call.axes, "task": task}
    return render(check["template"], given)


def why_not(call: Call, answer: str) -> str:
    """Returns why the answer to that question speaks against the candidate; empty where it does not."""
    found, least = rouge_l(plain(answer), call.plan.seeds[0].text), float(call.use.params["check"]["least"])
    return "" if found >= least else f"put back, the variant is not like the seed's input (ROUGE-L below {least:g})"
