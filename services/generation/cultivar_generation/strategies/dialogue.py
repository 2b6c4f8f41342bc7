"""dialogue: one pair in, the same conversation carried on for several turns out."""

import re
from collections.abc import Mapping
from random import Random
from typing import ClassVar, Literal

from cultivar_records import Message, TaskKind, TaskSpec
from pydantic import Field

from cultivar_generation.strategies.pool import Pool
from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, StrategyConfig
from cultivar_generation.strategies.reading import list_schema, read_json, record_schema

USER = ("user", "human", "customer", "person", "client", "student", "you")
ASSISTANT = ("assistant", "ai", "bot", "agent", "model", "support")
TURN = re.compile(
    rf"^[ \t]*[*_#]*({'|'.join((*USER, *ASSISTANT))})[*_]*[ \t]*:[*_]*[ \t]*", re.IGNORECASE | re.MULTILINE
)
EXCHANGE_TOKENS = 160
EXCHANGE = record_schema("user", "assistant")


class DialogueConfig(StrategyConfig):
    """How long a conversation is to become."""

    exchanges: int = Field(3, ge=2, le=12, description="Pairs of turns in the conversation, the seed's own included.")


class Dialogue:
    """Carries a conversation on."""

    description = "Carries the pair of a seed on into a conversation of several turns."
    default_prompt = "dialogue"
    tasks = (TaskKind.INSTRUCTION,)
    names: ClassVar[Mapping[str, str]] = {
        "turns": "the messages of the seed, its answer included, each with role and content",
        "exchanges": "pairs of turns to add",
        "task": "the task, with kind and instruction",
    }
    takes_inputs = False
    Config = DialogueConfig

    def per_call(self, config: DialogueConfig) -> int:
        """Returns 1: an answer is one conversation."""
        return 1

    def check(self, config: DialogueConfig, task: TaskSpec) -> str:
        """Refuses nothing."""
        return ""

    def plan(self, number: int, seeds: Pool, task: TaskSpec, config: DialogueConfig, random: Random) -> Plan:
        """Plans the conversation of the next seed, round and round."""
        seed = seeds[number % len(seeds)]
        turns = [{"role": message.role, "content": message.content} for message in seed.messages]
        own = sum(message.role == "assistant" for message in seed.messages)
        more = max(1, config.exchanges - own)
        variables, schema = {"turns": turns, "exchanges": more, "task": task}, list_schema(EXCHANGE, more)
        return Plan((seed,), variables, schema=schema, tokens=EXCHANGE_TOKENS * more)

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: DialogueConfig, cut: bool) -> Drafts:
        """Reads turns that take turns, from the user's to the assistant's; a last question without its answer goes."""
        seed, turns = plan.seeds[0], read_turns(answer)
        if cut and turns:
            turns.pop()
        known = [message.content.strip() for message in seed.messages]
        if [turn.content for turn in turns[: len(known)]] == known:
            turns = turns[len(known) :]
        if turns and turns[-1].role == "user":
            turns.pop()
        if not turns:
            return Drafts(malformed=["the answer holds no whole exchange"])
        if any(turn.role != ("user", "assistant")[place % 2] for place, turn in enumerate(turns)):
            return Drafts(malformed=["the turns of the answer do not go from the user to the assistant and back"])
        conversation = (*seed.messages, *turns[: 2 * int(plan.variables["exchanges"])])
        last = next(message.content for message in reversed(conversation) if message.role == "user")
        return Drafts(good=[Draft(last, conversation[-1].content, conversation[:-1])])


def read_turns(answer: str) -> list[Message]:
    """Reads the turns of a conversation: a list in JSON, or lines that begin `User:` and so on.

    The list is of turns, each with role and content, or of exchanges, each with what the user and the assistant say.
    """
    value = read_json(answer)
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    listed = value if isinstance(value, list) and all(isinstance(turn, dict) for turn in value) else []
    if listed and all("role" in turn for turn in listed):
        said = [(str(turn["role"]), str(turn.get("content", ""))) for turn in listed]
    elif listed and all(turn.keys() <= {"user", "assistant"} for turn in listed):
        said = [(role, str(text)) for turn in listed for role, text in turn.items()]
    else:
        marks = list(TURN.finditer(answer))
        ends = [*(mark.start() for mark in marks[1:]), len(answer)][: len(marks)]
        said = [(mark.group(1), answer[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)]
    turns = [Message(role=role_of(role), content=content.strip()) for role, content in said if content.strip()]
    return turns


def role_of(name: str) -> Literal["user", "assistant"]:
    """Returns the role that a name stands for."""
    return "assistant" if name.strip().lower() in ASSISTANT else "user"
