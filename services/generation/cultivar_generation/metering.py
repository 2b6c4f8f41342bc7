"""What the calls of teachers come to in the metrics; by the teacher's name, for projects have many runs."""

from cultivar_models import ModelClient, TokenUsage
from cultivar_service.metrics import MODEL_CALLS, MODEL_LIMIT, MODEL_SECONDS, MODEL_TOKENS


def meter(client: ModelClient, teacher: str) -> None:
    """Counts each call that the client of a teacher makes from now on."""

    def told(outcome: str, usage: TokenUsage, seconds: float) -> None:
        MODEL_CALLS.labels(teacher, outcome).inc()
        MODEL_TOKENS.labels(teacher, "prompt").inc(usage.prompt_tokens)
        MODEL_TOKENS.labels(teacher, "completion").inc(usage.completion_tokens)
        MODEL_SECONDS.labels(teacher).observe(seconds)
        MODEL_LIMIT.labels(teacher).set(client.slots.limit)

    client.told = told
