"""What the client raises, and what a failed call says, for people."""

import grpc


class NotConnected(Exception):
    """No server is known, or nobody is signed in there; the message says what to do."""


def explain(error: grpc.RpcError) -> str:
    """Returns the sentence of a failed call: the server's own, or what to do when there was no server."""
    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    details = (error.details() if isinstance(error, grpc.Call) else None) or str(error)
    if code is grpc.StatusCode.UNAVAILABLE and "connect" in details.lower():
        return "the server does not answer: start it with `cultivar up`, or check CULTIVAR_ADDRESS"
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return details.replace("sign in again", "sign in again with `cultivar login`")
    return details
