"""The client for chat, completion and embedding endpoints, with retries, recorded answers and counted usage."""

from cultivar_models.client import ModelClient
from cultivar_models.endpoint import Answer, Endpoint, Sampling, Score, TokenUsage
from cultivar_models.errors import ModelAnswerInvalid, ModelError, ModelRejected, ModelUnavailable
from cultivar_models.line import Line, Lines
from cultivar_models.recorder import MemoryRecorder, Recorder
from cultivar_models.retry import RetryPolicy

__all__ = [
    "Answer",
    "Endpoint",
    "Line",
    "Lines",
    "MemoryRecorder",
    "ModelAnswerInvalid",
    "ModelClient",
    "ModelError",
    "ModelRejected",
    "ModelUnavailable",
    "Recorder",
    "RetryPolicy",
    "Sampling",
    "Score",
    "TokenUsage",
]
