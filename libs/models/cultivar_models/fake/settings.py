"""What the fake teacher can be told: what it serves, how slow it is, and how it fails."""

import hashlib

from pydantic import BaseModel, ConfigDict, Field

FAULTS = ("too_many", "error", "hang", "broken", "empty", "drop", "lie")


class FakeSettings(BaseModel):
    """Says how the fake teacher behaves; each rate is the share of tries, 0 to 1, that end so.

    Which tries fail is drawn from the request's digest and the number of its try: the same at every run of a test.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[str, ...] = Field(
        ("fake-teacher", "smollm2-135m-instruct", "all-minilm-l6-v2"),
        description="The models served; `name:anything` is served as an adapter of `name`.",
    )
    api_key: str = Field("", description="The bearer key that /v1 asks for; empty asks for none.")
    latency_s: float = Field(0.0, ge=0, description="Seconds before each answer.")
    too_many_rate: float = Field(0.0, ge=0, le=1, description="Status 429 with Retry-After.")
    retry_after_s: float = Field(1.0, ge=0, description="The Retry-After of a 429; 0 leaves the header out.")
    error_rate: float = Field(0.0, ge=0, le=1, description="Status 500.")
    hang_rate: float = Field(0.0, ge=0, le=1, description="Silence for hang_s seconds, then the answer.")
    hang_s: float = Field(3600.0, ge=0, description="Seconds of a hang.")
    broken_rate: float = Field(0.0, ge=0, le=1, description="Status 200 with JSON cut in the middle.")
    empty_rate: float = Field(0.0, ge=0, le=1, description="Status 200 with valid JSON that holds no choices.")
    drop_rate: float = Field(0.0, ge=0, le=1, description="The connection closed without an answer.")
    lie_rate: float = Field(0.0, ge=0, le=1, description="Status 200 with a text that is not what was asked for.")
    structured_output: str = Field(
        "follow",
        pattern="^(follow|ignore|refuse|reject)$",
        description="What becomes of a response_format: it is followed, ignored, or answered with status 400, which "
        "names it (refuse) or does not (reject).",
    )
    completions: bool = Field(True, description="Whether /completions is served besides chats.")
    counts_tokens: bool = Field(True, description="Whether answers say their usage.")
    thinks: str = Field(
        "",
        pattern="^(|closed|endless)$",
        description="Whether a chat's answer begins with thoughts between tags, and whether it comes to their end.",
    )
    refused_fields: tuple[str, ...] = Field((), description="Fields of requests that are answered with status 400.")
    needed_header: str = Field("", description="A header, as `name: value`, without which status 401 is answered.")
    longest_embedded: int = Field(
        0, ge=0, description="A text of more characters is not embedded, but refused with status 400; 0 is no bound."
    )
    fail_first: int = Field(0, ge=0, description="How many tries of every request fail, before the rates are drawn.")
    fail_first_as: str = Field("error", pattern=f"^({'|'.join(FAULTS)})$", description="How those fail.")
    failing_word: str = Field("", description="Every try of a request that holds this text fails; empty is none.")
    failing_word_as: str = Field("error", pattern=f"^({'|'.join(FAULTS)})$", description="How those fail.")
    most_in_flight: int = Field(0, ge=0, description="More requests at once than this get a 429; 0 is no bound.")

    def fault(self, digest: str, nth: int, payload: bytes = b"") -> str:
        """Returns how the nth try (from 1) of a request ends: a name out of FAULTS, or empty for a good answer."""
        if self.failing_word and self.failing_word.encode() in payload:
            return self.failing_word_as
        if nth <= self.fail_first:
            return self.fail_first_as
        drawn = int.from_bytes(hashlib.sha256(f"{digest}/{nth}".encode()).digest()[:4], "big") / 2**32
        for name in FAULTS:
            drawn -= getattr(self, f"{name}_rate")
            if drawn < 0:
                return name
        return ""
