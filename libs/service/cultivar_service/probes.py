"""What a cluster probes, which speaks no TLS: the health of a process, and nothing else, on a port of its own."""

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

# Serving for as long as the process answers at all, whatever it depends on.
LIVE = "live"


class Probes:
    """Serves health without TLS and without a token."""

    def __init__(self, servicer: health.aio.HealthServicer, address: str) -> None:
        """Takes the port; raises RuntimeError where it is in use."""
        self._servicer = servicer
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        self.port = self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Begins to answer: alive, and not ready until the servicer hears so."""
        await self._servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._servicer.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()

    async def stop(self) -> None:
        """Ends at once."""
        await self._server.stop(None)
