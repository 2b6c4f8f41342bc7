"""What a model call says: where it goes, how the model shall choose its words, what came back and what it cost."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_WHOLE = ("", "stop", "eos", "eos_token", "stop_sequence", "end_turn")
_SECRET = re.compile(r"key|token|secret|password|signature|^sig$|^code$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Names one model of one OpenAI-compatible server.

    url: `http://` or `https://`, ends before `/chat/completions`, so as a rule with `/v1`; a query that is no secret,
    such as `?api-version=…`, may follow.
    api_key: sent as a bearer token; never shown in a repr, a log or an error. headers: further ones, not shown either.
    proxy: `http://host:port` of the HTTP proxy that stands before it; empty for none. ca_file: the CA that signed its
    certificate, in PEM; empty for the system's.
    fields: what each request has besides, in place of the client's own fields; one that is None is left out.
    Raises ValueError for another scheme, for a user, password or key inside the URL, and for an empty model name.
    """

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    proxy: str = ""
    ca_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                "the endpoint's url must begin with http:// or https:// and name a host, as in http://host/v1"
            )
        if "@" in parts.netloc or parts.fragment or any(_SECRET.search(name) for name, _ in parse_qsl(parts.query)):
            raise ValueError("the endpoint's url must hold no user, password or key; give the key as api_key")
        if not self.model:
            raise ValueError("the endpoint's model is empty; name one that its /models lists")
        object.__setattr__(self, "url", parts._replace(path=parts.path.rstrip("/")).geturl())

    def at(self, path: str) -> str:
        """Returns the URL of one of the protocol's paths, such as `/models`."""
        parts = urlsplit(self.url)
        return parts._replace(path=parts.path + path).geturl()


@dataclass(frozen=True, slots=True)
class Sampling:
    """Says how a model chooses its words.

    temperature: 0 (always the likeliest word) to 2. top_p: above 0, to 1. max_tokens: 1 or more, for each choice.
    stop: the answer ends before the first of these. seed: asks the server to repeat itself; not every server does.
    n: how many choices one call asks for. Raises ValueError outside these ranges.
    """

    temperature: float = 0.7
    top_p: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature is {self.temperature}; give 0 to 2")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; give more than 0, and 1 at most")
        if self.max_tokens < 1 or self.n < 1:
            raise ValueError(f"max_tokens is {self.max_tokens} and n is {self.n}; both must be 1 or more")

    def fields(self) -> dict[str, object]:
        """Returns the request's fields for this sampling, without those that say nothing."""
        fields: dict[str, object] = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
        }
        if self.stop:
            fields["stop"] = list(self.stop)
        if self.seed is not None:
            fields["seed"] = self.seed
        if self.n > 1:
            fields["n"] = self.n
        return fields


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Counts what calls cost; two are added with `+`, and what came after another is found with `-`.

    prompt_tokens, completion_tokens: as the server counted them, else a quarter of the characters. Those of an answer
    from the recorder count again, so that a run that goes on after a kill counts each answer of a range once.
    calls: requests sent. failed_calls: those of them that gave no usable answer. cached_calls: answers that the
    recorder had, for which nothing was sent. uncounted_calls: answers whose tokens the server did not count.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    cached_calls: int = 0
    failed_calls: int = 0
    uncounted_calls: int = 0

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.calls + other.calls,
            self.cached_calls + other.cached_calls,
            self.failed_calls + other.failed_calls,
            self.uncounted_calls + other.uncounted_calls,
        )

    def __sub__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            self.prompt_tokens - other.prompt_tokens,
            self.completion_tokens - other.completion_tokens,
            self.calls - other.calls,
            self.cached_calls - other.cached_calls,
            self.failed_calls - other.failed_calls,
            self.uncounted_calls - other.uncounted_calls,
        )

    def counts(self) -> dict[str, int]:
        """Returns the counts by their names, as the usage of a run has them."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Answer:
    """Holds what a model said to one request.

    finish_reason: `stop`, `length` (cut at max_tokens), or what else the server says; empty where it says nothing.
    more: the further choices when the request asked for several; a server may give fewer than were asked.
    model: what the answer says it is of, which may be more exact than what was asked; empty where it says nothing.
    """

    text: str
    finish_reason: str
    usage: TokenUsage
    more: tuple[str, ...] = ()
    model: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All choices, the first one first."""
        return (self.text, *self.more)

    @property
    def cut(self) -> bool:
        """Whether it ended before the model had said all: at max_tokens, by a content filter, by an error."""
        return self.finish_reason not in _WHOLE


@dataclass(frozen=True, slots=True)
class Score:
    """Holds how likely a model finds a continuation.

    logprob: natural logarithm, the sum over the continuation's tokens, 0 or less.
    tokens: how many were summed; 0 when there was none to score (a text of one token after an empty prefix).
    """

    logprob: float
    tokens: int
