"""Prometheus metrics of every service, served at /metrics."""

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter("cultivar_calls_total", "gRPC calls by method and status.", ["method", "code"])
CALL_SECONDS = Histogram("cultivar_call_seconds", "Seconds of a gRPC call, streams to their end.", ["method"])
RUNS = Counter("cultivar_runs_total", "Runs that ended, by kind and state.", ["kind", "state"])
RUNS_HELD = Gauge("cultivar_runs_held", "Runs that this process works on now, by kind.", ["kind"])
