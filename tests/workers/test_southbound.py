"""Who gets through the machines' door: in the project of their token alone, and as long as they are trusted."""

import time
from uuid import uuid4

import grpc
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from inventory.models import HostState
from tenants import credentials, tokens
from tenants.models import Grant, Role, User
from tests.conftest import remove, settle
from tests.southbound import Node, registered, wanted
from workers import southbound
from workers.southbound import Refusal, node_of

CODE = grpc.StatusCode


@pytest.fixture
def node(southbound_address, there):
    """An installed machine that has sent its first heartbeat."""
    node = Node(southbound_address)
    node.instance = wanted(registered(node))
    node.onboard()
    settle()
    node.work_through()
    settle()
    node.heartbeat()
    return node


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        ahead = 0.0

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + Clock.ahead)
    return Clock


def refusal_of(call, *args, **kwargs) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        call(*args, **kwargs)
    return refused.value.code(), refused.value.details()


def beat(node, *metadata):
    from wire import hostmgr_pb2 as wire

    request = wire.UpdateInstanceStateStatusByHostGUIDRequest(
        host_guid=str(node.uuid), instance_state=wire.INSTANCE_STATE_RUNNING,
        instance_status=wire.INSTANCE_STATUS_RUNNING, provider_status_detail="5 of 5 components running",
    )  # fmt: skip
    all_metadata = [("authorization", f"Bearer {node.token}"), *metadata]
    return node.manager.UpdateInstanceStateStatusByHostGUID(request, metadata=all_metadata, timeout=10)


def test_the_project_is_the_tokens_whatever_the_metadata_say(node, there, beta):
    beat(node, ("activeprojectid", str(there.uuid)))
    beat(node, ("activeprojectid", str(there.uuid).upper()))
    for other in (beta.uuid, uuid4(), "nonsense", ""):
        assert refusal_of(beat, node, ("activeprojectid", str(other))) == (
            CODE.PERMISSION_DENIED, "The token is not for the project in activeprojectid",
        )  # fmt: skip


def test_a_revoked_node_is_refused_within_a_minute_even_if_it_says_nothing_new(node, clock):
    node.heartbeat()
    with schema_context(connection.schema_name):
        credentials.revoke(node.uuid)
    clock.ahead = 16
    refused = CODE.UNAUTHENTICATED, "The node's credentials have been revoked"
    assert refusal_of(node.heartbeat) == refused
    assert refusal_of(node.contexts) == refused


def test_a_node_that_is_trusted_again_has_a_token_again_and_the_old_one_stays_no_good(node, clock):
    old = node.token
    credentials.revoke(node.uuid)
    client_id, secret = credentials.issue(node.uuid)
    node.log_in(client_id, secret)
    clock.ahead = 16
    node.heartbeat()
    node.token = old
    assert refusal_of(node.heartbeat)[0] == CODE.UNAUTHENTICATED


def test_an_invalidated_host_s_token_ends_by_the_loop(node, clock):
    node.instance.refresh_from_db()
    node.instance.host.refresh_from_db()
    node.instance.host.ask(state=HostState.UNTRUSTED)
    settle()
    clock.ahead = 16
    assert refusal_of(node.heartbeat)[0] == CODE.UNAUTHENTICATED


def test_who_calls_is_known_without_a_question_to_the_database(there):
    token = tokens.for_node(credentials.client_id_of(uuid4()), there.uuid)
    with schema_context("public"):
        node_of(token)
        southbound.renew()
        with CaptureQueriesContext(connection) as asked:
            for _ in range(20):
                node_of(token)
    assert len(asked) <= 1  # which projects are ready, if eight seconds are over just now


def person(project, *roles) -> str:
    user = User.objects.create_user(f"p{uuid4().hex[:8]}")
    for role in roles:
        Grant.objects.create(user=user, project=project, role=role)
    return tokens.for_person(user, "system-client")


def refused(*args, **kwargs) -> tuple[grpc.StatusCode, str]:
    with schema_context("public"), pytest.raises(Refusal) as refusal:
        node_of(*args, **kwargs)
    return refusal.value.code, refusal.value.sentence


def test_people_come_in_where_people_onboard_and_nowhere_else(there):
    token = person(there, Role.ONBOARD)
    assert refused(token) == (CODE.PERMISSION_DENIED, "Request is blocked by RBAC")
    both = (Role.AGENT.value, Role.ONBOARD.value)
    with schema_context("public"):
        assert node_of(token, None, both).schema == there.schema_name
    assert refused(person(there, Role.WRITE), None, both)[0] == CODE.PERMISSION_DENIED


def test_whoever_onboards_in_several_projects_says_in_which(there, beta):
    user = User.objects.create_user(f"p{uuid4().hex[:8]}")
    for project in (there, beta):
        Grant.objects.create(user=user, project=project, role=Role.ONBOARD)
    token, both = tokens.for_person(user, "system-client"), (Role.AGENT.value, Role.ONBOARD.value)
    assert refused(token, None, both)[0] == CODE.UNAUTHENTICATED
    with schema_context("public"):
        assert node_of(token, str(there.uuid), both).project_uuid == there.uuid
    assert refused(token, str(uuid4()), both)[0] == CODE.PERMISSION_DENIED
    user.delete()


def test_a_token_for_a_project_that_is_gone_is_refused(there):
    token = tokens.for_node(credentials.client_id_of(uuid4()), uuid4())
    assert refused(token) == (CODE.UNAUTHENTICATED, "The token's project is gone")


def test_machines_that_call_while_their_project_goes_are_refused(southbound_address, committed):
    node = Node(southbound_address)
    with schema_context(committed.schema_name):
        registered(node)
    node.token = tokens.for_node(credentials.client_id_of(node.uuid), committed.uuid)
    assert refusal_of(beat, node)[0] == CODE.FAILED_PRECONDITION  # it has no instance; the project is known from now on
    remove(committed)
    assert refusal_of(beat, node) == (CODE.UNAUTHENTICATED, "The token's project is gone")


def test_an_issuer_that_cannot_be_asked_is_no_fault_of_the_callers(there, settings):
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa

    settings.EIM_OIDC_ISSUERS = ["http://127.0.0.1:1"]
    claims = {"iss": "http://127.0.0.1:1", "sub": "x", "exp": time.time() + 60}
    code, why = refused(jwt.encode(claims, rsa.generate_private_key(65537, 2048), "RS256", {"kid": "k"}))
    assert code == CODE.UNAVAILABLE and "can't be read" in why
