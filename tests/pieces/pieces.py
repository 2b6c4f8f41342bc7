"""Every service as processes of its own: two replicas each, own role and schema, TLS, S3, OIDC, and a fake teacher."""

import asyncio
import itertools
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import trustme
from cultivar.cli.audit import SERVICES
from cultivar.client import Client
from cultivar.connection import Connection
from cultivar_service.peers import open_channel
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.issuer import AUDIENCE, RealIssuer

TLS_NAME = "cultivar.test"
PERSON = "ada"
START_SECONDS = 180.0
LOOK_SECONDS = 0.5
STOP_SECONDS = 30.0


PORTS = itertools.count(20_000 + os.getpid() % 8_000)


def kept_port() -> int:
    """Returns a port that the system gives to nobody, so that it is still free when its process starts again."""
    for port in PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is always another port")


@dataclass
class Replica:
    """One process of one service, to be killed and started again on the same port."""

    service: str
    folder: Path
    environment: dict[str, str]
    port: int = field(default_factory=kept_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Starts it; `until_ready` waits for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        own = {"CULTIVAR_PORT": str(self.port), "CULTIVAR_DATASETS_SPOOL": str(self.folder / "spool")}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"cultivar_{self.service}"),
            stderr=(self.folder / "log").open("ab"),
            stdout=asyncio.subprocess.DEVNULL,
            env={**self.environment, **own},
        )

    async def until_ready(self, ca: bytes) -> None:
        """Waits until it says SERVING."""
        async with asyncio.timeout(START_SECONDS):
            while not await self.serves(ca):
                assert self.process is not None
                assert self.process.returncode is None, self.last_words()
                await asyncio.sleep(LOOK_SECONDS)

    async def serves(self, ca: bytes) -> bool:
        """Tells whether its health is SERVING."""
        options = [("grpc.ssl_target_name_override", TLS_NAME)]
        async with grpc.aio.secure_channel(self.address, grpc.ssl_channel_credentials(ca), options) as channel:
            try:
                stub = health_pb2_grpc.HealthStub(channel)
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
            except grpc.aio.AioRpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def last_words(self) -> str:
        """What its log says last."""
        return (self.folder / "log").read_text()[-3000:]

    async def kill(self) -> None:
        """Kills it as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """Asks it to end, and returns its status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), STOP_SECONDS)


class Pieces:
    """All processes, and how clients reach them."""

    def __init__(
        self, folder: Path, environment: dict[str, str], database_url: str, issuer: RealIssuer, replicas: int = 2
    ) -> None:
        self.folder = folder
        self.token = token_of_person(issuer)
        self.ca = make_certificates(folder)
        clients = {service: f"cultivar-{service}" for service in SERVICES}
        for client in clients.values():
            issuer.add_client(client)
        common = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ},
            "CULTIVAR_METRICS_PORT": "0",
            "CULTIVAR_CONSOLE_PORT": "0",
            "CULTIVAR_OIDC_ISSUER": issuer.url,
            "CULTIVAR_OIDC_AUDIENCE": AUDIENCE,
            "CULTIVAR_OIDC_SERVICES": ",".join(clients.values()),
            "CULTIVAR_OIDC_CLIENT_SECRET": issuer.secret,
            "CULTIVAR_TLS_CERTIFICATE": str(folder / "certificate.pem"),
            "CULTIVAR_TLS_KEY": str(folder / "key.pem"),
            "CULTIVAR_TLS_CA": str(folder / "ca.pem"),
            "CULTIVAR_TLS_NAME": TLS_NAME,
            "CULTIVAR_LEASE_SECONDS": "2",
            "CULTIVAR_TRAINING_LAUNCHER": "fake",
            "CULTIVAR_TRAINING_FOLDER": str(folder / "training"),
            **environment,
        }
        self.replicas = [
            Replica(
                service,
                folder / f"{service}-{number}",
                {
                    **common,
                    "CULTIVAR_DATABASE_URL": database_url.replace("//postgres:", f"//cultivar_{service}:"),
                    "CULTIVAR_OIDC_CLIENT_ID": clients[service],
                },
            )
            for service in SERVICES
            for number in range(replicas)
        ]
        for replica in self.replicas:
            replica.environment["CULTIVAR_PEERS"] = self.addresses

    @property
    def addresses(self) -> str:
        """Where every service is, as CULTIVAR_PEERS and CULTIVAR_ADDRESS have it."""
        return " ".join(f"{service}=ipv4:{','.join(each.address for each in self.of(service))}" for service in SERVICES)

    def of(self, service: str) -> list[Replica]:
        """The replicas of a service."""
        return [each for each in self.replicas if each.service == service]

    async def start(self) -> None:
        """Starts all of them, and waits until each serves."""
        await asyncio.gather(*(each.start() for each in self.replicas))
        await asyncio.gather(*(each.until_ready(self.ca) for each in self.replicas))

    async def stop(self) -> list[int]:
        """Asks all of them to end; returns their statuses."""
        return list(await asyncio.gather(*(each.stop() for each in self.replicas)))

    def channel(self) -> grpc.aio.Channel:
        """Opens what reaches all services."""
        return open_channel(self.addresses, self.token, tls_ca=str(self.folder / "ca.pem"), tls_name=TLS_NAME)

    def client(self) -> Client:
        """Opens the Python client of all services."""
        return Client(Connection(self.addresses, self.token, tls_ca=str(self.folder / "ca.pem"), tls_name=TLS_NAME))


def token_of_person(issuer: RealIssuer) -> str:
    """Returns the token of an engineer of the project, asked for with their password."""
    issuer.add_client("people")
    issuer.add_person(PERSON, "cultivar:default:engineer")
    return issuer.token_of(PERSON, "people")


def make_certificates(folder: Path) -> bytes:
    """Writes a CA, and a certificate of it with its key; returns the CA's certificate."""
    authority = trustme.CA()
    issued = authority.issue_cert(TLS_NAME)
    (folder / "certificate.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return bytes(authority.cert_pem.bytes())
