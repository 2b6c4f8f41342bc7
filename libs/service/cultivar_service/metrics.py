"""Prometheus metrics of every service, served at /metrics."""

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter("cultivar_calls_total", "gRPC calls by method and status.", ["method", "code"])
CALL_SECONDS = Histogram("cultivar_call_seconds", "Seconds of a gRPC call, streams to their end.", ["method"])
MODEL_CALLS = Counter(
    "cultivar_model_calls_total",
    "Calls of models by teacher and outcome: answered, refused, failed.",
    ["teacher", "outcome"],
)
MODEL_TOKENS = Counter(
    "cultivar_model_tokens_total", "Tokens that models read (prompt) and wrote (completion).", ["teacher", "kind"]
)
MODEL_SECONDS = Histogram(
    "cultivar_model_call_seconds",
    "Seconds of a call of a model, with all tries and what it waited in line.",
    ["teacher"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 600),
)
MODEL_LIMIT = Gauge(
    "cultivar_model_calls_limit", "Calls that may be under way now, of the run that called last.", ["teacher"]
)
RUNS = Counter("cultivar_runs_total", "Runs that ended, by kind and state.", ["kind", "state"])
RUNS_HELD = Gauge("cultivar_runs_held", "Runs that this process works on now, by kind.", ["kind"])
