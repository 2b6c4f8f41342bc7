"""How services reach each other: a channel for each address, for the life of the process."""

from functools import partial
from typing import Any, cast

import grpc
from cultivar.channel import Routes
from cultivar.connection import Connection

from cultivar_service.tokens import Tokens, bearers


class PeerRoutes(Routes):
    """Reaches each service at its own address; stubs take it for one channel of asyncio."""

    async def close(self, grace: float | None = None) -> None:  # type: ignore[override]
        """Closes every channel."""
        for channel in self.opened:
            await channel.close(grace)


def open_channel(
    address: str, token: str, tokens: Tokens | None = None, *, tls_ca: str = "", tls_name: str = ""
) -> grpc.aio.Channel:
    """Opens what reaches the services at an address (or several, see `addresses_of`), with the token on each call.

    `tokens`, where given, is asked for the token of each call instead.
    """
    connection = Connection(address, "" if tokens else token, tls_ca=tls_ca, tls_name=tls_name)
    secure: Any = partial(grpc.aio.secure_channel, interceptors=bearers(tokens)) if tokens else grpc.aio.secure_channel
    return cast(grpc.aio.Channel, PeerRoutes(connection, secure))
