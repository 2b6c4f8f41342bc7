"""The five forms of a row, and the example that each becomes.

- chat: `messages`, a list of `role` and `content`; beside it `label`, `spans` or `tests` where the task has them
- prompt and completion: `prompt`, `completion`
- Alpaca: `instruction`, `input` (may be missing), `output`
- Self-Instruct: `instruction`, `instances`, a list of `input` and `output`, of which the first is taken
- text and label: `text`, `label`; for entities `text`, `spans`

Other columns are ignored. `ALIASES` lists the names under which public data sets keep the same things.
"""

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from pydantic import ValidationError

from cultivar_records.examples import Example, Message, Provenance, Span, example_id
from cultivar_records.formats.problems import RowProblem
from cultivar_records.tasks import TaskKind, entities_answer
from cultivar_records.wrong import first_wrong

ALIASES: Final[Mapping[str, str]] = {
    "category": "label",
    "intent": "label",
    "context": "input",
    "response": "output",
    "code": "completion",
    "test_list": "tests",
}
FORMS: Final = (
    ("messages",),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("instruction", "instances"),
    ("text", "label"),
    ("text", "spans"),
)
INPUTS: Final = ("instruction", "prompt", "question", "text", "problem")
WANTED: Final = (
    "messages; prompt and completion; instruction and output; instruction and instances; text and label; "
    "or text and spans"
)

_Turns = list[Message]


def form_of(fields: Collection[str], inputs: bool = False) -> tuple[str, ...] | None:
    """Finds which form's fields, or their aliases, are all among `fields`; None if no form's are.

    With `inputs` one field that holds an input is a form too.
    """
    known = {ALIASES.get(name, name) for name in fields} | set(fields)
    forms = (*FORMS, *((name,) for name in INPUTS)) if inputs else FORMS
    return next((form for form in forms if known.issuperset(form)), None)


def known_fields(fields: Collection[str]) -> list[str]:
    """Lists those of `fields` that some form reads."""
    read = {name for form in FORMS for name in form} | {"input", "tests", *INPUTS} | set(ALIASES)
    return [name for name in fields if name in read]


class RowReader:
    """Turns the rows of one file into examples of one task."""

    def __init__(self, task: TaskKind, labels: Collection[str] | None, source: str, unanswered: bool = False) -> None:
        self._task, self._source, self._unanswered = task, source, unanswered
        self._last = (0, 0)
        self._labels = None if labels is None else dict.fromkeys(labels)

    def example(self, line: int, row: object) -> Example:
        """Makes the example of a row; raises RowProblem for a row that is none."""
        if not isinstance(row, Mapping):
            raise RowProblem("The row is not an object with named fields.")
        try:
            return self._example(line, _canonical(row))
        except ValidationError as error:
            raise RowProblem(_sentence(error)) from None

    def _example(self, line: int, fields: Mapping[str, Any]) -> Example:
        form = form_of(fields)
        if form is None and self._unanswered:
            return self._input(line, fields)
        if form is None:
            raise RowProblem(f"A field is missing: a row needs {WANTED}.")
        turns = _TURNS[form](fields)
        spans = _spans(fields.get("spans"))
        label = self._finish(turns, fields, spans)
        _check_turns(turns, self._unanswered)
        # The passages of one long line are told apart by their place in it.
        ordinal = self._last[1] + 1 if self._last[0] == line else 0
        self._last = (line, ordinal)
        key = example_id(self._source, str(line), ordinal)
        return Example(
            id=key,
            task=self._task,
            messages=tuple(turns),
            label=label,
            spans=spans,
            tests=_tests(fields.get("tests")),
            provenance=Provenance(origin="seed", family=key, source=self._source, line=line, ordinal=ordinal),
        )

    def _input(self, line: int, fields: Mapping[str, Any]) -> Example:
        """Makes the example of a row that holds an input alone; its answer is empty."""
        name = next((name for name in INPUTS if name in fields), None)
        if name is None:
            raise RowProblem(f"A field is missing: a row without an answer needs one of {', '.join(INPUTS)}.")
        given = _text(fields, "input") if name == "instruction" and fields.get("input") else ""
        text = "\n\n".join(part for part in (_text(fields, name), given) if part.strip())
        return self._example(line, {"messages": [{"role": "user", "content": text}]})

    def _finish(self, turns: _Turns, fields: Mapping[str, Any], spans: tuple[Span, ...]) -> str | None:
        """Puts the answer that the task implies at the end of the turns, and gives the label."""
        if self._task is TaskKind.ENTITIES:
            for span in spans:
                self._check_label(span.label)
            if turns[-1].role == "user":
                turns.append(Message(role="assistant", content=entities_answer(turns[-1].content, spans)))
            return None
        if self._task is not TaskKind.CLASSIFICATION:
            if turns[-1].role != "assistant":
                if self._unanswered:
                    turns.append(Message(role="assistant", content=""))
                    return None
                raise RowProblem("The row has no answer: its last message is not the assistant's.")
            return None
        answer = turns.pop().content.strip() if turns[-1].role == "assistant" else None
        label = _label(fields["label"]) if fields.get("label") is not None else answer
        if not label:
            raise RowProblem("The label is missing or empty.")
        if answer is not None and answer != label:
            raise RowProblem("The label differs from the last message; make them equal or leave one out.")
        self._check_label(label)
        turns.append(Message(role="assistant", content=label))
        return label

    def _check_label(self, label: str) -> None:
        if self._labels is None or label in self._labels:
            return
        near = difflib.get_close_matches(label[:100], self._labels, n=1)
        hint = f"; the nearest is '{near[0]}'" if near else ""
        raise RowProblem(f"The label is none of the {len(self._labels)} labels of the task{hint}.")


def _canonical(row: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if value is not None}
    for alias, name in ALIASES.items():
        if alias in fields:
            fields.setdefault(name, fields[alias])
    return fields


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise RowProblem(f"The field '{name}' must be text.")
    return value


def _label(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RowProblem("The field 'label' must be text.")
    return str(value).strip()


def _chat(fields: Mapping[str, Any]) -> _Turns:
    messages = fields["messages"]
    if not isinstance(messages, list) or not messages:
        raise RowProblem("The field 'messages' must be a list of messages.")
    return [_message(number, message) for number, message in enumerate(messages, 1)]


def _message(number: int, message: object) -> Message:
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
        raise RowProblem(f"Message {number} must have a role and a content that is text.")
    role = message.get("role")
    if role not in ("system", "user", "assistant"):
        raise RowProblem(f"The role of message {number} must be system, user or assistant.")
    return Message(role=role, content=message["content"])


def _pair(prompt: str, answer: str) -> _Turns:
    return [Message(role="user", content=prompt), Message(role="assistant", content=answer)]


def _completion(fields: Mapping[str, Any]) -> _Turns:
    return _pair(_text(fields, "prompt"), _text(fields, "completion"))


def _alpaca(fields: Mapping[str, Any]) -> _Turns:
    parts = [_text(fields, "instruction"), _text(fields, "input") if fields.get("input") else ""]
    return _pair("\n\n".join(part for part in parts if part.strip()), _text(fields, "output"))


def _instances(fields: Mapping[str, Any]) -> _Turns:
    instances = fields["instances"]
    if not isinstance(instances, list) or not instances or not isinstance(instances[0], Mapping):
        raise RowProblem("The field 'instances' must be a list of input and output.")
    if "output" not in instances[0]:
        raise RowProblem("The first of 'instances' has no output.")
    return _alpaca({**instances[0], "instruction": fields["instruction"]})


def _plain(fields: Mapping[str, Any]) -> _Turns:
    return [Message(role="user", content=_text(fields, "text"))]


_TURNS: Final[Mapping[tuple[str, ...], Callable[[Mapping[str, Any]], _Turns]]] = dict(
    zip(FORMS, (_chat, _completion, _alpaca, _instances, _plain, _plain), strict=True)
)


def _spans(value: object) -> tuple[Span, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise RowProblem("The field 'spans' must be a list of start, end and label.")
    spans = [Span.model_validate(span, strict=True) for span in value]
    return tuple(sorted(spans, key=lambda span: (span.start, span.end)))


def _tests(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(test, str) for test in value):
        raise RowProblem("The field 'tests' must be a list of texts.")
    return tuple(value)


def _check_turns(turns: _Turns, unanswered: bool = False) -> None:
    if all(message.role != "user" for message in turns):
        raise RowProblem("The row has no message of the user.")
    for number, message in enumerate(turns[:-1] if unanswered else turns, 1):
        if not message.content.strip():
            raise RowProblem(f"The text of message {number} ({message.role}) is empty.")


def _sentence(error: ValidationError) -> str:
    where, reason = first_wrong(error)
    return f"{where}: {reason}" if where else reason
