"""Keeps a port of Ray Serve's replicas off the network.

Every replica opens a gRPC server for calls between deployments, on all interfaces, without a token, and unpickles what
it is sent (`ray.serve._private.replica`, Ray 2.60). Calls go that way only when RAY_SERVE_USE_GRPC_BY_DEFAULT or
RAY_SERVE_PROXY_USE_GRPC is 1, which nothing here sets; otherwise they go through actors, which do ask for the token.
"""

import os
from typing import Any

_SWITCHES = ("RAY_SERVE_USE_GRPC_BY_DEFAULT", "RAY_SERVE_PROXY_USE_GRPC")


def close_replica_port() -> None:
    """Makes the replica in this process open its gRPC server on 127.0.0.1; call it while the replica is made.

    Raises RuntimeError if this version of Ray opens the server in another way, so that an upgrade cannot reopen it.
    """
    if any(os.environ.get(switch) == "1" for switch in _SWITCHES):
        return
    from ray.serve._private import replica

    opened = getattr(replica, "add_port_to_grpc_server", None)
    if opened is None:
        raise RuntimeError("this version of Ray Serve opens its replica port in a new way: adapt loopback.py to it")

    def on_loopback(server: Any, address: str) -> int:
        port: int = opened(server, address.replace("[::]:", "127.0.0.1:").replace("0.0.0.0:", "127.0.0.1:"))
        return port

    replica.add_port_to_grpc_server = on_loopback
