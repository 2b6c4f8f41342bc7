"""How services reach each other: one channel for each address, for the life of the process."""

import grpc
from cultivar.channel import OPTIONS, credentials


def open_channel(address: str, token: str) -> grpc.aio.Channel:
    """Opens a channel that sends the token with each call and retries what was UNAVAILABLE."""
    return grpc.aio.secure_channel(address, credentials(token), options=OPTIONS)
