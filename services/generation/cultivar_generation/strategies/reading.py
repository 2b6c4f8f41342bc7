"""Tolerant reading of answers: JSON with or without a fence, named sections however they are marked, plain texts.

Small teachers put what is asked for in bold, under a heading or into JSON as they like; each of these is read.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

FENCE = re.compile(r"```[ \t]*([\w+-]*)[ \t]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
FENCE_ALONE = re.compile(r"\s*(?:```[ \t]*[\w+-]*\s*)?")
CODE = re.compile(r"```[ \t]*[\w+-]*[ \t]*\n(?:(?![ \t]*```)[^\n]*\n)*[ \t]*```[ \t]*$", re.MULTILINE)
# A sentence with a colon is a lead only where its line ends there, or it says that it is one: "Here is my problem: …"
# may be what was asked for.
LEAD = re.compile(
    r"""^[*_#\s]*(?:(?:sure|certainly|of\ course|absolutely|okay)\b[^\n:]{0,60}\n\s*)?
    (?:(?:sure|certainly|of\ course|absolutely|okay|here(?:['’]s|\ is|\ are)|rewritten|paraphrase)\b
       [^\n:]{0,160}:[*_]*[ \t]*\n
    |here(?:['’]s|\ is)\ (?:the|a|your)\ (?:rewritten|rephrased|paraphrased|translated|changed)\b[^\n:]{0,40}:[*_]*
    |(?:answer|response|translation|rewritten|paraphrase):[*_]*)\s*""",
    re.IGNORECASE | re.VERBOSE,
)
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»"}
JSON = re.compile(r"""^[ \t]*(?:\{\s*(?:["'}]|\Z)|\[\s*(?:["'{\[\]]|\Z))""", re.MULTILINE)
BOLD = re.compile(r"\*\*([^*]+)\*\*")
TRAILING_COMMA = re.compile(r",(\s*[}\]])")
CUT = "the answer was cut at its greatest length"
EMPTY = "the answer is empty"
HALF = "the answer is JSON that is not whole, or of another form than was asked for"
MORE = "more items than were asked for"
ITEMS = "items"


def record_schema(*names: str) -> dict[str, Any]:
    """Returns the JSON schema of an object with some texts, all of them and nothing else, as strict servers ask."""
    texts = {name: {"type": "string"} for name in names}
    return {"type": "object", "properties": texts, "required": list(names), "additionalProperties": False}


def list_schema(item: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Returns the JSON schema of an object with one list, `items`, of some length: strict servers take no list alone.

    A small model that is held to a list of any length goes on with it until its greatest length.
    """
    lists = {ITEMS: {"type": "array", "items": dict(item), "minItems": count, "maxItems": count}}
    return {"type": "object", "properties": lists, "required": [ITEMS], "additionalProperties": False}


def read_texts(answer: str) -> list[str] | None:
    """Returns the texts of a JSON list, or of the list in an object; None where the answer holds no such JSON.

    A sentence or a fence may stand before it. An item may be an object with one text.
    """
    value = read_json(answer[start:]) if (start := json_start(answer)) is not None else None
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    if not isinstance(value, list):
        return None
    texts = [next(iter(one.values())) if isinstance(one, dict) and len(one) == 1 else one for one in value]
    return [one.strip() for one in texts] if all(isinstance(one, str) for one in texts) else None


def json_start(answer: str) -> int | None:
    """Returns where JSON begins, or looks as if it did: at the beginning of a line; None where it does nowhere."""
    found = JSON.search(answer)
    return found.start() if found else None


def is_json(answer: str) -> bool:
    """Tells whether an answer is JSON from its beginning, or looks as if it were; a fence may stand around it."""
    start = json_start(answer)
    return start is not None and FENCE_ALONE.fullmatch(answer[:start]) is not None


def plain(answer: str) -> str:
    """Returns an answer as one text: without a lead such as "Here is …:" and without quotation marks around it."""
    return unquoted(LEAD.sub("", answer.strip()))


def unquoted(text: str) -> str:
    """Returns a text without the pair of quotation marks around it, and without outer white space."""
    text = text.strip()
    close = QUOTES.get(text[:1])
    if len(text) > 1 and close == text[-1] and not {text[0], close} & set(text[1:-1]):
        text = text[1:-1].strip()
    return text


def read_json(answer: str) -> Any:
    """Returns the first JSON object or list in an answer, also in a fence or with commas too many; None if none is."""
    fenced = FENCE.search(answer)
    for text in (fenced.group(2), answer) if fenced else (answer,):
        start = next((place for place, mark in enumerate(text) if mark in "{["), None)
        if start is None:
            continue
        for form in (text[start:], TRAILING_COMMA.sub(r"\1", text[start:])):
            try:
                return json.JSONDecoder().raw_decode(form)[0]
            except (ValueError, RecursionError):
                continue
    return None


def read_fields(
    answer: str, names: Mapping[str, Sequence[str]], cut: bool = False, opens: str = ""
) -> tuple[list[dict[str, str]], list[str]]:
    """Reads the records of an answer: each has some of the named fields, and ends where one of these comes again.

    `names` gives the words by which a field may be marked, in lower case, the likeliest first. Fields are read from
    JSON (an object, a list of them, or a list of them under one key), or from sections such as `Question:`,
    `**Question 2:**`, `### Question`; what stands before the first section is left out. Returns also why a piece of the
    answer is no record: where it was `cut` its last record is half, whereas JSON that was cut cannot be read at all. An
    answer that goes on with a prompt begins in the middle of the field that the prompt `opens`.
    """
    marks = _marks(answer, names)
    before = answer[: marks[0][1].start()] if marks else answer
    if is_json(answer) or (not opens and ("{" in before or "[" in before)):
        records = [record for one in _objects(read_json(answer)) if (record := _of_json(one, names))]
        if records:
            return records, []
    found = _of_sections(answer, marks, {opens: before.strip()} if opens and before.strip() else {})
    return (found[:-1], [CUT]) if cut else (found, [])


def marked_in(template: str, words: Sequence[str]) -> Sequence[str]:
    """Returns those of a field's words that a template marks it by, or all where it does by none."""
    used = [word for word in words if re.search(rf"\b{re.escape(word)}[*_ \t]*:", template, re.IGNORECASE)]
    return used or words


def fenced(text: str) -> str:
    """Returns the code of the first fence in a text, or the text where there is none."""
    match = FENCE.search(text)
    return (match.group(2) if match else text).strip("\n").rstrip()


def _objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        inner = next((part for part in value.values() if isinstance(part, list) and len(value) == 1), None)
        return _objects(inner) if inner else [value]
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _of_json(given: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    values = {str(key).strip().lower(): value for key, value in given.items()}
    record = {}
    for name, words in names.items():
        value = next((values[word] for word in words if word in values), None)
        if isinstance(value, list):
            value = "\n".join(str(part) for part in value)
        if value is not None and not isinstance(value, dict):
            record[name] = str(value).strip()
    return record


def _of_sections(
    answer: str, marks: Sequence[tuple[str, re.Match[str]]], first: Mapping[str, str]
) -> list[dict[str, str]]:
    records: list[dict[str, str]] = [dict(first)] if first else []
    for place, (name, match) in enumerate(marks):
        end = marks[place + 1][1].start() if place + 1 < len(marks) else len(answer)
        if not records or name in records[-1]:
            records.append({})
        records[-1][name] = _unmarked(answer[match.end() : end])
    return records


def _unmarked(text: str) -> str:
    """Returns the text of a section without what belongs to its mark or the next: a rule, the end of bold type."""
    lines = text.strip().split("\n")
    while lines and not lines[-1].strip("*#_- \t"):
        lines.pop()
    return unbolded("\n".join(lines))


def unbolded(text: str) -> str:
    """Returns a text without the end of bold type that begins before it, or the bold type around it."""
    if text.count("**") % 2:
        return text.removesuffix("**").rstrip()
    bold = BOLD.fullmatch(text)
    return bold.group(1) if bold else text


def _marks(answer: str, names: Mapping[str, Sequence[str]]) -> list[tuple[str, re.Match[str]]]:
    """Returns where sections begin, outside of code, each with its field.

    A field has one word in an answer, the first of its words that marks anything: a response which shows an `Input:`
    and an `Output:` of its own is not cut there.
    """
    words = "|".join(sorted((re.escape(word) for group in names.values() for word in group), key=len, reverse=True))
    mark = re.compile(
        rf"^[*_# \t]*(?:\d{{1,3}}[.)][*_# \t]*)?\b({words})\b[ \t]*#?\d{{0,3}}[*_]*[ \t]*:[*_]*", re.I | re.M
    )
    heading = re.compile(rf"^[ \t]*#{{1,6}}[ \t]*({words})[ \t]*\d{{0,3}}[ \t]*$", re.I | re.M)
    code = [fence.span() for fence in CODE.finditer(answer)]
    found = [
        match
        for match in (*mark.finditer(answer), *heading.finditer(answer))
        if not any(start <= match.start() < end for start, end in code)
    ]
    used = {match.group(1).lower() for match in found}
    owner = {word: name for name, group in names.items() if (word := next((one for one in group if one in used), ""))}
    kept = [(owner[word], match) for match in found if (word := match.group(1).lower()) in owner]
    return sorted(kept, key=lambda one: one[1].start())
