"""OS update policies and runs over the REST API, as old clients send and read them."""

import re

import pytest

from inventory.models import Indicator, OsUpdatePolicy, OsUpdateRun, Status
from tests.inventory.nouns import an_instance, an_os, is_unknown_to_others, made, refused

pytestmark = pytest.mark.django_db
LATEST = {"name": "newest", "updatePolicy": "UPDATE_POLICY_LATEST"}
TARGET = {"name": "chosen", "updatePolicy": "UPDATE_POLICY_TARGET"}
WHICH = "an updatePolicy of UPDATE_POLICY_TARGET needs targetOsId, updatePackages, updateSources or updateKernelCommand"


@pytest.fixture
def policies(api):
    return f"{api.base}/os-update-policies"


def test_a_policy_for_packages_is_shown_as_it_was_made(api, policies):
    said = {
        **TARGET, "description": "Security", "updatePackages": "curl=7.88\nopenssl", "updateKernelCommand": "quiet",
        "updateSources": ["Types: deb\nURIs: https://deb.example.com"],
    }  # fmt: skip
    policy = api.post(policies, said).json()
    assert re.match(r"^osupdatepolicy-[0-9a-f]{8}$", policy["resourceId"])
    assert policy == {
        **said, "resourceId": policy["resourceId"], "targetOs": None, "targetOsId": "",
        "timestamps": policy["timestamps"],
    }  # fmt: skip
    for path in ("os-update-policies", "os_update_policy"):
        assert api.get(f"{api.base}/{path}/{policy['resourceId']}").json() == policy
        assert api.get(f"{api.base}/{path}?pageSize=100").json() == {
            "osUpdatePolicies": [policy], "totalElements": 1, "hasNext": False,
        }  # fmt: skip


def test_a_policy_for_another_system_shows_it(api, policies):
    os = an_os()
    policy = api.post(policies, {**TARGET, "targetOsId": str(os)}).json()
    assert policy["targetOs"] == api.get(f"{api.base}/compute/os/{os}").json() and policy["targetOsId"] == str(os)
    assert policy["updateSources"] == [] and policy["updatePackages"] == policy["updateKernelCommand"] == ""
    os.delete()
    assert api.get(f"{policies}/{policy['resourceId']}").json() == {**policy, "targetOs": None, "targetOsId": ""}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"updatePolicy": "UPDATE_POLICY_LATEST"}, "name: This field is required."),
        ({"name": "x"}, "updatePolicy: This field is required."),
        ({**TARGET}, WHICH),
        (
            {"name": "x", "updatePolicy": "UPDATE_POLICY_UNSPECIFIED"},
            "updatePolicy is UPDATE_POLICY_LATEST or UPDATE_POLICY_TARGET",
        ),
        (
            {**LATEST, "updatePackages": "curl"},
            "an updatePolicy of UPDATE_POLICY_LATEST names nothing else to update to",
        ),
        (
            {**TARGET, "updateSources": "deb"},
            'updateSources: Expected a list of items but got type "str", not "deb"',
        ),
        (
            {**TARGET, "updateKernelCommand": "quiet | rm"},
            'updateKernelCommand: only letters, digits and -_./:;=?@!#,<>*() ", not "quiet | rm"',
        ),
        ({**TARGET, "targetOsId": "os-00000000"}, "operating_system_resource not found"),
    ],
)
def test_a_policy_that_says_nothing_or_too_much_is_refused(api, policies, body, message):
    code, status = ("NotFound", 404) if "not found" in message else ("InvalidArgument", 400)
    assert refused(api.post(policies, body), message, code, status)
    assert OsUpdatePolicy.objects.count() == 0


def test_a_policy_is_for_mutable_or_for_immutable_systems(api, policies):
    body = {**TARGET, "targetOsId": str(an_os()), "updatePackages": "curl"}
    assert refused(
        api.post(policies, body), "targetOsId is of immutable systems; updatePackages and updateSources are not"
    )


def test_what_a_policy_says_does_not_change(acme):
    policy = made(OsUpdatePolicy(name="newest", update_policy="UPDATE_POLICY_LATEST"))
    policy.update_policy, policy.name = "UPDATE_POLICY_TARGET", "renamed"
    policy.save()
    policy.refresh_from_db()
    assert (policy.update_policy, policy.name) == ("UPDATE_POLICY_LATEST", "renamed")


def test_a_policy_in_use_stays_and_then_goes(api, policies):
    policy = api.post(policies, LATEST).json()["resourceId"]
    instance = an_instance()
    path = f"{api.base}/compute/instances/{instance}"
    assert api.patch(path, {"osUpdatePolicyID": policy}).json()["osUpdatePolicyID"] == policy
    assert refused(api.delete(f"{policies}/{policy}"), f"{policy} is in use by {instance}", "FailedPrecondition")
    assert api.patch(path, {"osUpdatePolicyID": ""}).status_code == 200
    assert api.delete(f"{policies}/{policy}").json() == {}
    assert refused(api.get(f"{policies}/{policy}"), "os_update_policy_resource not found", "NotFound", 404)


def test_policies_of_others_are_unknown(api, policies, beta):
    policy = api.post(policies, LATEST).json()["resourceId"]
    is_unknown_to_others(beta, "os-update-policies", policy, "osUpdatePolicies", "os_update_policy_resource")


@pytest.fixture
def run(acme):
    policy = made(OsUpdatePolicy(name="newest", update_policy="UPDATE_POLICY_LATEST"))
    run = made(OsUpdateRun(name="run 1", applied_policy=policy, instance=an_instance(), start_time=1_700_000_000))
    run.observe(status=Status("Update complete", Indicator.IDLE), status_details='{"n": 2}', end_time=1_700_000_600)
    return run


def test_a_run_is_shown_with_its_policy_and_instance_and_numbers_for_times(api, run):
    shown = api.get(f"{api.base}/os-update-runs/{run}").json()
    policy = api.get(f"{api.base}/os-update-policies/{run.applied_policy_id}").json()
    instance = api.get(f"{api.base}/compute/instances/{run.instance_id}").json()
    assert shown == {
        "resourceId": str(run), "name": "run 1", "description": "", "appliedPolicy": policy,
        "instance": {**instance, "host": None, "os": None},
        "status": "Update complete", "statusIndicator": "STATUS_INDICATION_IDLE",
        "statusTimestamp": run.status_timestamp, "statusDetails": '{"n": 2}', "startTime": 1_700_000_000,
        "endTime": 1_700_000_600, "timestamps": shown["timestamps"],
    }  # fmt: skip
    for path in ("os-update-runs", "os_update_run"):
        listed = api.get(f"{api.base}/{path}?filter=instance.resourceId='{run.instance_id}'").json()
        assert listed == {"osUpdateRuns": [shown], "totalElements": 1, "hasNext": False}


def test_a_run_outlives_its_policy_but_not_its_instance(api, run):
    run.applied_policy.delete()
    assert api.get(f"{api.base}/os-update-runs/{run}").json()["appliedPolicy"] is None
    assert api.delete(f"{api.base}/compute/instances/{run.instance_id}").json() == {}
    assert refused(api.get(f"{api.base}/os-update-runs/{run}"), "os_update_run_resource not found", "NotFound", 404)


def test_a_run_is_deleted_but_neither_made_nor_changed_by_clients(api, run):
    path = f"{api.base}/os-update-runs/{run}"
    methods = [api.post(f"{api.base}/os-update-runs", {}), api.put(path, {}), api.patch(path, {})]
    assert [answer.status_code for answer in methods] == [405, 405, 405]
    assert api.delete(path).json() == {} and OsUpdateRun.objects.count() == 0
    assert refused(
        api.delete(f"{api.base}/os-update-runs/osupdaterun-999999"), "os_update_run_resource not found", "NotFound", 404
    )


def test_runs_of_others_are_unknown(run, beta):
    is_unknown_to_others(beta, "os-update-runs", str(run), "osUpdateRuns", "os_update_run_resource")
    assert OsUpdateRun.objects.count() == 1
