"""The REST API as its clients know it: paths, bodies, codes."""

import json
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.models import Host, HostState, Region, Site
from tests.conftest import client_of

pytestmark = pytest.mark.django_db


def register(api, **body):
    return api.post(f"{api.base}/compute/hosts/register", {"serialNumber": "SN00001", **body})


def test_a_registered_host_has_an_id_a_claim_and_a_name_after_its_id(api):
    host = register(api, uuid=str(uuid4()), autoOnboard=True).json()
    assert host["resourceId"].startswith("host-") and host["name"] == host["resourceId"]
    assert host["desiredState"] == "HOST_STATE_ONBOARDED" and host["currentState"] == "HOST_STATE_UNSPECIFIED"
    assert host["hostStatus"] == "Not Connected" and host["registrationStatus"] == "Unknown"
    assert host["memoryBytes"] == "0" and host["hostStatusTimestamp"] == 0 and host["hostNics"] == []
    assert host["site"] is None and host["instance"] is None
    assert api.get(f"{api.base}/compute/hosts/{host['resourceId']}").json() == host


@pytest.mark.parametrize("again", [{"uuid": "{uuid}", "serialNumber": "OTHER01"}, {"uuid": "{uuid}"}])
def test_the_same_uuid_twice_is_refused_as_the_command_line_expects(api, again):
    uuid = str(uuid4())
    register(api, uuid=uuid)
    answer = register(api, **{key: value.format(uuid=uuid) for key, value in again.items()})
    assert answer.status_code == 400
    assert b'{"code":"FailedPrecondition","message":"A host with UUID ' in answer.content


def test_the_same_serial_twice_without_a_uuid_is_refused_and_with_one_allowed(api):
    assert register(api).status_code == 200
    assert register(api).json()["message"] == "A host with serial number SN00001 is already registered"
    assert register(api, uuid=str(uuid4())).status_code == 200


def test_another_tenants_machine_is_refused_and_nothing_of_it_is_shown(api, beta):
    uuid = str(uuid4())
    theirs = client_of(beta, "im-rw")
    host = register(theirs, uuid=uuid).json()["resourceId"]
    answer = register(api, uuid=uuid)
    assert answer.json() == {"code": "FailedPrecondition", "message": f"A host with UUID {uuid} is already registered"}
    assert api.get(f"{api.base}/compute/hosts/{host}").status_code == 404
    assert api.get(f"{api.base}/compute/hosts").json()["hosts"] == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"serialNumber": "", "uuid": ""}, "A host needs a uuid or a serialNumber"),
        ({"serialNumber": "no spaces"}, "serialNumber"),
        ({"uuid": "42"}, "uuid"),
        ({"colour": "red"}, "colour: there is no such field"),
        ({"name": "x" * 21}, "name"),
    ],
)
def test_what_a_host_cannot_be_registered_by_is_named(api, body, said):
    answer = register(api, **body)
    assert answer.status_code == 400 and answer.json()["code"] == "InvalidArgument"
    assert said in answer.json()["message"]


def test_the_api_cannot_write_facts(api):
    host = register(api).json()["resourceId"]
    answer = api.patch(f"{api.base}/compute/hosts/{host}", {"currentState": "HOST_STATE_ONBOARDED"})
    assert answer.status_code == 400 and "currentState: can't be written" in answer.json()["message"]
    assert Host.objects.get(resource_id=host).current_state == HostState.UNSPECIFIED


def test_a_host_is_placed_named_and_labelled(api):
    region = api.post(f"{api.base}/regions", {"name": "Europe"}).json()["resourceId"]
    site = api.post(f"{api.base}/sites", {"name": "Berlin", "regionId": region, "siteLat": 525200000}).json()
    assert site["region"]["name"] == "Europe" and site["regionId"] == region and site["siteID"] == site["resourceId"]
    host = register(api).json()["resourceId"]
    body = {"name": "rack 7", "siteId": site["resourceId"], "metadata": [{"key": "city", "value": "berlin"}]}
    shown = api.patch(f"{api.base}/compute/hosts/{host}", body).json()
    assert shown["site"]["name"] == "Berlin" and shown["siteId"] == site["resourceId"] and shown["name"] == "rack 7"
    cleared = api.patch(f"{api.base}/compute/hosts/{host}", {"siteId": ""}).json()
    assert cleared["site"] is None and cleared["siteId"] == "" and cleared["metadata"] == body["metadata"]


def test_metadata_with_a_key_twice_or_in_capitals_is_refused(api):
    for metadata in ([{"key": "a", "value": "1"}] * 2, [{"key": "City", "value": "x"}], [{"key": "a"}], "a=1"):
        answer = api.post(f"{api.base}/regions", {"name": "r", "metadata": metadata})
        assert answer.status_code == 400 and "metadata" in answer.json()["message"]


def test_a_root_region_still_has_a_parent_to_look_at(api):
    region = api.post(f"{api.base}/regions", {"name": "Europe"}).json()
    assert (
        region["parentRegion"]["name"] == "" and region["parentId"] == "" and region["regionID"] == region["resourceId"]
    )


def test_regions_nest_five_levels_and_never_in_a_circle(api):
    ids = [""]
    for level in range(5):
        ids.append(api.post(f"{api.base}/regions", {"name": f"l{level}", "parentId": ids[-1]}).json()["resourceId"])
    assert api.post(f"{api.base}/regions", {"name": "l6", "parentId": ids[-1]}).status_code == 400
    assert api.patch(f"{api.base}/regions/{ids[1]}", {"parentId": ids[3]}).status_code == 400


def test_a_region_in_use_cannot_go_and_says_by_whom(api):
    region = api.post(f"{api.base}/regions", {"name": "Europe"}).json()["resourceId"]
    site = api.post(f"{api.base}/sites", {"name": "Berlin", "regionId": region}).json()["resourceId"]
    answer = api.delete(f"{api.base}/regions/{region}")
    assert answer.status_code == 400 and answer.json()["message"] == f"{region} is in use by {site}"
    assert api.delete(f"{api.base}/sites/{site}").json() == {} == api.delete(f"{api.base}/regions/{region}").json()


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("regions/region-00000000", 404, "region_resource not found"),
        ("regions/any/sites/site-00000000", 404, "site_resource not found"),
        ("providers/provider-00000000", 404, "provider_resource not found"),
        ("compute/hosts/site-00000000", 400, "'site-00000000' is not the id of a host"),
        ("compute/hosts?pageSize=0", 400, "pageSize is a number from 1 to 100, not '0'"),
        ("compute/hosts?offset=-1", 400, "offset is a number from 0 to 10000, not '-1'"),
        ("compute/hosts?orderBy=secret", 400, "orderBy: can't order hosts by 'secret'"),
        ("compute/hosts?filter=colour='red'", 400, "filter: colour: there is no field 'colour'"),
    ],
)
def test_wrong_questions_get_the_old_codes_and_a_clear_sentence(api, path, status, message):
    answer = api.get(f"{api.base}/{path}")
    assert (answer.status_code, answer.json()["message"]) == (status, message)


def test_a_list_pages_and_orders(api):
    for name in "abcde":
        api.post(f"{api.base}/regions", {"name": name})
    page = api.get(f"{api.base}/regions?pageSize=2&offset=2&orderBy=name desc").json()
    assert [region["name"] for region in page["regions"]] == ["c", "b"]
    assert page["totalElements"] == 5 and page["hasNext"] is True
    assert api.get(f"{api.base}/regions?pageSize=2&offset=4").json()["hasNext"] is False


def test_a_page_costs_the_same_number_of_queries_whatever_is_on_it(api):
    site = Site(name="s", region=_asked(Region(name="r")))
    site.ask()

    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert api.get(f"{api.base}/compute/hosts?pageSize=100").status_code == 200
        return len([q for q in captured if not q["sql"].startswith("SET search_path")])

    Host(serial_number="SERIAL", site=site).ask(state=HostState.REGISTERED)
    queries()  # which finds the project
    few = queries()
    for number in range(40):
        Host(serial_number=f"SERIAL{number}", site=site).ask(state=HostState.REGISTERED)
    assert queries() == few <= 5


def _asked(resource):
    resource.ask()
    return resource


def test_an_operating_system_does_not_change_under_its_name(api):
    body = {"name": "debian", "sha256": "a" * 64, "osType": "OS_TYPE_MUTABLE", "osProvider": "OS_PROVIDER_KIND_INFRA"}
    os = api.post(f"{api.base}/compute/os", body).json()
    assert os["osResourceID"] == os["resourceId"] and os["securityFeature"] == "SECURITY_FEATURE_UNSPECIFIED"
    path = f"{api.base}/compute/os/{os['resourceId']}"
    assert api.patch(path, {"sha256": "b" * 64}).json()["sha256"] == "a" * 64
    assert f"{os['resourceId']} keeps its name" in api.patch(path, {"name": "ubuntu"}).json()["message"]
    assert api.patch(path, {"architecture": "x86_64"}).json()["architecture"] == "x86_64"
    assert api.post(f"{api.base}/compute/os", body).json()["code"] == "FailedPrecondition"
    assert "sha256" in api.post(f"{api.base}/compute/os", body | {"sha256": "zz", "name": "x"}).json()["message"]


def test_an_instance_shows_its_host_and_system_and_a_host_takes_only_one(api):
    body = {"name": "debian", "sha256": "a" * 64, "osType": "OS_TYPE_MUTABLE", "osProvider": "OS_PROVIDER_KIND_INFRA"}
    os = api.post(f"{api.base}/compute/os", body).json()["resourceId"]
    host = register(api).json()["resourceId"]
    wanted = {"hostID": host, "osID": os, "kind": "INSTANCE_KIND_UNSPECIFIED"}
    instance = api.post(f"{api.base}/compute/instances", wanted).json()
    assert instance["kind"] == "INSTANCE_KIND_METAL" and instance["desiredState"] == "INSTANCE_STATE_RUNNING"
    assert instance["host"]["resourceId"] == host and instance["os"]["name"] == "debian" and instance["osID"] == os
    assert instance["provisioningStatus"] == "Not Provisioned" and instance["instanceStatus"] == "Not Installed"
    assert api.get(f"{api.base}/compute/hosts/{host}").json()["instance"]["instanceID"] == instance["resourceId"]
    said = f"{host} has an instance already ({instance['resourceId']} has this host)"
    assert api.post(f"{api.base}/compute/instances", wanted).json()["message"] == said


@pytest.mark.parametrize(("roles", "read", "write"), [((), 403, 403), (("im-r",), 200, 403), (("im-rw",), 200, 200)])
def test_roles_decide_who_reads_and_who_writes(acme, roles, read, write):
    client = client_of(acme, *roles)
    assert client.get(f"{client.base}/regions").status_code == read
    assert client.post(f"{client.base}/regions", {"name": "r"}).status_code == write


def test_a_project_of_others_and_one_that_does_not_exist_look_the_same(acme, beta):
    client = client_of(acme, "im-rw")
    theirs, none = client.get(f"/v1/projects/{beta.name}/regions"), client.get("/v1/projects/nobody/regions")
    assert theirs.status_code == none.status_code == 403 and theirs.content == none.content


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer x.y.z", "Basic YTpi"])
def test_without_a_good_token_it_is_401(acme, client, header):
    answer = client.get(f"/v1/projects/{acme.name}/regions", HTTP_AUTHORIZATION=header)
    assert answer.status_code == 401 and json.loads(answer.content)["code"] == "Unauthenticated"


def test_times_are_utc_to_the_millisecond_in_every_nested_resource_too(api):
    region = api.post(f"{api.base}/regions", {"name": "Europe"}).json()["resourceId"]
    site = api.post(f"{api.base}/sites", {"name": "Berlin", "regionId": region}).json()
    row = Site.objects.get(resource_id=site["resourceId"])
    expected = row.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert site["timestamps"]["createdAt"] == expected and site["region"]["timestamps"]["createdAt"].endswith("Z")
