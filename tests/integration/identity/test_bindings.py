"""Role bindings and invitations, asked for over gRPC by people whose tokens a real issuer signed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import psycopg
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.auth.v1 import auth_pb2
from cultivar.identity.v1 import identity_pb2 as pb
from cultivar.identity.v1 import identity_pb2_grpc
from cultivar.review.v1 import review_pb2, review_pb2_grpc
from cultivar_identity.__main__ import build as identity
from cultivar_review.__main__ import build as review
from cultivar_service.settings import Settings

from tests.conftest import Start
from tests.issuer import AUDIENCE, RealIssuer

PARENT = "projects/default"
QUEUES = review_pb2.ListQueuesRequest(parent=PARENT)
DENIED, NOT_FOUND = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND
PRECONDITION, EXISTS = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS
INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Caller:
    """Somebody with a token."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._metadata = [("authorization", f"Bearer {token}")]
        self._stubs: list[Any] = [
            identity_pb2_grpc.IdentityServiceStub(channel),
            review_pb2_grpc.ReviewServiceStub(channel),
        ]

    async def call(self, method: str, request: Any) -> Any:
        """Makes a call."""
        stub = next(stub for stub in self._stubs if hasattr(stub, method))
        return await getattr(stub, method)(request, metadata=self._metadata)

    async def refused(self, method: str, request: Any) -> grpc.StatusCode:
        """Makes a call that is refused, and returns with which status."""
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.call(method, request)
        return refused.value.code()


class People:
    """Everybody at a server."""

    def __init__(self, channel: grpc.aio.Channel, issuer: RealIssuer) -> None:
        self._channel, self._issuer = channel, issuer
        self.admin = self("root")

    def __call__(self, name: str, *groups: str) -> Caller:
        """Returns somebody of a name."""
        return Caller(self._channel, self._issuer.signed(sub=name, groups=list(groups)))


@pytest.fixture
async def people(start: Start, issuer: RealIssuer) -> AsyncIterator[People]:
    """A server of identity and review whose first admin is named by a setting."""
    given = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_admins": "root, other-root"}
    host = await start(identity, review, console_url="https://cultivar.example/", **given)
    async with grpc.aio.insecure_channel(host.listening.address) as channel:
        yield People(channel, issuer)


def binding(principal: str, role: "auth_pb2.Role.ValueType", request_id: str = "") -> pb.CreateRoleBindingRequest:
    """A request to bind a role."""
    bound = pb.RoleBinding(principal=principal, role=role)
    return pb.CreateRoleBindingRequest(parent=PARENT, role_binding=bound, request_id=request_id)


async def invite(people: People, **given: Any) -> pb.Invitation:
    """Makes an invitation."""
    return await people.admin.call("CreateInvitation", pb.CreateInvitationRequest(parent=PARENT, **given))


def accepting(invitation: pb.Invitation, **changed: str) -> pb.AcceptInvitationRequest:
    """A request to accept an invitation."""
    return pb.AcceptInvitationRequest(**{"name": invitation.name, "secret": invitation.secret, **changed})


async def test_a_binding_counts_at_once_in_its_project_alone_and_no_more_when_deleted(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = people("ada")
    assert await ada.refused("ListQueues", QUEUES) == DENIED
    made = await people.admin.call("CreateRoleBinding", binding("ada", auth_pb2.ROLE_VIEWER))
    await ada.call("ListQueues", QUEUES)
    assert await ada.refused("ListQueues", review_pb2.ListQueuesRequest(parent="projects/other")) == DENIED
    assert await ada.refused("CreateRoleBinding", binding("ada", auth_pb2.ROLE_ADMIN)) == DENIED
    monkeypatch.setattr("cultivar_service.bindings.KEPT_SECONDS", 0.0)
    gone = await people.admin.call("DeleteRoleBinding", pb.DeleteRoleBindingRequest(name=made.name))
    assert gone == made
    assert await ada.refused("ListQueues", QUEUES) == DENIED


async def test_the_greater_of_claim_and_binding_counts(people: People) -> None:
    ada = people("ada", "cultivar:default:viewer")
    await ada.call("ListQueues", QUEUES)
    await people.admin.call("CreateRoleBinding", binding("ada", auth_pb2.ROLE_ADMIN))
    await ada.call("CreateRoleBinding", binding("bob", auth_pb2.ROLE_REVIEWER))
    listed = await ada.call("ListRoleBindings", pb.ListRoleBindingsRequest(parent=PARENT))
    assert [(one.principal, one.role) for one in listed.role_bindings] == [
        ("bob", auth_pb2.ROLE_REVIEWER),
        ("ada", auth_pb2.ROLE_ADMIN),
    ]


async def test_a_binding_is_made_once_for_a_request_id_and_refused_when_it_is_there(people: People) -> None:
    asked = binding("ada", auth_pb2.ROLE_VIEWER, "r1")
    first, again = await asyncio.gather(*(people.admin.call("CreateRoleBinding", asked) for _ in range(2)))
    assert first == again
    assert await people.admin.refused("CreateRoleBinding", binding("ada", auth_pb2.ROLE_VIEWER)) == EXISTS
    pages = pb.ListRoleBindingsRequest(parent=PARENT, page_size=1)
    await people.admin.call("CreateRoleBinding", binding("bob", auth_pb2.ROLE_VIEWER))
    newest = await people.admin.call("ListRoleBindings", pages)
    pages.page_token = newest.next_page_token
    oldest = await people.admin.call("ListRoleBindings", pages)
    assert [page.role_bindings[0].principal for page in (newest, oldest)] == ["bob", "ada"]
    assert oldest.next_page_token == ""


async def test_bindings_that_say_nothing_are_refused(people: People) -> None:
    for principal, role in (("", 1), (" ", 1), ("a\nb", 1), ("x" * 256, 1), ("ada", 0), ("ada", -1), ("ada", 6)):
        request = binding(principal, auth_pb2.Role.ValueType(role))
        assert await people.admin.refused("CreateRoleBinding", request) == INVALID, (principal, role)
    for name in ("projects/default/roleBindings/absent", "projects/other/roleBindings/absent"):
        assert await people.admin.refused("DeleteRoleBinding", pb.DeleteRoleBindingRequest(name=name)) == NOT_FOUND


async def test_who_accepts_an_invitation_is_a_reviewer_at_once_and_nobody_else_is(people: People) -> None:
    made = await invite(people)
    assert made.link == f"https://cultivar.example/{made.name}?secret={made.secret}"
    ada, bob = people("ada"), people("bob")
    assert await ada.refused("ListQueues", QUEUES) == DENIED
    bound = await ada.call("AcceptInvitation", accepting(made))
    assert (bound.principal, bound.role, bound.invitation) == ("ada", auth_pb2.ROLE_REVIEWER, made.name)
    await ada.call("ListQueues", QUEUES)
    assert await ada.call("AcceptInvitation", accepting(made)) == bound
    assert await bob.refused("AcceptInvitation", accepting(made)) == PRECONDITION
    assert await bob.refused("ListQueues", QUEUES) == DENIED
    listed = await people.admin.call("ListInvitations", pb.ListInvitationsRequest(parent=PARENT))
    assert [(one.accepted_by, one.secret, one.link) for one in listed.invitations] == [("ada", "", "")]


async def test_the_secret_of_an_invitation_is_told_once_and_kept_nowhere(people: People, settings: Settings) -> None:
    made = await invite(people, request_id="r1")
    again = await invite(people, request_id="r1")
    assert (again.name, again.secret, again.link) == (made.name, "", "")
    with psycopg.connect(settings.database_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'identity'").fetchall()
        kept = [str(connection.execute(f"SELECT * FROM identity.{table}").fetchall()) for (table,) in tables]
        answers = connection.execute("SELECT response FROM identity.request").fetchall()
    assert made.name.rpartition("/")[2] in "".join(kept)
    assert made.secret not in "".join(kept)
    assert [made.secret.encode() in answer for (answer,) in answers] == [False]


async def test_of_many_who_open_one_link_at_once_one_becomes_a_reviewer(people: People) -> None:
    made = await invite(people)
    answers = await asyncio.gather(
        *(people(f"p{n}").call("AcceptInvitation", accepting(made)) for n in range(8)), return_exceptions=True
    )
    assert sum(isinstance(answer, pb.RoleBinding) for answer in answers) == 1
    listed = await people.admin.call("ListRoleBindings", pb.ListRoleBindingsRequest(parent=PARENT))
    assert len(listed.role_bindings) == 1


async def test_a_wrong_secret_another_project_and_a_deleted_invitation_are_not_found(people: People) -> None:
    made, ada = await invite(people), people("ada")
    elsewhere = made.name.replace("default", "other")
    for changed in ({"secret": "guess"}, {"secret": ""}, {"name": elsewhere}):
        assert await ada.refused("AcceptInvitation", accepting(made, **changed)) == NOT_FOUND
    await people.admin.call("DeleteInvitation", pb.DeleteInvitationRequest(name=made.name))
    assert await ada.refused("AcceptInvitation", accepting(made)) == NOT_FOUND


async def test_an_expired_invitation_binds_nobody(people: People, settings: Settings) -> None:
    made = await invite(people, hours=1)
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute("UPDATE identity.invitation SET expire_time = now() - interval '1 second'")
    assert await people("ada").refused("AcceptInvitation", accepting(made)) == PRECONDITION
    for hours in (-1, 169):
        request = pb.CreateInvitationRequest(parent=PARENT, hours=hours)
        assert await people.admin.refused("CreateInvitation", request) == INVALID


async def test_an_accepted_link_does_not_give_back_a_role_that_was_taken(people: People) -> None:
    made, ada = await invite(people), people("ada")
    bound = await ada.call("AcceptInvitation", accepting(made))
    await people.admin.call("DeleteRoleBinding", pb.DeleteRoleBindingRequest(name=bound.name))
    assert await ada.refused("AcceptInvitation", accepting(made)) == PRECONDITION


async def test_only_an_admin_invites_and_every_change_is_on_record(people: People, settings: Settings) -> None:
    engineer = people("eve", "cultivar:default:engineer")
    assert await engineer.refused("CreateInvitation", pb.CreateInvitationRequest(parent=PARENT)) == DENIED
    assert await engineer.refused("ListInvitations", pb.ListInvitationsRequest(parent=PARENT)) == DENIED
    made = await invite(people)
    await people("ada").call("AcceptInvitation", accepting(made))
    report = await people.admin.call("Audit", audit_pb2.AuditRequest(parent=PARENT))
    assert [(finding.examined, finding.holds) for finding in report.findings] == [(1, True)]
    with psycopg.connect(settings.database_url) as connection:
        changes = connection.execute("SELECT principal, action FROM identity.change ORDER BY id").fetchall()
        kept = connection.execute("SELECT secret_digest FROM identity.invitation").fetchone()
    assert changes == [
        ("root", "create invitation"),
        ("ada", "accept invitation"),
        ("ada", "create role binding"),
    ]
    assert kept is not None and made.secret not in kept[0]


async def test_the_database_role_of_another_service_reads_bindings_and_nothing_else_here(
    people: People, settings: Settings
) -> None:
    await people.admin.call("CreateRoleBinding", binding("ada", auth_pb2.ROLE_VIEWER))
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE other_service NOLOGIN")
        try:
            connection.execute("SET ROLE other_service")
            assert connection.execute("SELECT principal, role FROM identity.role_binding").fetchall() == [
                ("ada", "ROLE_VIEWER")
            ]
            for refused in (
                "SELECT * FROM identity.invitation",
                "INSERT INTO identity.role_binding VALUES ('default', 'x', 'eve', 'ROLE_ADMIN')",
                "DELETE FROM identity.role_binding",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(refused)
        finally:
            connection.execute("RESET ROLE")
            connection.execute("DROP ROLE other_service")
