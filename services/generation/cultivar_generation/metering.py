"""What the calls of teachers come to in the metrics; by the teacher's name, for projects have many runs."""

from cultivar_models import ModelClient, TokenUsage
from cultivar_service.metrics import MODEL_CALLS, MODEL_LIMIT, MODEL_SECONDS, MODEL_TOKENS


def meter(client: ModelClient, teacher: str) -> None:
    """Counts each call that the client of a teacher makes from now on."""
    # Found once: to find a metric by its labels takes longer than to count.
    calls = {outcome: MODEL_CALLS.labels(teacher, outcome) for outcome in ("answered", "refused", "failed")}
    prompt, completion = (MODEL_TOKENS.labels(teacher, kind) for kind in ("prompt", "completion"))
    took, limit = MODEL_SECONDS.labels(teacher), MODEL_LIMIT.labels(teacher)

    def told(outcome: str, usage: TokenUsage, seconds: float) -> None:
        calls[outcome].inc()
        prompt.inc(usage.prompt_tokens)
        completion.inc(usage.completion_tokens)
        took.observe(seconds)
        limit.set(client.slots.limit)

    client.told = told
