"""What old clients send, byte for byte, and the whole of what they get; what is refused; what of others nobody sees.

Of hosts, instances, operating systems, regions, sites, providers and locations.
"""

import json
import re
from itertools import product
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, Indicator, Instance, InstanceState, Region, Site, Status, hardware
from tests.conftest import client_of
from tests.inventory.test_contract import CONTRACT

pytestmark = pytest.mark.django_db

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def send(api, method, path, body="", **headers):
    """As a client's bytes. Returns the status and the answer, its times, which nobody can know, as "TIME"."""
    options = {"content_type": "application/json"} if body else {}
    answer = api.generic(method, f"{api.base}/{path}", body, **options, **headers)
    return answer.status_code, json.loads(TIME.sub("TIME", answer.content.decode()))


def made(api, path, body):
    status, answer = send(api, "POST", path, json.dumps(body))
    assert status == 200, answer
    return answer


TIMES = {"createdAt": "TIME", "updatedAt": "TIME"}
NO_REGION = {
    "resourceId": "", "name": "", "parentRegion": None, "regionID": "", "metadata": [], "inheritedMetadata": [],
    "totalSites": 0, "parentId": "", "timestamps": None,
}  # fmt: skip


def region(id, name, parent=None, **more):
    return {
        "resourceId": id, "name": name, "parentRegion": parent or NO_REGION, "regionID": id, "metadata": [],
        "inheritedMetadata": [], "totalSites": 0, "parentId": parent["resourceId"] if parent else "",
        "timestamps": TIMES, **more,
    }  # fmt: skip


def site(id, name, in_region=None, **more):
    return {
        "resourceId": id, "name": name, "region": in_region or NO_REGION, "siteLat": 0, "siteLng": 0, "provider": None,
        "siteID": id, "metadata": [], "inheritedMetadata": [],
        "regionId": in_region["resourceId"] if in_region else "", "timestamps": TIMES, **more,
    }  # fmt: skip


def nested(one, **more):
    """A region or host as others show it: without what it lies in."""
    return {**one, **more}


def host(id, **more):
    unknown = "STATUS_INDICATION_UNSPECIFIED"
    return {
        "resourceId": id, "name": id, "desiredState": "HOST_STATE_REGISTERED", "currentState": "HOST_STATE_UNSPECIFIED",
        "site": None, "provider": None, "note": "", "serialNumber": "", "uuid": "", "memoryBytes": "0", "cpuModel": "",
        "cpuSockets": 0, "cpuCores": 0, "cpuCapabilities": "", "cpuArchitecture": "", "cpuThreads": 0,
        "cpuTopology": "",
        "bmcKind": "BAREMETAL_CONTROLLER_KIND_UNSPECIFIED", "bmcIp": "", "hostname": "", "productName": "",
        "biosVersion": "", "biosReleaseDate": "", "biosVendor": "", "desiredPowerState": "POWER_STATE_ON",
        "currentPowerState": "POWER_STATE_UNSPECIFIED", "powerStatus": "Unknown", "powerStatusIndicator": unknown,
        "powerStatusTimestamp": 0, "powerCommandPolicy": "POWER_COMMAND_POLICY_IMMEDIATE", "powerOnTime": 0,
        "hostStatus": "Not Connected", "hostStatusIndicator": unknown, "hostStatusTimestamp": 0,
        "onboardingStatus": "Not Connected", "onboardingStatusIndicator": unknown, "onboardingStatusTimestamp": 0,
        "registrationStatus": "Unknown", "registrationStatusIndicator": unknown, "registrationStatusTimestamp": 0,
        "hostStorages": [], "hostNics": [], "hostUsbs": [], "hostGpus": [], "instance": None,
        "amtSku": "AMT_SKU_UNSPECIFIED", "desiredAmtState": "AMT_STATE_UNPROVISIONED",
        "currentAmtState": "AMT_STATE_UNSPECIFIED", "amtStatus": "Unknown", "amtStatusIndicator": unknown,
        "amtStatusTimestamp": 0, "userLvmSize": 0, "amtControlMode": "AMT_CONTROL_MODE_UNSPECIFIED",
        "amtDnsSuffix": "", "kvmStatus": "KVM_STATUS_UNSPECIFIED", "desiredKvmState": "KVM_STATE_UNSPECIFIED",
        "currentKvmState": "KVM_STATE_UNSPECIFIED", "kvmSessionStatus": "", "solStatus": "SOL_STATUS_UNSPECIFIED",
        "desiredSolState": "SOL_STATE_UNSPECIFIED", "currentSolState": "SOL_STATE_UNSPECIFIED", "solSessionStatus": "",
        "siteId": "", "powerProviderId": "", "metadata": [], "inheritedMetadata": [], "timestamps": TIMES, **more,
    }  # fmt: skip


def system(id, **more):
    return {
        "resourceId": id, "name": "", "architecture": "", "imageUrl": "", "imageId": "", "description": "",
        "sha256": "a" * 64, "profileName": "", "profileVersion": "", "installedPackages": "", "repoUrl": "",
        "installedPackagesUrl": "", "securityFeature": "SECURITY_FEATURE_UNSPECIFIED", "osType": "OS_TYPE_IMMUTABLE",
        "osProvider": "OS_PROVIDER_KIND_INFRA", "platformBundle": "", "metadata": "", "tlsCaCert": "",
        "existingCvesUrl": "", "existingCves": "", "fixedCvesUrl": "", "fixedCves": "", "osResourceID": id,
        "timestamps": TIMES, **more,
    }  # fmt: skip


def instance(id, of_host, of_os, **more):
    unknown = "STATUS_INDICATION_UNSPECIFIED"
    return {
        "resourceId": id, "kind": "INSTANCE_KIND_METAL", "name": "", "desiredState": "INSTANCE_STATE_RUNNING",
        "currentState": "INSTANCE_STATE_UNSPECIFIED", "host": of_host, "os": of_os,
        "securityFeature": "SECURITY_FEATURE_NONE", "instanceStatus": "Not Installed",
        "instanceStatusIndicator": unknown, "instanceStatusTimestamp": 0, "instanceStatusDetail": "",
        "provisioningStatus": "Not Provisioned", "provisioningStatusIndicator": unknown,
        "provisioningStatusTimestamp": 0, "updateStatus": "No Current Update", "updateStatusIndicator": unknown,
        "updateStatusTimestamp": 0, "trustedAttestationStatus": "Unknown",
        "trustedAttestationStatusIndicator": unknown, "trustedAttestationStatusTimestamp": 0, "workloadMembers": [],
        "localaccount": None, "updatePolicy": None, "existingCves": "", "runtimePackages": "", "osUpdateAvailable": "",
        "customConfig": [], "instanceID": id, "hostID": of_host["resourceId"] if of_host else "",
        "osID": of_os["resourceId"] if of_os else "", "localAccountID": "", "osUpdatePolicyID": "",
        "customConfigID": [], "timestamps": TIMES, **more,
    }  # fmt: skip


def provider(id, name, **more):
    return {
        "resourceId": id, "providerKind": "PROVIDER_KIND_BAREMETAL",
        "providerVendor": "PROVIDER_VENDOR_UNSPECIFIED", "name": name, "apiEndpoint": "x.test", "apiCredentials": [],
        "config": "", "providerID": id, "timestamps": TIMES, **more,
    }  # fmt: skip


# All operations at once ---------------------------------------------------------------------------------------------

OURS = [one for one in CONTRACT["operations"] if one["path"].startswith("/v1/")]


def path_of(operation, project):
    """With an id that was never given."""
    filled = {"projectName": project, "regionId": "any", "resourceId": "region-00000000"}
    return re.sub(r"\{(\w+)\}", lambda name: filled[name[1]], operation["path"])


@pytest.mark.parametrize("operation", OURS, ids=lambda one: f"{one['method']} {one['path']}")
def test_without_a_token_it_is_401_and_in_a_project_of_others_403(acme, beta, client, operation):
    stranger = client_of(beta, "im-rw")
    assert client.generic(operation["method"], path_of(operation, "acme")).json()["code"] == "Unauthenticated"
    answer = stranger.generic(operation["method"], path_of(operation, "acme"), "{}", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "PermissionDenied")


def test_all_names_of_an_operation_lead_to_the_same_view():
    names = {}
    for operation in CONTRACT["operations"]:
        found = resolve(path_of(operation, "acme"))
        of = operation["operationId"].rstrip("0123456789")
        names.setdefault(of, set()).add((found.func.cls, found.func.actions[operation["method"].lower()]))
    assert len(names) == 99 and all(len(views) == 1 for views in names.values())


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("compute/hosts", "hosts"), ("compute/hosts/", "hosts/"), ("compute/hosts/summary", "hosts_summary"),
        ("compute/hosts_summary/", "hosts_summary"), ("compute/os", "operating_systems"),
        ("compute/operating_systems", "operating_systems"), ("regions/whatever/sites", "sites"),
        ("locations?name=e&showRegions=true", "locations?name=e&showRegions=true"),
    ],
)  # fmt: skip
def test_old_paths_answer_what_new_ones_do(api, new, old):
    made(api, "regions", {"name": "Europe"})
    made(api, "sites", {"name": "Berlin"})
    made(api, "compute/hosts/register", {"serialNumber": "SN00001"})
    answers = [api.get(f"{api.base}/{new}"), api.get(f"/edge-infra.orchestrator.apis/v2/{old}")]
    assert answers[0].status_code == 200 and answers[0].content == answers[1].content


# Regions, sites, locations ------------------------------------------------------------------------------------------


def test_regions(api, beta):
    body = '{"metadata":[{"key":"country","value":"germany"}],"name":"Germany","parentId":""}'
    status, germany = send(api, "POST", "regions", body)
    id = germany["resourceId"]
    labelled = {"metadata": [{"key": "country", "value": "germany"}]}
    assert (status, germany) == (200, region(id, "Germany", **labelled))
    assert send(api, "GET", f"regions/{id}") == (200, germany)

    status, bavaria = send(api, "POST", "regions", json.dumps({"name": "Bavaria", "parentId": id}))
    parent = nested(germany, parentRegion=NO_REGION)
    assert (status, bavaria) == (200, region(bavaria["resourceId"], "Bavaria", parent))
    inherits = {**bavaria, "inheritedMetadata": labelled["metadata"]}
    assert send(api, "GET", f"regions/{bavaria['resourceId']}") == (200, inherits)
    made(api, "regions/empty/sites", {"name": "Munich", "regionId": bavaria["resourceId"]})
    roots = "regions?filter=NOT%20has(parentRegion)&orderBy=name%20asc&showTotalSites=true"
    counted = {"regions": [{**germany, "totalSites": 1}], "totalElements": 1, "hasNext": False}
    assert send(api, "GET", roots) == (200, counted)
    below = f'regions?filter=parentRegion.resourceId="{id}"'
    assert send(api, "GET", below) == (200, {"regions": [inherits], "totalElements": 1, "hasNext": False})

    renamed = {**germany, "name": "Deutschland"}
    assert send(api, "PATCH", f"regions/{id}", '{"name":"Deutschland"}') == (200, renamed)
    assert send(api, "PUT", f"regions/{id}", '{"name":"Deutschland"}') == (200, {**renamed, "metadata": []})
    cleared = send(api, "PATCH", f"regions/{id}?fieldMask=name,metadata", '{"name":"D","parentId":"region-0"}')
    assert cleared == (404, {"code": "NotFound", "message": "region_resource not found"})
    assert send(api, "PATCH", f"regions/{id}?fieldMask=metadata", '{"name":"D"}')[1]["name"] == "Deutschland"
    refused = {"code": "FailedPrecondition", "message": f"{id} is in use by {bavaria['resourceId']}"}
    assert send(api, "DELETE", f"regions/{id}") == (400, refused)
    theirs = client_of(beta, "im-rw")
    for method, body in (("GET", ""), ("PUT", '{"name":"x"}'), ("PATCH", '{"name":"x"}'), ("DELETE", "")):
        assert send(theirs, method, f"regions/{id}", body) == (
            404, {"code": "NotFound", "message": "region_resource not found"},
        )  # fmt: skip
    assert send(theirs, "GET", "regions") == (200, {"regions": [], "totalElements": 0, "hasNext": False})
    assert send(theirs, "POST", "regions", json.dumps({"name": "x", "parentId": id}))[0] == 404


def test_sites(api, beta):
    berlin = made(api, "regions", {"name": "Berlin", "metadata": [{"key": "city", "value": "berlin"}]})
    body = f'{{"name":"Mitte","regionId":"{berlin["resourceId"]}","siteLat":525200000,"siteLng":-50000000}}'
    status, mitte = send(api, "POST", "regions/empty/sites", body)
    id, placed = mitte["resourceId"], {"siteLat": 525200000, "siteLng": -50000000}
    assert (status, mitte) == (200, site(id, "Mitte", nested(berlin, parentRegion=NO_REGION), **placed))
    shown = {**mitte, "inheritedMetadata": [{"key": "city", "value": "berlin"}]}
    assert send(api, "GET", f"regions/*/sites/{id}") == (200, shown)
    filtered = f"regions/region/sites?filter=region.resource_id='{berlin['resourceId']}'&pageSize=100"
    assert send(api, "GET", filtered) == (200, {"sites": [shown], "totalElements": 1, "hasNext": False})
    with_provider = '{"name":"M","provider":{"name":"x","providerKind":"PROVIDER_KIND_BAREMETAL","apiEndpoint":"x"}}'
    assert send(api, "PUT", f"sites/{id}", with_provider) == (200, site(id, "M"))
    assert send(api, "PATCH", f"sites/{id}", '{"siteLat":1}') == (200, site(id, "M", siteLat=1))
    assert send(api, "PATCH", f"sites/{id}", '{"siteLat":900000001}') == (400, {
        "code": "InvalidArgument",
        "message": "siteLat: Ensure this value is less than or equal to 900000000, not 900000001",
    })  # fmt: skip
    assert send(client_of(beta, "im-rw"), "GET", f"sites/{id}") == (
        404, {"code": "NotFound", "message": "site_resource not found"},
    )  # fmt: skip
    assert send(api, "DELETE", f"regions/empty/sites/{id}") == (200, {})
    assert send(api, "GET", f"sites/{id}")[0] == 404


def test_locations_are_found_by_name_with_all_that_they_lie_in(api, beta):
    europe = made(api, "regions", {"name": "Europe"})["resourceId"]
    berlin = made(api, "regions", {"name": "Berlin", "parentId": europe})["resourceId"]
    mitte = made(api, "sites", {"name": "Berlin Mitte", "regionId": berlin})["resourceId"]
    nodes = [
        {"resourceId": mitte, "parentId": berlin, "name": "Berlin Mitte", "type": "RESOURCE_KIND_SITE"},
        {"resourceId": berlin, "parentId": europe, "name": "Berlin", "type": "RESOURCE_KIND_REGION"},
        {"resourceId": europe, "parentId": "", "name": "Europe", "type": "RESOURCE_KIND_REGION"},
    ]
    assert send(api, "GET", "locations?name=BERLIN&showRegions=true&showSites=true") == (
        200, {"nodes": nodes, "totalElements": 2, "outputElements": 2},
    )  # fmt: skip
    regions = {"nodes": nodes[2:], "totalElements": 1, "outputElements": 1}
    assert send(api, "GET", "locations?name=euro&showRegions=true&showSites=false") == (200, regions)
    assert send(api, "GET", "locations?name=x")[0] == 400 == send(api, "GET", "locations?name=%25&showSites=true")[0]
    none = {"nodes": [], "totalElements": 0, "outputElements": 0}
    assert send(client_of(beta, "im-rw"), "GET", "locations?name=Berlin&showSites=true") == (200, none)


def test_locations_come_as_the_archived_test_suite_wants_them(api):
    """Sites, then regions, the deepest first; those of one depth in the order in which they were made."""
    ids = {}
    for name, parent in (("r-2345678", None), ("r-23456789", "r-2345678"), ("r-3", "r-23456789")):
        ids[name] = made(api, "regions", {"name": name, "parentId": ids.get(parent, "")})["resourceId"]
    for name, region in (("s-2345678", "r-2345678"), ("s-2345679", "r-23456789"), ("s-2345670", None)):
        ids[name] = made(api, "sites", {"name": name, "regionId": ids.get(region, "")})["resourceId"]
    found = send(api, "GET", "locations?name=234567&showRegions=true&showSites=true")[1]
    listed = ["s-2345678", "s-2345679", "s-2345670", "r-23456789", "r-2345678"]
    assert [node["name"] for node in found["nodes"]] == listed
    parents = [ids["r-2345678"], ids["r-23456789"], "", ids["r-2345678"], ""]
    assert [node["parentId"] for node in found["nodes"]] == parents
    assert (found["totalElements"], found["outputElements"]) == (5, 5)
    assert [node["name"] for node in send(api, "GET", "locations?name=r-3&showRegions=true")[1]["nodes"]] == [
        "r-3", "r-23456789", "r-2345678",
    ]  # fmt: skip


def test_at_most_50_locations_are_shown_and_all_counted(api):
    regions = [Region(name=f"r{number:02}") for number in range(52)]
    for region in regions:
        region.ask()
        Site(name="twin", region=region).ask()
    answer = send(api, "GET", "locations?name=r&showRegions=true")[1]
    assert (len(answer["nodes"]), answer["totalElements"], answer["outputElements"]) == (50, 52, 50)
    assert {node["name"] for node in answer["nodes"]} == {f"r{number:02}" for number in range(50)}
    twins = send(api, "GET", "locations?name=twin&showSites=true")[1]  # all called the same: the oldest are shown
    assert (len(twins["nodes"]), twins["totalElements"], twins["outputElements"]) == (100, 52, 50)
    assert [node["parentId"] for node in twins["nodes"][:50]] == [str(region) for region in regions[:50]]


def test_a_location_is_looked_for_by_a_name(api):
    needed = {"code": "InvalidArgument", "message": "name is needed: a part of the name of what is looked for"}
    assert send(api, "GET", "locations?showSites=true") == (400, needed)
    assert send(api, "GET", "locations?name=&showSites=true") == (400, needed)


# Providers and operating systems ------------------------------------------------------------------------------------


def test_providers(api, beta):
    body = '{"apiEndpoint":"x.test","config":"","name":"loca","providerKind":"PROVIDER_KIND_BAREMETAL"}'
    status, loca = send(api, "POST", "providers", body)
    id = loca["resourceId"]
    assert (status, loca) == (200, provider(id, "loca"))
    assert send(api, "GET", f"providers/{id}") == (200, loca)
    listed = {"providers": [loca], "totalElements": 1, "hasNext": False}
    assert send(api, "GET", "providers?filter=name=loca&offset=0&pageSize=100") == (200, listed)
    said = f"There is a provider 'loca' already ({id} has this name)"
    assert send(api, "POST", "providers", body) == (400, {"code": "FailedPrecondition", "message": said})
    assert send(client_of(beta, "im-rw"), "POST", "providers", body)[0] == 200
    assert send(api, "PATCH", f"providers/{id}", "{}")[0] == 405
    assert send(client_of(beta, "im-rw"), "DELETE", f"providers/{id}") == (
        404, {"code": "NotFound", "message": "provider_resource not found"},
    )  # fmt: skip
    assert send(api, "DELETE", f"providers/{id}") == (200, {})


OS = {
    "architecture": "x86_64", "description": "d", "existingCvesUrl": "", "fixedCvesUrl": "", "imageId": "3.0",
    "imageUrl": "files/emt.raw.gz", "name": "emt", "osProvider": "OS_PROVIDER_KIND_INFRA",
    "osType": "OS_TYPE_IMMUTABLE", "profileName": "emt-nonrt", "repoUrl": "files/emt.raw.gz",
    "securityFeature": "SECURITY_FEATURE_NONE", "sha256": "a" * 64, "tlsCaCert": "",
}  # fmt: skip


def test_operating_systems(api, beta):
    status, emt = send(api, "POST", "compute/os", json.dumps(OS))
    id = emt["resourceId"]
    assert (status, emt) == (200, system(id, **{name: OS[name] for name in OS.keys() - {"repoUrl"}}))
    assert send(api, "GET", f"compute/os/{id}") == (200, emt)
    mine = {"OperatingSystemResources": [emt], "totalElements": 1, "hasNext": False}
    assert send(api, "GET", f"compute/os?filter=name='emt' AND resourceId='{id}'") == (200, mine)
    moved = {**emt, "architecture": "arm64"}
    assert send(api, "PATCH", f"compute/os/{id}", '{"architecture":"arm64"}') == (200, moved)
    unchanged = json.dumps({"sha256": "b" * 64, "metadata": '{"a":"b"}', "imageUrl": "other"})
    labelled = {**emt, "architecture": "", "metadata": '{"a":"b"}'}
    assert send(api, "PUT", f"compute/operating_systems/{id}", unchanged) == (200, labelled)
    said = f"There is an operating system 'emt', or one of this profileName and imageId, already ({id} has this name)"
    assert send(api, "POST", "compute/os", json.dumps(OS)) == (400, {"code": "FailedPrecondition", "message": said})
    without = json.dumps({"sha256": "a" * 64, "osProvider": "OS_PROVIDER_KIND_INFRA"})
    assert send(api, "POST", "compute/os", without) == (
        400, {"code": "InvalidArgument", "message": "osType: OS_TYPE_MUTABLE or OS_TYPE_IMMUTABLE is needed"},
    )  # fmt: skip
    assert send(client_of(beta, "im-rw"), "GET", f"compute/os/{id}") == (
        404, {"code": "NotFound", "message": "operating_system_resource not found"},
    )  # fmt: skip
    assert send(api, "DELETE", f"compute/os/{id}") == (200, {})


# Hosts --------------------------------------------------------------------------------------------------------------


def test_a_host_is_registered_shown_placed_and_deleted_at_once(api, beta):
    uuid = str(uuid4())
    body = f'{{"autoOnboard":true,"name":"","serialNumber":"SN12345","userLvmSize":20,"uuid":"{uuid}"}}'
    status, new = send(api, "POST", "compute/hosts/register", body)
    id = new["resourceId"]
    known = {"serialNumber": "SN12345", "uuid": uuid, "userLvmSize": 20, "desiredState": "HOST_STATE_ONBOARDED"}
    assert (status, new) == (200, host(id, **known))
    assert send(api, "GET", f"compute/hosts/{id}") == (200, new)
    found = f"compute/hosts?filter=serialNumber='SN12345' AND uuid='{uuid}'"
    assert send(api, "GET", found) == (200, {"hosts": [new], "totalElements": 1, "hasNext": False})
    said = f"A host with UUID {uuid} is already registered"
    assert send(client_of(beta, "im-rw"), "POST", "compute/hosts/register", body) == (
        400, {"code": "FailedPrecondition", "message": said},
    )  # fmt: skip

    labels = [{"key": "city", "value": "x"}, {"key": "a", "value": "1"}]
    land = made(api, "regions", {"name": "Land", "metadata": labels})["resourceId"]
    town = made(api, "sites", {"name": "Town", "regionId": land, "metadata": [{"key": "a", "value": "2"}]})
    place = f'{{"metadata":[{{"key":"city","value":"y"}}],"name":"rack-7","siteId":"{town["resourceId"]}"}}'
    placed = {
        **new, "name": "rack-7", "siteId": town["resourceId"], "site": town,
        "metadata": [{"key": "city", "value": "y"}],
    }  # fmt: skip
    assert send(api, "PATCH", f"compute/hosts/{id}", place) == (200, placed)
    inherits = {**placed, "inheritedMetadata": [{"key": "a", "value": "2"}]}
    assert send(api, "GET", f"compute/hosts/{id}") == (200, inherits)
    at_site = f"compute/hosts?filter=site.resourceId='{town['resourceId']}'&offset=0&pageSize=20"
    assert send(api, "GET", at_site) == (200, {"hosts": [inherits], "totalElements": 1, "hasNext": False})
    bare = {**placed, "name": "rack-8", "site": None, "siteId": "", "metadata": []}
    assert send(api, "PUT", f"compute/hosts/{id}", '{"name":"rack-8"}') == (200, bare)
    assert send(api, "PUT", f"compute/hosts/{id}", "{}") == (
        400, {"code": "InvalidArgument", "message": "name: This field is required."},
    )  # fmt: skip

    assert send(api, "DELETE", f"compute/hosts/{id}") == (200, {})
    gone = {"code": "NotFound", "message": "host_resource not found"}
    assert send(api, "GET", f"compute/hosts/{id}") == (404, gone) == send(api, "DELETE", f"compute/hosts/{id}")
    assert send(api, "POST", "compute/hosts/register", body)[0] == 200  # the same machine, at once


def test_a_host_that_is_created_is_to_be_onboarded_and_powered_on_in_order(api):
    uuid = str(uuid4())
    body = f'{{"name":"n","uuid":"{uuid}","desiredPowerState":"POWER_STATE_OFF"}}'
    status, new = send(api, "POST", "compute/hosts", body)
    wanted = {
        "name": "n", "uuid": uuid, "desiredState": "HOST_STATE_ONBOARDED", "desiredAmtState": "AMT_STATE_UNSPECIFIED",
        "powerCommandPolicy": "POWER_COMMAND_POLICY_ORDERED",
    }  # fmt: skip
    assert (status, new) == (200, host(new["resourceId"], **wanted))


@pytest.mark.parametrize("path", ["compute/hosts", "compute/hosts/register"])
def test_a_uuid_is_read_as_it_was_written_and_is_the_same_however_it_is_written(api, path):
    """The archived test suite writes capitals, and compares."""
    uuid = str(uuid4())
    new = made(api, path, {"name": "n", "uuid": uuid.upper()})
    assert new["uuid"] == uuid.upper() == send(api, "GET", f"compute/hosts/{new['resourceId']}")[1]["uuid"]
    assert send(api, "PUT", f"compute/hosts/{new['resourceId']}", json.dumps({"name": "m", "uuid": uuid}))[0] == 200
    for spelt in (uuid, uuid.upper(), uuid[3:20].upper()):
        found = send(api, "GET", f'compute/hosts?filter=uuid = "{spelt}"')[1]
        assert [host["uuid"] for host in found["hosts"]] == [uuid.upper()]
    assert send(api, "POST", path, json.dumps({"name": "n", "uuid": uuid}))[0] == 400


def test_a_registered_host_is_onboarded_and_not_trusted_any_more(api, beta):
    id = made(api, "compute/hosts/register", {"serialNumber": "SN00001", "name": "n", "enableVpro": True})["resourceId"]
    row = Host.objects.get(resource_id=id)
    assert (row.desired_state, row.desired_amt_state) == (HostState.REGISTERED, "AMT_STATE_PROVISIONED")
    status, again = send(api, "PATCH", f"compute/hosts/{id}/register", '{"autoOnboard":true}')
    assert (status, again["desiredState"], again["name"]) == (200, "HOST_STATE_ONBOARDED", "n")
    back = send(api, "PATCH", f"compute/hosts/{id}/register", '{"name":"m"}')[1]
    assert back["desiredState"] == "HOST_STATE_REGISTERED"
    assert send(api, "PATCH", f"compute/hosts/{id}/onboard") == (200, {})
    assert Host.objects.get(resource_id=id).desired_state == HostState.ONBOARDED
    row.refresh_from_db()
    row.observe(state=HostState.ONBOARDED)
    assert send(api, "PUT", f"compute/hosts/{id}/invalidate?note=stolen%20(2x)") == (200, {})
    row.refresh_from_db()
    assert (row.desired_state, row.note) == (HostState.UNTRUSTED, "stolen (2x)")
    assert send(api, "PUT", f"compute/hosts/{id}/invalidate?note=")[0] == 400
    not_ours = {"code": "NotFound", "message": "host_resource not found"}
    for method, verb, body in (("PATCH", "register", "{}"), ("PATCH", "onboard", ""), ("PUT", "invalidate", "")):
        assert send(client_of(beta, "im-rw"), method, f"compute/hosts/{id}/{verb}", body) == (404, not_ours)
        refused = {"code": "InvalidArgument", "message": "'host-xyz' is not the id of a host"}
        assert send(api, method, f"compute/hosts/host-xyz/{verb}", body) == (400, refused)
    row.observe(state=HostState.UNTRUSTED)
    answer = send(api, "PATCH", f"compute/hosts/{id}/onboard")
    said = f"{id} can't become HOST_STATE_ONBOARDED: it is HOST_STATE_UNTRUSTED"
    assert answer == (400, {"code": "InvalidArgument", "message": said})
    assert send(api, "DELETE", f"compute/hosts/{id}") == (200, {})
    assert send(api, "GET", f"compute/hosts/{id}")[1]["desiredState"] == "HOST_STATE_DELETED"  # goes when it is done


def test_power_is_asked_for_and_resets_alternate(api):
    id = made(api, "compute/hosts/register", {"serialNumber": "SN00001"})["resourceId"]
    asked = []
    for _ in range(3):
        _, answer = send(api, "PATCH", f"compute/hosts/{id}", '{"desiredPowerState":"POWER_STATE_RESET"}')
        asked.append(answer["desiredPowerState"])
    assert asked == ["POWER_STATE_RESET", "POWER_STATE_RESET_REPEAT", "POWER_STATE_RESET"]
    kept = send(api, "PUT", f"compute/hosts/{id}", '{"name":"n"}')[1]
    assert (kept["desiredPowerState"], kept["powerCommandPolicy"]) == (asked[-1], "POWER_COMMAND_POLICY_IMMEDIATE")
    said = f"{id} can't become AMT_STATE_DISCONNECTED: it is AMT_STATE_UNSPECIFIED"
    refused = {"code": "InvalidArgument", "message": said}
    assert send(api, "PATCH", f"compute/hosts/{id}", '{"desiredAmtState":"AMT_STATE_DISCONNECTED"}') == (400, refused)
    row = Host.objects.get(resource_id=id)
    row.ask(amt_state="AMT_STATE_PROVISIONED")
    row.observe(amt_state="AMT_STATE_PROVISIONED")
    fixed = send(api, "PATCH", f"compute/hosts/{id}", '{"amtControlMode":"AMT_CONTROL_MODE_ACM"}')
    said = f"amtControlMode: {id} is provisioned: ask for AMT_STATE_UNPROVISIONED first"
    assert fixed == (400, {"code": "InvalidArgument", "message": said})


def test_hardware_is_shown_as_resources_and_writes_answer_without_addresses(api):
    id = made(api, "compute/hosts/register", {"serialNumber": "SN00001"})["resourceId"]
    nic = hardware.Nic(
        deviceName="eth0", pciIdentifier="", macAddr="aa", sriovEnabled=False, sriovVfsNum=0, sriovVfsTotal=0,
        features="", mtu=1500, linkState="NETWORK_INTERFACE_LINK_STATE_UP", bmcInterface=False,
        ipaddresses=[hardware.IpAddress(address="10.0.2.15/24", configMethod="IP_ADDRESS_CONFIG_METHOD_STATIC",
                                        status="IP_ADDRESS_STATUS_CONFIGURED", statusDetail="")],
    )  # fmt: skip
    document = {"storages": [], "nics": [nic], "usbs": [], "gpus": []}
    Host.objects.get(resource_id=id).observe(hardware=document, memory_bytes=2**60)
    shown = send(api, "GET", f"compute/hosts/{id}")[1]
    addresses = [{"resourceId": "", **nic["ipaddresses"][0], "timestamps": None}]
    link = {"type": "NETWORK_INTERFACE_LINK_STATE_UP", "timestamps": None}
    assert shown["hostNics"] == [{**nic, "linkState": link, "ipaddresses": addresses, "timestamps": None}]
    assert shown["memoryBytes"] == str(2**60)
    assert send(api, "PATCH", f"compute/hosts/{id}", '{"name":"n"}')[1]["hostNics"][0]["ipaddresses"] == []


def test_the_summary_counts_in_one_pass(api, beta, django_assert_max_num_queries):
    place = made(api, "sites", {"name": "s"})["resourceId"]
    system_id = made(api, "compute/os", OS)["resourceId"]
    ids = [made(api, "compute/hosts/register", {"serialNumber": f"SN0000{n}"})["resourceId"] for n in range(4)]
    for id in ids[1:]:
        send(api, "PATCH", f"compute/hosts/{id}", json.dumps({"siteId": place}))
        made(api, "compute/instances", {"hostID": id, "osID": system_id})
        Instance.objects.get(host_id=id).observe(state=InstanceState.RUNNING)
    Host.objects.get(resource_id=ids[1]).observe(amt_status=Status("no", Indicator.ERROR))
    Instance.objects.get(host_id=ids[2]).observe(update_status=Status("no", Indicator.ERROR))
    assert send(api, "GET", "compute/hosts/summary") == (200, {"total": 4, "error": 2, "running": 1, "unallocated": 1})
    either = f"compute/hosts_summary?filter=resourceId={ids[0]} OR resourceId={ids[3]}"
    assert send(api, "GET", either) == (200, {"total": 2, "error": 0, "running": 1, "unallocated": 1})
    nothing = {"total": 0, "error": 0, "running": 0, "unallocated": 0}
    assert send(client_of(beta, "im-rw"), "GET", "compute/hosts/summary") == (200, nothing)
    assert send(api, "GET", "compute/hosts/summary?filter=x")[0] == 400


def test_the_summary_of_all_hosts_says_what_that_of_hosts_found_by_a_filter_says_and_indexes_tell_it(api, acme):
    """Every mix of: an error of its own, one of its instance, running."""
    system_id = made(api, "compute/os", OS)["resourceId"]
    for number, (own, of_instance, running) in enumerate(product([True, False], repeat=3)):
        host = made(api, "compute/hosts/register", {"serialNumber": f"SN0000{number}", "name": "one"})
        made(api, "compute/instances", {"hostID": host["resourceId"], "osID": system_id})
        if own:
            Host.objects.get(resource_id=host["resourceId"]).observe(host_status=Status("no", Indicator.ERROR))
        facts = {"state": InstanceState.RUNNING} if running else {}
        facts |= {"provisioning_status": Status("no", Indicator.ERROR)} if of_instance else {}
        Instance.objects.get(host_id=host["resourceId"]).observe(**facts)
    machine = Instance(kind="INSTANCE_KIND_VM", os_id=system_id, name="of no host")
    machine.ask(state=InstanceState.RUNNING)
    machine.observe(state=InstanceState.RUNNING, update_status=Status("no", Indicator.ERROR))
    expected = {"total": 8, "error": 6, "running": 1, "unallocated": 8}
    assert send(api, "GET", "compute/hosts/summary?filter=name=one") == (200, expected)
    with CaptureQueriesContext(connection) as asked:
        assert send(api, "GET", "compute/hosts/summary") == (200, expected)
    with schema_context(acme.schema_name), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # of eight rows all are read
        used = {plan for query in asked for plan in _indexes_of(cursor, query["sql"])}
    assert used >= {"inventory_host_failed", "inventory_instance_failed", "inventory_instance_running"}


def _indexes_of(cursor, sql: str) -> set[str]:
    if "count" not in sql.lower():
        return set()
    cursor.execute(f"EXPLAIN {sql}")
    return {*re.findall(r"Scan (?:using|on) (\w+)", "\n".join(line for (line,) in cursor.fetchall()))}


# Instances ----------------------------------------------------------------------------------------------------------


def test_instances(api, beta):
    emt = made(api, "compute/os", OS)
    id_of_host = made(api, "compute/hosts/register", {"serialNumber": "SN00001"})["resourceId"]
    config = made(api, "customConfigs", {"name": "c1", "config": "#cloud-config"})
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEexample"
    account = made(api, "localAccounts", {"username": "op", "sshKey": key})
    body = (
        f'{{"customConfigID":["{config["resourceId"]}"],"hostID":"{id_of_host}","kind":"INSTANCE_KIND_UNSPECIFIED",'
        f'"localAccountID":"{account["resourceId"]}","osID":"{emt["resourceId"]}",'
        '"securityFeature":"SECURITY_FEATURE_NONE"}'
    )
    status, new = send(api, "POST", "compute/instances", body)
    id = new["resourceId"]
    with_both = {
        "localaccount": account, "localAccountID": account["resourceId"], "customConfig": [config],
        "customConfigID": [config["resourceId"]],
    }  # fmt: skip
    of_host = host(id_of_host, serialNumber="SN00001")
    assert (status, new) == (200, instance(id, of_host, emt, **with_both))
    assert send(api, "GET", f"compute/instances/{id}") == (200, new)
    found = 'compute/instances?filter=host.serialNumber="SN00001" AND has(localaccount)&pageSize=20&offset=0'
    assert send(api, "GET", found) == (200, {"instances": [new], "totalElements": 1, "hasNext": False})
    in_host = {**new, "host": None}
    assert send(api, "GET", f"compute/hosts/{id_of_host}")[1]["instance"] == in_host
    renamed = send(api, "PATCH", f"compute/instances/{id}", '{"name":"n"}')
    assert renamed == (200, {**new, "name": "n"})
    assert send(api, "PUT", f"compute/instances/{id}", "{}") == (200, new)
    policy = {"name": "p", "updatePolicy": "UPDATE_POLICY_LATEST"}
    policy = made(api, "os-update-policies", policy)["resourceId"]
    updated = send(api, "PATCH", f"compute/instances/{id}", json.dumps({"osUpdatePolicyID": policy}))[1]
    assert updated["osUpdatePolicyID"] == policy == updated["updatePolicy"]["resourceId"]
    said = {"code": "FailedPrecondition", "message": f"{id_of_host} has an instance already ({id} has this host)"}
    assert send(api, "POST", "compute/instances", body) == (400, said)
    missing = '{"hostID":"host-00000000","osID":"os-00000000"}'
    assert send(api, "POST", "compute/instances", missing) == (
        404, {"code": "NotFound", "message": "host_resource not found"},
    )  # fmt: skip
    none = {"code": "NotFound", "message": "instance_resource not found"}
    stranger = client_of(beta, "im-rw")
    for method, path in (("GET", id), ("DELETE", id), ("PUT", f"{id}/invalidate")):
        assert send(stranger, method, f"compute/instances/{path}") == (404, none)
    assert send(api, "PUT", f"compute/instances/{id}/invalidate") == (200, {})
    assert Instance.objects.get(resource_id=id).desired_state == InstanceState.UNTRUSTED
    assert send(api, "DELETE", f"compute/instances/{id}") == (200, {})


def test_the_command_line_learns_what_is_there_without_signing_in(client, public):
    answer = client.get("/v1/orchestrator")
    assert answer.status_code == 200 and "json" in answer.headers["Content-Type"]
    said = answer.json()
    assert said.keys() == {"schema-version", "orchestrator"} and said["orchestrator"]["version"].startswith("v")
    manager = said["orchestrator"]["features"]["edge-infrastructure-manager"]
    assert manager["installed"] and manager["onboarding"]["installed"] and manager["provisioning"]["installed"]
    assert said["orchestrator"]["features"]["multitenancy"]["installed"]
