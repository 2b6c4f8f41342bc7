"""The errors of model calls.

ModelError
  ModelUnavailable     the server did not answer, although it was asked again: try later, or repair the server
  ModelRejected        the server refuses this request: the caller must change it
  ModelAnswerInvalid   the server answers, but not what the protocol says, or without a word
"""

from cultivar_models.endpoint import TokenUsage

_ADVICE = {
    400: "check the request: sampling, and whether prompt and max_tokens fit the model's context",
    401: "check the endpoint's api_key",
    402: "check that the account of the endpoint's api_key has money left",
    403: "check the endpoint's api_key and what it may use",
    404: "check the endpoint's url and model; its /models lists what it serves",
    407: "check what the proxy asks for",
    405: "check that the endpoint's url ends where the protocol's paths begin, as in http://host/v1",
    413: "send a shorter prompt or fewer at once",
    422: "check the request: the server does not know one of its fields, or its value",
}

_OF_CALLER = (401, 402, 403, 404, 407)


class ModelError(Exception):
    """Says that a model call gave no answer; `usage` holds what its tries cost."""

    def __init__(self, message: str, usage: TokenUsage | None = None) -> None:
        super().__init__(message)
        self.usage = usage or TokenUsage()


class ModelUnavailable(ModelError):
    """Says that the server gave no answer within the tries and the time allowed; asking later may help."""


class ModelAnswerInvalid(ModelError):
    """Says that the server's answers are not what the protocol promises, after several tries, or have no word."""


class ModelRejected(ModelError):
    """Says that the server refuses the request (HTTP 3xx or 4xx); asking again would not help.

    `of_schema` says that its reason names the JSON schema that was asked for: without it, the server may answer.
    `of_caller` says that it refuses whoever asks, whatever is asked: the key, what it may use, the money, the model.
    """

    def __init__(self, message: str, status: int, usage: TokenUsage | None = None) -> None:
        super().__init__(message, usage)
        self.status = status
        self.of_schema = False

    @property
    def of_caller(self) -> bool:
        """Whether every other request would be refused as well."""
        return self.status in _OF_CALLER


def rejected(url: str, model: str, status: int, code: str, usage: TokenUsage) -> ModelRejected:
    """Makes the error for a refused request.

    code: the server's own short code for the error, or empty; its message is left out, for it may repeat the prompt.
    """
    advice = _ADVICE.get(status, "check the request")
    if 300 <= status < 400:
        advice = "the server has moved; give the endpoint's new url"
    said = f"{status} {code}".rstrip()
    return ModelRejected(f"{url} refused the request for model {model} with {said}: {advice}", status, usage)
