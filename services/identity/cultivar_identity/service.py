"""The identity servicer."""

import secrets
from collections.abc import Callable
from typing import Any

import grpc
from cultivar.audit.v1 import audit_pb2
from cultivar.identity.v1 import identity_pb2 as pb
from cultivar.identity.v1 import identity_pb2_grpc as pb_grpc
from cultivar_service.audit_codec import encode_report
from cultivar_service.bindings import role_binding
from cultivar_service.database import Database
from cultivar_service.idempotency import once
from cultivar_service.names import project_of, split_name
from cultivar_service.paging import page_size
from cultivar_service.principal import current_principal
from cultivar_service.settings import Settings
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_identity import codec, store
from cultivar_identity.store import BINDINGS, INVITATIONS

Context = grpc.aio.ServicerContext[Any, Any]


class IdentityServicer(pb_grpc.IdentityServiceServicer):
    """Decodes a request, calls, and encodes the answer."""

    def __init__(self, database: Database, settings: Settings, console_url: Callable[[], str]) -> None:
        self._database = database
        self._settings = settings
        self._console_url = console_url

    async def GetSignIn(self, request: pb.GetSignInRequest, context: Context) -> pb.SignIn:
        """Tells where to sign in."""
        return codec.encode_sign_in(self._settings)

    async def WhoAmI(self, request: pb.WhoAmIRequest, context: Context) -> pb.Principal:
        """Tells who calls."""
        return codec.encode_principal(current_principal.get())

    async def CreateRoleBinding(self, request: pb.CreateRoleBindingRequest, context: Context) -> pb.RoleBinding:
        """Creates a role binding."""
        project, by = project_of(request.parent, "parent"), current_principal.get()
        principal, role = codec.decode_binding(request.role_binding)

        async def effect(connection: AsyncConnection) -> pb.RoleBinding:
            return codec.encode_binding(await store.create_binding(connection, by, project, principal, role))

        return await once(self._database, request, pb.RoleBinding, effect)

    async def ListRoleBindings(
        self, request: pb.ListRoleBindingsRequest, context: Context
    ) -> pb.ListRoleBindingsResponse:
        """Lists role bindings."""
        project, size = project_of(request.parent, "parent"), page_size(request.page_size)
        async with self._database.begin() as connection:
            page = await store.page_of(connection, role_binding, BINDINGS, project, size, request.page_token)
        bindings = [codec.encode_binding(row) for row in page.items]
        return pb.ListRoleBindingsResponse(role_bindings=bindings, next_page_token=page.next_page_token)

    async def DeleteRoleBinding(self, request: pb.DeleteRoleBindingRequest, context: Context) -> pb.RoleBinding:
        """Deletes a role binding."""
        name, by = split_name(request.name, BINDINGS), current_principal.get()

        async def effect(connection: AsyncConnection) -> pb.RoleBinding:
            return codec.encode_binding(await store.delete_binding(connection, by, *name))

        return await once(self._database, request, pb.RoleBinding, effect)

    async def CreateInvitation(self, request: pb.CreateInvitationRequest, context: Context) -> pb.Invitation:
        """Creates an invitation."""
        project, by = project_of(request.parent, "parent"), current_principal.get()
        hours, secret = codec.decode_hours(request.hours), secrets.token_urlsafe(32)

        async def effect(connection: AsyncConnection) -> pb.Invitation:
            made = codec.encode_invitation(await store.create_invitation(connection, by, project, secret, hours))
            made.secret, made.link = secret, codec.link_of(self._console_url(), made.name, secret)
            return made

        return await once(self._database, request, pb.Invitation, effect, secrets=("secret", "link"))

    async def ListInvitations(self, request: pb.ListInvitationsRequest, context: Context) -> pb.ListInvitationsResponse:
        """Lists invitations."""
        project, size = project_of(request.parent, "parent"), page_size(request.page_size)
        async with self._database.begin() as connection:
            page = await store.page_of(connection, store.invitation, INVITATIONS, project, size, request.page_token)
        invitations = [codec.encode_invitation(row) for row in page.items]
        return pb.ListInvitationsResponse(invitations=invitations, next_page_token=page.next_page_token)

    async def DeleteInvitation(self, request: pb.DeleteInvitationRequest, context: Context) -> pb.Invitation:
        """Deletes an invitation."""
        name, by = split_name(request.name, INVITATIONS), current_principal.get()

        async def effect(connection: AsyncConnection) -> pb.Invitation:
            return codec.encode_invitation(await store.delete_invitation(connection, by, *name))

        return await once(self._database, request, pb.Invitation, effect)

    async def AcceptInvitation(self, request: pb.AcceptInvitationRequest, context: Context) -> pb.RoleBinding:
        """Binds the caller to the role of an invitation."""
        name, by = split_name(request.name, INVITATIONS), current_principal.get()
        async with self._database.begin() as connection:
            return codec.encode_binding(await store.accept(connection, by, *name, request.secret))

    async def Audit(self, request: audit_pb2.AuditRequest, context: Context) -> audit_pb2.AuditReport:
        """Checks the bindings of a project."""
        async with self._database.begin() as connection:
            return encode_report("identity", await store.check(connection, project_of(request.parent, "parent")))
