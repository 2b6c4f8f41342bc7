"""Wiring of the identity service: `python -m cultivar_identity` runs it alone."""

from pathlib import Path

from cultivar.identity.v1 import identity_pb2_grpc
from cultivar_service.bindings import SCHEMA
from cultivar_service.parts import Parts, Service
from cultivar_service.serving import main
from cultivar_service.settings import Settings

from cultivar_identity.service import IdentityServicer

MIGRATIONS = Path(__file__).parent / "migrations"


async def build(parts: Parts) -> Service:
    """Builds the service from its parts."""
    database = await parts.database(SCHEMA, MIGRATIONS)
    servicer = IdentityServicer(database, parts.settings, parts.console_url)
    return Service(
        name="identity",
        packages=["cultivar.identity.v1.IdentityService"],
        add=lambda server: identity_pb2_grpc.add_IdentityServiceServicer_to_server(servicer, server),
        database=database,
    )


if __name__ == "__main__":
    main(Settings, build)
