"""Rows as a model is trained on them: tokens, and which of them the loss is taken on.

The text of a task is built by `cultivar_records`, as it is for scoring, and tokenized as the teachers do. Rows of
instructions are put in the model's own chat template, and the loss is taken on what the assistant says.
"""

import secrets
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cultivar_records import Example, TaskKind, TaskSpec, answer_text, from_table, prompt_text
from pydantic import ValidationError

from cultivar_training.program.errors import Refused

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its tokens and, for each, 1 where the model is to learn to say it, else 0."""

    tokens: "array[int]"
    trained: bytes

    @classmethod
    def of(cls, tokens: Iterable[int], trained: Iterable[bool]) -> "Row":
        """Makes a row, in the few bytes that rows by the hundred thousand may take."""
        return cls(array("i", tokens), bytes(trained))

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def first_trained(self) -> int:
        """The place of the first token that the loss is taken on."""
        return self.trained.index(1)


@dataclass(frozen=True)
class Rows:
    """The rows of an artifact that are short enough, in the order of their ids, and how many were too long."""

    rows: tuple[Row, ...]
    too_long: int

    @cached_property
    def tokens(self) -> int:
        """Tokens in all rows."""
        return sum(len(row) for row in self.rows)

    @cached_property
    def trained_share(self) -> float:
        """The share of tokens that the loss is taken on, 0 to 1."""
        return sum(sum(row.trained) for row in self.rows) / max(1, self.tokens)


def read_examples(files: Iterable[Path]) -> Iterator[Example]:
    """Yields the examples of Parquet files; raises Refused for files that hold something else."""
    import pyarrow.parquet as pq

    try:
        for file in files:
            yield from from_table(pq.read_table(file))
    except ValidationError as error:
        raise Refused("the rows are no examples: name an artifact of examples, such as a dataset") from error


def check_examples(dataset: Sequence[Example], validation: Sequence[Example], task: TaskSpec) -> None:
    """Raises Refused where there is nothing to train on, or validation rows that are trained on too."""
    if not dataset:
        raise Refused("the dataset is empty: give one with rows")
    known = (task.kind, TaskKind.INSTRUCTION)
    if strange := sum(example.task not in known for example in (*dataset, *validation)):
        raise Refused(
            f"{strange} rows are neither of the task {task.kind.value} nor instructions to replay: take them out"
        )
    trained = {_key(example) for example in dataset}
    if shared := sum(_key(example) in trained for example in validation):
        raise Refused(
            f"{shared} of {len(validation)} validation rows are in the dataset too, so their loss would say nothing: "
            "take them out of one of the two"
        )


def _key(example: Example) -> str:
    """Gives what makes two rows the same question, whatever their case and spaces."""
    return "\n".join(" ".join(message.content.split()).casefold() for message in example.prompt)


def render(examples: Iterable[Example], renderer: "Renderer", max_length: int, what: str) -> Rows:
    """Turns examples into rows; raises Refused where all are too long, or the loss would be on no token or on each."""
    rows, too_long = [], 0
    for example in sorted(examples, key=lambda example: example.id):
        row = renderer.row(example)
        if not any(row.trained[1:]) or row.trained[0]:
            raise Refused(f"row {example.id} has no prompt or no answer to learn: take it out of the {what} rows")
        if len(row) > max_length:
            too_long += 1
        else:
            rows.append(row)
    if not rows:
        raise Refused(f"all {too_long} {what} rows have over {max_length} tokens: raise max_length or shorten the rows")
    rendered = Rows(tuple(rows), too_long)
    if not 0 < rendered.trained_share < 1:
        share = f"{rendered.trained_share:.0%}"
        raise Refused(f"the loss would be taken on {share} of the tokens: a row needs a prompt and an answer")
    return rendered


class Renderer:
    """Renders examples for one model; the tokenizer must be a fast one. Instructions may stand beside any task."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", task: TaskSpec) -> None:
        self._tokenizer: Any = tokenizer
        self._task = task
        if tokenizer.eos_token_id is None:
            raise Refused("the base model's tokenizer has no end-of-text token: use another base model")

    def row(self, example: Example) -> Row:
        """Renders one example."""
        if example.task is TaskKind.INSTRUCTION:
            return self._chat(example)
        return self._completion(prompt_text(self._task, example), answer_text(example))

    def _completion(self, prompt: str, answer: str) -> Row:
        """Trains on each token that holds a character of the answer, and on the end-of-text token."""
        found = self._tokenizer(prompt + answer, return_offsets_mapping=True)
        trained = [end > len(prompt) for _, end in found["offset_mapping"]]
        return Row.of([*found["input_ids"], self._tokenizer.eos_token_id], [*trained, True])

    def _chat(self, example: Example) -> Row:
        """Trains on what the assistant says, and on the token that ends it.

        The template is rendered around marks, so that no text of a message can pass for a part of the template.
        """
        if not self._tokenizer.chat_template:
            raise Refused("the base model has no chat template, which rows of instructions need: use a chat model")
        marks = [secrets.token_hex(16) for _ in example.messages]
        rest = self._rendered(example, marks)
        tokens: list[int] = []
        trained: list[bool] = []
        said = False
        for message, mark in zip(example.messages, marks, strict=True):
            before, found, rest = rest.partition(mark)
            if not found:
                raise Refused("the chat template leaves out or rewrites messages: use another base model")
            self._add(tokens, trained, before, special=True, ends=said)
            said = message.role == "assistant"
            self._add(tokens, trained, message.content, special=False, learnt=said)
        self._add(tokens, trained, rest, special=True, ends=said)
        return Row.of(tokens, trained)

    def _add(
        self,
        tokens: list[int],
        trained: list[bool],
        text: str,
        *,
        special: bool,
        ends: bool = False,
        learnt: bool = False,
    ) -> None:
        made = self._tokenizer(text, add_special_tokens=False, split_special_tokens=not special)["input_ids"]
        tokens += made
        trained += [learnt or (ends and place == 0) for place in range(len(made))]

    def _rendered(self, example: Example, marks: Sequence[str]) -> str:
        from jinja2 import TemplateError

        turns = [{"role": turn.role, "content": mark} for turn, mark in zip(example.messages, marks, strict=True)]
        try:
            return str(self._tokenizer.apply_chat_template(turns, tokenize=False))
        except TemplateError as error:
            raise Refused("the chat template refuses the order of roles of a row: use another base model") from error
