"""Workloads and their members over the REST API, as old clients send and read them."""

import re

import pytest

from inventory.models import Instance, Workload, WorkloadMember, WorkloadState
from tests.conftest import client_of, settle
from tests.inventory.nouns import an_instance, is_unknown_to_others, refused

pytestmark = pytest.mark.django_db
CLUSTER = {"kind": "WORKLOAD_KIND_CLUSTER", "name": "shop", "externalId": "c-1", "status": "Running"}
NODE = {"kind": "WORKLOAD_MEMBER_KIND_CLUSTER_NODE"}


@pytest.fixture
def workload(api):
    return api.post(f"{api.base}/workloads", CLUSTER).json()


@pytest.fixture
def member(api, workload):
    body = {**NODE, "workloadId": workload["resourceId"], "instanceId": str(an_instance())}
    return api.post(f"{api.base}/workload_members", body).json()


def test_a_workload_is_shown_as_it_was_made(api, workload):
    assert re.match(r"^workload-[0-9a-f]{8}$", workload["resourceId"])
    assert workload == {
        **CLUSTER, "resourceId": workload["resourceId"], "workloadId": workload["resourceId"], "members": [],
        "timestamps": workload["timestamps"],
    }  # fmt: skip
    for path in ("workloads", "compute/workloads"):
        assert api.get(f"{api.base}/{path}/{workload['resourceId']}").json() == workload
        listed = api.get(f"{api.base}/{path}?filter=externalId='c-1'&orderBy=name desc").json()
        assert listed == {"workloads": [workload], "totalElements": 1, "hasNext": False}
    assert Workload.objects.get().desired_state == WorkloadState.PROVISIONED


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "shop"}, "kind: This field is required."),
        ({"kind": "WORKLOAD_KIND_UNSPECIFIED"}, "kind is WORKLOAD_KIND_CLUSTER or WORKLOAD_KIND_DHCP"),
        (
            {"kind": "WORKLOAD_KIND_DHCP"},
            'kind: this is one of WORKLOAD_KIND_UNSPECIFIED, WORKLOAD_KIND_CLUSTER, not "WORKLOAD_KIND_DHCP"',
        ),
        ({**CLUSTER, "externalId": "c|1"}, 'externalId: only letters, digits and -_./: , not "c|1"'),
        (
            {**CLUSTER, "status": "s" * 501},
            f'status: Ensure this field has no more than 500 characters, not "{"s" * 49}... (503 letters)',
        ),
        ({**CLUSTER, "desiredState": "x"}, "desiredState: there is no such field"),
    ],
)
def test_a_workload_that_breaks_a_rule_is_refused(api, body, message):
    assert refused(api.post(f"{api.base}/workloads", body), message)
    assert Workload.objects.count() == 0


def test_an_external_id_is_taken_once_also_by_a_change(api, workload):
    message = f"There is a workload with externalId 'c-1' already ({workload['resourceId']} has this externalId)"
    assert refused(api.post(f"{api.base}/workloads", CLUSTER), message, "FailedPrecondition")
    other = api.post(f"{api.base}/workloads", {"kind": CLUSTER["kind"]}).json()
    answer = api.patch(f"{api.base}/workloads/{other['resourceId']}", {"externalId": "c-1"})
    assert refused(answer, message, "FailedPrecondition")


def test_patch_changes_what_it_says_and_put_clears_what_it_does_not_say(api, workload):
    path = f"{api.base}/workloads/{workload['resourceId']}"
    patched = api.patch(path, {"status": "Updating"}).json()
    assert patched == {**workload, "status": "Updating", "timestamps": patched["timestamps"]}
    put = api.put(path, {"kind": CLUSTER["kind"], "name": "shop"}).json()
    assert put == {**workload, "status": "", "externalId": "", "timestamps": put["timestamps"]}
    assert refused(api.put(path, {"name": "shop"}), "kind: This field is required.")


def test_a_member_shows_its_workload_and_its_instance_under_both_names(api, workload, member):
    instance = Instance.objects.get()
    shown = api.get(f"{api.base}/compute/instances/{instance}").json()
    bare = {**shown, "host": None, "os": None, "workloadMembers": []}
    assert re.match(r"^workloadmember-[0-9a-f]{8}$", member["resourceId"])
    assert member == {
        **NODE, "resourceId": member["resourceId"], "workloadMemberId": member["resourceId"], "workload": workload,
        "workloadId": workload["resourceId"], "instance": bare, "member": bare, "instanceId": str(instance),
        "timestamps": member["timestamps"],
    }  # fmt: skip
    assert api.get(f"{api.base}/workload_members/{member['resourceId']}").json() == member
    listed = api.get(f"{api.base}/workload_members").json()
    assert listed == {"workloadMembers": [member], "totalElements": 1, "hasNext": False}
    [of_workload] = api.get(f"{api.base}/workloads/{workload['resourceId']}").json()["members"]
    nothing = {**dict.fromkeys(workload, ""), "kind": "WORKLOAD_KIND_UNSPECIFIED", "members": [], "timestamps": None}
    assert of_workload == {**member, "workload": nothing}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "WORKLOAD_MEMBER_KIND_UNSPECIFIED"}, "kind is WORKLOAD_MEMBER_KIND_CLUSTER_NODE"),
        ({"workloadId": "site-00000000"}, "'site-00000000' is not the id of a workload"),
        ({"workloadId": "workload-00000000"}, "workload_resource not found"),
        ({"instanceId": ""}, 'instanceId: This field may not be null, not ""'),
    ],
)
def test_a_member_of_nothing_is_refused(api, workload, change, message):
    body = {**NODE, "workloadId": workload["resourceId"], "instanceId": str(an_instance()), **change}
    code, status = ("NotFound", 404) if "not found" in message else ("InvalidArgument", 400)
    assert refused(api.post(f"{api.base}/workload_members", body), message, code, status)
    assert WorkloadMember.objects.count() == 0


def test_an_instance_is_a_member_once(api, member):
    body = {**NODE, "workloadId": member["workloadId"], "instanceId": member["instanceId"]}
    answer = api.post(f"{api.base}/workload_members", body)
    message = f"{member['instanceId']} is a member of a workload already ({member['resourceId']} has this instance)"
    assert refused(answer, message, "AlreadyExists", 409)


def test_a_workload_with_members_stays_and_without_goes_at_once(api, workload, member):
    path = f"{api.base}/workloads/{workload['resourceId']}"
    message = f"{workload['resourceId']} is in use by {member['resourceId']}"
    assert refused(api.delete(path), message, "FailedPrecondition")
    assert Workload.objects.get().desired_state == WorkloadState.PROVISIONED
    assert api.delete(f"{api.base}/workload_members/{member['resourceId']}").json() == {}
    assert api.delete(path).json() == {}
    assert refused(api.get(path), "workload_resource not found", "NotFound", 404)


def test_an_instance_waits_to_go_until_its_workload_lets_it(api, member):
    instance = Instance.objects.get()
    assert api.delete(f"{api.base}/compute/instances/{instance}").json() == {}
    settle()
    instance.refresh_from_db()
    assert instance.provisioning_status == f"Deleting: waiting on {member['resourceId']} deletion"
    assert api.delete(f"{api.base}/workload_members/{member['resourceId']}").json() == {}
    assert api.delete(f"{api.base}/compute/instances/{instance}").json() == {}
    assert not Instance.objects.exists()


def test_workloads_and_members_of_others_are_unknown(api, workload, member, beta):
    is_unknown_to_others(
        beta, "workloads", workload["resourceId"], "workloads", "workload_resource", ("get", "put", "patch", "delete")
    )
    is_unknown_to_others(
        beta, "workload_members", member["resourceId"], "workloadMembers", "workload_member_resource"
    )
    theirs = client_of(beta, "im-rw")
    body = {**NODE, "workloadId": workload["resourceId"], "instanceId": member["instanceId"]}
    assert refused(theirs.post(f"{theirs.base}/workload_members", body), "workload_resource not found", "NotFound", 404)
