"""The teachers' engine against `model.generate` on the same chats, in batches of several sizes.

Once all answers have one length, once each its own, and once they are sampled as people sample them.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.comparison import Comparison, Sample, Side, Stopwatch

SEEDS = Path(__file__).parents[1] / "examples" / "support" / "seeds.jsonl"
MODEL = "smollm2-135m-instruct"
ANSWERS = int(os.environ.get("BENCH_ANSWERS", "64"))
BATCHES = (16, 64)
NEW_TOKENS = 32
LONGEST = 64
GREEDY = {"temperature": 0.0}
SAMPLED = {"temperature": 0.8, "top_p": 0.95}


@dataclass(frozen=True)
class Chat:
    """A question, and the most tokens of its answer."""

    question: str
    most: int


@asynccontextmanager
async def sides(lengths: tuple[int, int], sampling: Mapping[str, float]) -> AsyncIterator[Mapping[str, Side]]:
    """Loads the model once for each side: the engine changes its own as it works.

    lengths: between what an answer's greatest length lies.
    """
    import torch
    from cultivar_generation.teachers.loading import load
    from cultivar_generation.teachers.settings import TeacherSettings
    from cultivar_models.processor import choose_dtype
    from cultivar_models.weights import cache_folder, find_weights, load_causal_model, load_tokenizer

    settings = TeacherSettings()
    torch.set_num_threads(settings.threads)
    loaded = load(settings)
    folder = find_weights(MODEL)
    model, tokenizer = load_causal_model(folder, choose_dtype(cache_folder())), load_tokenizer(folder)
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    peers = {
        f"model.generate, batches of {size}": partial(generate, model, tokenizer, size, lengths, sampling)
        for size in BATCHES
        if size <= ANSWERS
    }
    try:
        yield {"engine": partial(engine, loaded.backend, lengths, sampling), **peers}
    finally:
        loaded.engine.stop()


async def engine(backend: Any, lengths: tuple[int, int], sampling: Mapping[str, float], repeat: int) -> Sample:
    """Lets the engine of the teachers application answer all chats at once."""
    from cultivar_generation.teachers.requests import ChatRequest

    asked = chats(repeat, lengths)
    watch = Stopwatch()
    answers = await asyncio.gather(
        *(
            backend.chat(
                ChatRequest(model=MODEL, messages=said(chat), seed=seed, max_tokens=chat.most, **sampling)  # type: ignore[arg-type]
            )
            for seed, chat in enumerate(asked)
        )
    )
    return watch.sample(sum(answer["usage"]["completion_tokens"] for answer in answers))


async def generate(
    model: Any, tokenizer: Any, size: int, lengths: tuple[int, int], sampling: Mapping[str, float], repeat: int
) -> Sample:
    """Lets transformers answer them in padded batches, each as long as its longest answer."""
    import torch

    torch.manual_seed(repeat)
    asked = chats(repeat, lengths)
    watch = Stopwatch()
    made = sum(batch(model, tokenizer, asked[at : at + size], sampling) for at in range(0, len(asked), size))
    return watch.sample(made)


def batch(model: Any, tokenizer: Any, asked: Sequence[Chat], sampling: Mapping[str, float]) -> int:
    """Answers one batch; returns how many tokens were asked for and given."""
    import torch

    prompts = tokenizer.apply_chat_template(
        [said(chat) for chat in asked], add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    how = {"do_sample": True, "top_k": 0, **sampling} if sampling["temperature"] else {"do_sample": False}
    with torch.inference_mode():
        made = model.generate(**prompts, max_new_tokens=max(chat.most for chat in asked), **how)
    new = made[:, prompts["input_ids"].shape[1] :].tolist()
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    # A side is paid for the tokens of an answer up to its end or its greatest length, and not for those after it.
    return sum(answered(tokens[: chat.most], ends) for tokens, chat in zip(new, asked, strict=True))


def chats(repeat: int, lengths: tuple[int, int]) -> list[Chat]:
    """The chats of one repetition, other ones in each; a story is always longer than it may be."""
    texts = [json.loads(line)["text"] for line in SEEDS.read_text().splitlines()]
    random = Random(repeat)
    drawn = random.sample(texts, ANSWERS)
    return [
        Chat(f"Write a long story that begins with this message: {text}", random.randint(*lengths)) for text in drawn
    ]


def said(chat: Chat) -> list[dict[str, str]]:
    """The messages of a chat."""
    return [{"role": "user", "content": chat.question}]


def answered(tokens: list[int], ends: list[int]) -> int:
    """Counts the tokens of an answer up to its end, without the padding after it."""
    return next((place + 1 for place, token in enumerate(tokens) if token in ends), len(tokens))


COMPARISONS = tuple(
    Comparison(name, question, "tokens", "engine", partial(sides, lengths, sampling))
    for name, question, lengths, sampling in (
        (
            "teachers",
            f"Does the engine write {ANSWERS} answers of {NEW_TOKENS} tokens as fast as model.generate?",
            (NEW_TOKENS, NEW_TOKENS),
            GREEDY,
        ),
        (
            "teachers_of_many_lengths",
            f"And answers of 1 to {LONGEST} tokens, each of its own length?",
            (1, LONGEST),
            GREEDY,
        ),
        (
            "teachers_that_sample",
            f"And answers of {NEW_TOKENS} tokens that are drawn, with temperature 0.8 and top_p 0.95?",
            (NEW_TOKENS, NEW_TOKENS),
            SAMPLED,
        ),
    )
)
