"""The errors of the teachers, as the OpenAI protocol says them.

TeacherError                 status, kind and code of the answer; the message says what to do and never repeats a text
      BadRequest       400   a field is wrong, or asks for what is not supported
      BadKey           401   no key, or a wrong one
      UnknownModel     404   a model that is not served, or a path that is none
      TooLarge         413   a body or a batch above the bounds
      Overloaded       429   the queue is full: `Retry-After` says when to come back
      EngineFailed     500   the engine failed
      StoreDown        503   the artifact store does not answer
"""


class TeacherError(Exception):
    """Says why a request is not answered."""

    status = 500
    kind = "server_error"

    def __init__(self, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.retry_after_s: int | None = None

    def body(self) -> dict[str, object]:
        """Gives the body of the answer."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}


class BadRequest(TeacherError):
    """Refuses a request that the caller must change."""

    status = 400
    kind = "invalid_request_error"


class BadKey(TeacherError):
    """Refuses a request without the right key."""

    status = 401
    kind = "authentication_error"

    def __init__(self) -> None:
        super().__init__("the bearer key is missing or wrong: send Authorization: Bearer KEY", "invalid_api_key")


class UnknownModel(TeacherError):
    """Says that a model is not served here."""

    status = 404
    kind = "invalid_request_error"

    def __init__(self, message: str) -> None:
        super().__init__(message, "model_not_found", "model")


class UnknownPath(TeacherError):
    """Says that there is nothing under a path, or not with this method."""

    status = 404
    kind = "invalid_request_error"


class TooLarge(TeacherError):
    """Refuses a request above the bounds of one request."""

    status = 413
    kind = "invalid_request_error"


class Overloaded(TeacherError):
    """Says that too much is queued; asking again after `retry_after_s` seconds helps."""

    status = 429
    kind = "rate_limit_error"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too much is queued here: ask again after the seconds of Retry-After", "queue_full")
        self.retry_after_s = retry_after_s


class EngineFailed(TeacherError):
    """Says that the engine failed while it worked on a request."""

    def __init__(self) -> None:
        super().__init__("the engine failed on this request: ask again, or see the teachers' log", "engine_failed")


class StoreDown(TeacherError):
    """Says that an adapter, or what an alias names, cannot be fetched for now."""

    status = 503

    def __init__(self) -> None:
        super().__init__(
            "the artifact store does not answer: adapters and aliases cannot be read, ask again", "store_down"
        )
        self.retry_after_s = 5
