"""Tolerant reading of answers: JSON with or without a fence, named sections however they are marked, plain texts.

Small teachers put what is asked for in bold, under a heading or into JSON as they like; each of these is read.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

FENCE = re.compile(r"```[ \t]*([\w+-]*)[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)
# A sentence with a colon is a lead only where its line ends there or it says that it is one: "Here is my problem: …" may
# be what was asked for.
LEAD = re.compile(
    r"""^[*_#\s]*(?:(?:sure|certainly|of\ course|absolutely|okay)\b[^\n:]{0,60}\n\s*)?
    (?:(?:sure|certainly|of\ course|absolutely|okay|here(?:['’]s|\ is|\ are)|rewritten|paraphrase)\b[^\n:]{0,160}:[*_]*[ \t]*\n
    |here(?:['’]s|\ is)\ (?:the|a|your)\ (?:rewritten|rephrased|paraphrased|translated|changed)\b[^\n:]{0,40}:[*_]*
    |(?:answer|response|translation|rewritten|paraphrase):[*_]*)\s*""",
    re.IGNORECASE | re.VERBOSE,
)
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»"}
TRAILING_COMMA = re.compile(r",(\s*[}\]])")
CUT = "the answer was cut at its greatest length"
EMPTY = "the answer is empty"
HALF = "the answer is JSON that is not whole"
ITEMS = "items"


def record_schema(*names: str) -> dict[str, Any]:
    """Returns the JSON schema of an object with some texts, all of them and nothing else, as strict servers ask."""
    texts = {name: {"type": "string"} for name in names}
    return {"type": "object", "properties": texts, "required": list(names), "additionalProperties": False}


def list_schema(item: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the JSON schema of an object with one list, `items`: strict servers take no list at the top."""
    lists = {ITEMS: {"type": "array", "items": dict(item)}}
    return {"type": "object", "properties": lists, "required": [ITEMS], "additionalProperties": False}


def read_texts(answer: str) -> list[str] | None:
    """Returns the texts of a JSON list, or of the list in an object; None where the answer is no such JSON."""
    value = read_json(answer) if answer.lstrip().startswith(("{", "[", "```")) else None
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return None
    return [" ".join(one.split()) for one in value]


def half_json(answer: str) -> bool:
    """Tells whether an answer begins as JSON does and is none."""
    return answer.lstrip().startswith(('{"', '["', "[{")) and read_json(answer) is None


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


def read_fields(answer: str, names: Mapping[str, Sequence[str]], cut: bool = False) -> list[dict[str, str]]:
    """Reads the records of an answer: each has some of the named fields, and begins where its first name comes again.

    `names` gives the words by which a field may be marked, in lower case. Fields are read from JSON (an object, a list
    of them, or a list of them under one key), or from sections such as `Question:`, `**Question 2:**`, `### Question`.
    The last record of an answer that was `cut` is left out, unless it is JSON, which cannot be read when cut.
    """
    records = [_of_json(one, names) for one in _objects(read_json(answer))]
    if any(records):
        return [record for record in records if record]
    found = _of_sections(answer, names)
    return found[:-1] if cut else found


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


def _of_sections(answer: str, names: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    words = "|".join(re.escape(word) for group in names.values() for word in group)
    mark = re.compile(
        rf"^[ \t]*(?:\d{{1,3}}[.)][ \t]*)?[*_# \t]*\b({words})\b[ \t]*#?\d{{0,3}}[*_]*[ \t]*:[*_]*", re.I | re.M
    )
    heading = re.compile(rf"^[ \t]*#{{1,6}}[ \t]*({words})[ \t]*\d{{0,3}}[ \t]*$", re.I | re.M)
    marks = sorted([*mark.finditer(answer), *heading.finditer(answer)], key=lambda match: match.start())
    owner = {word: name for name, group in names.items() for word in group}
    records: list[dict[str, str]] = []
    for place, match in enumerate(marks):
        end = marks[place + 1].start() if place + 1 < len(marks) else len(answer)
        name = owner[match.group(1).lower()]
        if not records or name in records[-1]:
            records.append({})
        records[-1][name] = answer[match.end() : end].strip().rstrip("*#").strip()
    return records
