"""Loads the models of one replica and puts the parts together."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from cultivar_artifacts import S3Settings, open_store
from cultivar_artifacts.store import ArtifactStore
from cultivar_models.processor import choose_dtype
from cultivar_models.weights import (
    WeightsUnavailable,
    cache_folder,
    find_weights,
    load_causal_model,
    load_encoder,
    load_tokenizer,
)

from cultivar_generation.teachers.adapter_shelf import AdapterShelf
from cultivar_generation.teachers.adapters import AdapterSwitch
from cultivar_generation.teachers.alias_book import AliasBook
from cultivar_generation.teachers.allowance import Allowance
from cultivar_generation.teachers.backend import Backend
from cultivar_generation.teachers.decoder import Decoder, require_supported
from cultivar_generation.teachers.embedding_lane import Embedder, EmbeddingLane
from cultivar_generation.teachers.engine import Engine, Lane, LaneKey, QueueLimits
from cultivar_generation.teachers.forms import Forms
from cultivar_generation.teachers.generation_lane import GenerationLane, Limits
from cultivar_generation.teachers.origins import find_model
from cultivar_generation.teachers.scoring_lane import ScoringLane
from cultivar_generation.teachers.settings import TeacherSettings
from cultivar_generation.teachers.tokens import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SENTENCE_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Loaded:
    """A running engine and the backend in front of it."""

    engine: Engine
    backend: Backend


def load(settings: TeacherSettings) -> Loaded:
    """Loads the text model, starts the engine, and makes the backend; the embedding model is loaded at its first use.

    Raises `WeightsUnavailable`, `WeightsUnsafe`, `UnsupportedModel`.
    """
    torch.set_num_threads(settings.threads)
    model, decoder, tokens, forms = _text_model(settings)
    limits = Limits(settings.rows, settings.row_tokens, settings.run_tokens)
    allowance = Allowance(limits.row_tokens)
    switch = AdapterSwitch(model)

    def make_lane(key: LaneKey) -> Lane:
        if key[0] == "generate":
            return GenerationLane(decoder, tokens, limits, allowance)
        return ScoringLane(decoder, limits) if key[0] == "score" else EmbeddingLane(lambda: _embedder(settings))

    engine = Engine(
        make_lane,
        switch.activate,
        QueueLimits(settings.queue_pieces, settings.queue_tokens),
        # The number of threads is kept for each thread that starts computations.
        begin=lambda: torch.set_num_threads(settings.threads),
    )
    shelf = AdapterShelf(engine, switch, lambda: _store(settings), settings.adapters)
    aliases = AliasBook(lambda: _store(settings), settings.served_name, settings.alias_seconds)
    context = min(settings.context, decoder.context, settings.row_tokens)
    backend = Backend(engine, shelf, aliases, tokens, forms, settings.served_name, settings.embedding_model, context)
    engine.start()
    return Loaded(engine, backend)


def _text_model(settings: TeacherSettings) -> "tuple[PreTrainedModel, Decoder, Tokens, Forms]":
    cuda = torch.cuda.is_available()
    safe = choose_dtype(_cache(settings))
    dtype = settings.dtype if settings.dtype != "auto" else "bfloat16" if cuda else safe
    folder = find_model(settings.model, _cache(settings), lambda: _s3_settings(settings))
    model: Any = load_causal_model(folder, dtype)
    if cuda:
        model = model.to("cuda")
    decoder = Decoder(model)
    require_supported(decoder)
    tokenizer = load_tokenizer(folder)
    tokens = Tokens(tokenizer, _ends(model))
    return model, decoder, tokens, Forms(tokenizer, tokens.ends)


def _cache(settings: TeacherSettings) -> Path:
    return Path(settings.cache) if settings.cache else cache_folder()


def _ends(model: Any) -> list[int]:
    """Lists the tokens that end an answer."""
    ends = model.generation_config.eos_token_id
    return list(ends) if isinstance(ends, list | tuple) else [] if ends is None else [ends]


def _embedder(settings: TeacherSettings) -> Embedder:
    folder = find_weights(settings.embedding_model, _cache(settings))
    if not (folder / "1_Pooling").is_dir() and settings.embedding_model not in ("", "all-minilm-l6-v2"):
        raise WeightsUnavailable(f"{settings.embedding_model} is no sentence encoder that pools by the mean")
    model: Any = load_encoder(folder)
    return Embedder(model.to("cuda") if torch.cuda.is_available() else model, load_tokenizer(folder), _SENTENCE_TOKENS)


def _store(settings: TeacherSettings) -> ArtifactStore | None:
    return open_store(settings.artifacts, _s3_settings(settings)) if settings.artifacts else None


def _s3_settings(settings: TeacherSettings) -> S3Settings | None:
    """Reads the S3 store's keys from a file or the replica's environment: Ray keeps what it is told in its tables."""
    if settings.s3_file:
        return S3Settings(**json.loads(Path(settings.s3_file).read_bytes()))
    endpoint = os.environ.get("CULTIVAR_S3_ENDPOINT")
    if not endpoint:
        return None
    return S3Settings(
        endpoint,
        os.environ.get("CULTIVAR_S3_ACCESS_KEY", ""),
        os.environ.get("CULTIVAR_S3_SECRET_KEY", ""),
        tls=os.environ.get("CULTIVAR_S3_TLS", "true").lower() not in ("0", "false", "no", "off"),
    )
