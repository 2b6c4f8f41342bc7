"""How a client reaches a server: retries by service config, limits, and the token on each call."""

import json
from typing import Any

import grpc

RETRIES = {
    "methodConfig": [
        {
            # Only UNAVAILABLE: the call did not take effect, or has a request_id that makes it repeatable.
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "3s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.service_config", json.dumps(RETRIES)),
    ("grpc.enable_retries", 1),
    ("grpc.max_receive_message_length", 8 << 20),
]


def credentials(token: str) -> grpc.ChannelCredentials:
    """Returns credentials of a local channel (loopback only) that send a bearer token with each call."""
    return grpc.composite_channel_credentials(
        grpc.local_channel_credentials(grpc.LocalConnectionType.LOCAL_TCP), grpc.access_token_call_credentials(token)
    )
