"""The bodies of requests, as the OpenAI protocol has them; what is not supported is refused, never passed over."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cultivar_generation.teachers.errors import BadRequest

MOST_PROMPTS = 256
MOST_CHOICES = 64
MOST_TEXTS = 2_048

Text = Annotated[str, Field(max_length=200_000)]
TokenIds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=200_000)]
StopText = Annotated[str, Field(min_length=1, max_length=256)]
R = TypeVar("R", bound=BaseModel)

_FORMS = {
    "prompt": f"give a text, tokens, or a list of up to {MOST_PROMPTS} of either, none of them empty",
    "stop": "give a text of up to 256 characters, or up to 16 of them, none of them empty",
    "input": f"give a text, its tokens, or a list of up to {MOST_TEXTS} of either, none of them without tokens",
    "response_format": "give type text, json_object, or json_schema with json_schema: {name, schema}",
}
"""What to say of fields that can have several forms: pydantic would tell what each of them misses."""


Nothing = Annotated[list[Any], Field(max_length=0)] | None
NoEntries = Annotated[dict[str, Any], Field(max_length=0)] | None


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)

    model: Annotated[str, Field(max_length=256)]
    user: str | None = None


class StreamOptions(BaseModel):
    """What a streamed answer is to tell besides."""

    model_config = ConfigDict(extra="forbid")

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class _Sampled(_Request):
    """What chats and completions have in common."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] = 1
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=16)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    logit_bias: NoEntries = None

    @property
    def likeliest(self) -> int:
        """How many likeliest tokens are drawn from; 0 for all."""
        return max(self.top_k or 0, 0)

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def tells_usage(self) -> bool:
        """Whether a streamed answer is to end with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @model_validator(mode="after")
    def _options_need_a_stream(self) -> "_Sampled":
        if self.stream_options and not self.stream:
            raise ValueError("stream_options needs stream: true")
        return self

    @field_validator("temperature", "top_p", "n", mode="before")
    @classmethod
    def _default_for_null(cls, value: object) -> object:
        return 1 if value is None else value


class ChatMessage(BaseModel):
    """One message of a conversation; a list of text parts is joined."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: Text
    name: str | None = None
    refusal: None = None
    annotations: Nothing = None
    audio: None = None
    tool_calls: Nothing = None
    function_call: None = None

    @field_validator("role")
    @classmethod
    def _developers_are_the_system(cls, role: str) -> str:
        return "system" if role == "developer" else role

    @field_validator("content", mode="before")
    @classmethod
    def _join_parts(cls, value: object) -> object:
        if not isinstance(value, list):
            return value
        parts = [part["text"] for part in value if isinstance(part, dict) and part.keys() == {"type", "text"}]
        if len(parts) < len(value) or not all(isinstance(part, str) for part in parts):
            raise ValueError("only parts of type text are supported")
        return "".join(map(str, parts))


class PlainFormat(BaseModel):
    """Answers in any form."""

    type: Literal["text"]

    @property
    def held_to(self) -> None:
        """No schema."""
        return None


class ObjectFormat(BaseModel):
    """Answers that are some JSON object."""

    type: Literal["json_object"]

    @property
    def held_to(self) -> dict[str, Any]:
        """The schema of any object."""
        return {"type": "object"}


class NamedSchema(BaseModel):
    """A JSON schema; answers are held to it whether `strict` is said or not."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=64)]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class SchemaFormat(BaseModel):
    """Answers that are JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema

    @property
    def held_to(self) -> dict[str, Any]:
        """The schema."""
        return self.json_schema.schema_


Format = Annotated[PlainFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


class Unasked(BaseModel):
    """What clients name of the protocol without asking for it; any other value asks for what there is not."""

    store: Literal[False] | None = None
    metadata: NoEntries = None
    tools: Nothing = None
    tool_choice: Literal["none"] | None = None
    parallel_tool_calls: None = None
    functions: Nothing = None
    function_call: Literal["none"] | None = None
    reasoning_effort: None = None
    service_tier: Literal["auto"] | None = None
    prediction: None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = None
    audio: None = None


_FORMS.update((name, "what it asks for is not supported; leave it out") for name in Unasked.model_fields)


class ChatRequest(_Sampled, Unasked):
    """A body of /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=256)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: Format | None = None

    @property
    def most_tokens(self) -> int | None:
        """The most tokens of an answer, if the request says."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """The JSON schema that the answer is held to, if it is."""
        return self.response_format.held_to if self.response_format else None

    @property
    def top(self) -> int | None:
        """How many likeliest tokens to report in each place; None: no log-probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @model_validator(mode="after")
    def _logprobs_agree(self) -> "ChatRequest":
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self


class CompletionRequest(_Sampled):
    """A body of /v1/completions."""

    prompt: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MOST_PROMPTS)]
        | TokenIds
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MOST_PROMPTS)]
    )
    max_tokens: Annotated[int, Field(ge=0)] = 16
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: int | None = None
    suffix: Annotated[str, Field(max_length=0)] | None = None

    @field_validator("max_tokens", mode="before")
    @classmethod
    def _sixteen_for_null(cls, value: object) -> object:
        return 16 if value is None else value

    @field_validator("echo", mode="before")
    @classmethod
    def _no_echo_for_null(cls, value: object) -> object:
        return False if value is None else value

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts, as texts or as tokens."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt

    @model_validator(mode="after")
    def _is_possible(self) -> "CompletionRequest":
        if self.stream and self.echo:
            raise ValueError("echo cannot be streamed: leave stream out, or echo")
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens 0 needs echo: true")
        if self.best_of not in (None, self.n):
            raise ValueError("best_of must be left out or be n")
        if len(self.prompts) * self.n > MOST_PROMPTS:
            raise ValueError(f"prompts times n must be at most {MOST_PROMPTS}")
        return self


class EmbeddingRequest(_Request):
    """A body of /v1/embeddings."""

    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
        | TokenIds
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MOST_TEXTS)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: None = None

    @property
    def texts(self) -> list[str] | list[list[int]]:
        """The texts to embed, or their tokens, which are the embedding model's own and are taken as they are."""
        if isinstance(self.input, str):
            return [self.input]
        if isinstance(self.input[0], int):
            return [self.input]
        return self.input


def read_body(kind: type[R], body: bytes) -> R:
    """Reads a JSON body; raises `BadRequest` naming the first wrong field, never its value."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(map(str, wrong["loc"]))
        if wrong["loc"] and wrong["loc"][0] in _FORMS:
            field = str(wrong["loc"][0])
            wrong["msg"] = _FORMS[field]
        raise BadRequest(f"{field or 'the body'} is wrong: {wrong['msg']}", "invalid_value", field or None) from None
