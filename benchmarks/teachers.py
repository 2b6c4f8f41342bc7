"""The teachers' engine against `model.generate` on the same prompts: tokens a second, with 64 answers under way."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.comparison import Comparison, Sample, Side, Stopwatch

SEEDS = Path(__file__).parents[1] / "examples" / "support" / "seeds.jsonl"
MODEL = "smollm2-135m-instruct"
IN_FLIGHT = 64
NEW_TOKENS = 48
SAMPLING = {"temperature": 0.8, "top_p": 0.95}


@asynccontextmanager
async def sides() -> AsyncIterator[Mapping[str, Side]]:
    """Loads the model once for each side: the engine changes its own as it works."""
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
    try:
        yield {"engine": partial(engine, loaded.backend), "model.generate": partial(generate, model, tokenizer)}
    finally:
        loaded.engine.stop()


async def engine(backend: Any, repeat: int) -> Sample:
    """Lets the engine of the teachers application answer all chats at once."""
    from cultivar_generation.teachers.requests import ChatRequest

    watch = Stopwatch()
    answers = await asyncio.gather(
        *(
            backend.chat(ChatRequest(model=MODEL, messages=asked, seed=seed, max_tokens=NEW_TOKENS, **SAMPLING))
            for seed, asked in enumerate(conversations(repeat))
        )
    )
    return watch.sample(sum(answer["usage"]["completion_tokens"] for answer in answers))


async def generate(model: Any, tokenizer: Any, repeat: int) -> Sample:
    """Lets transformers answer them as one padded batch."""
    import torch

    # Answers end where the model ends them; a side is paid for the tokens that it really gave.
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    torch.manual_seed(repeat)
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    watch = Stopwatch()
    prompts = tokenizer.apply_chat_template(
        conversations(repeat), add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        made = model.generate(**prompts, max_new_tokens=NEW_TOKENS, do_sample=True, top_k=0, **SAMPLING)
    new = made[:, prompts["input_ids"].shape[1] :].tolist()
    return watch.sample(sum(answered(tokens, ends) for tokens in new))


def conversations(repeat: int) -> list[list[dict[str, str]]]:
    """The prompts of one repetition, other ones in each."""
    texts = [json.loads(line)["text"] for line in SEEDS.read_text().splitlines()]
    drawn = Random(repeat).sample(texts, IN_FLIGHT)
    return [[{"role": "user", "content": f"Rewrite this message in different words: {text}"}] for text in drawn]


def answered(tokens: list[int], ends: list[int]) -> int:
    """Counts the tokens of an answer up to its end, without the padding after it."""
    return next((place + 1 for place, token in enumerate(tokens) if token in ends), len(tokens))


COMPARISON = Comparison(
    name="teachers",
    question=f"Does the engine write as fast as model.generate, with {IN_FLIGHT} answers under way?",
    unit="tokens",
    ours="engine",
    sides=sides,
)
