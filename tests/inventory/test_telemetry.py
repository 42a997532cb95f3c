"""Telemetry groups and profiles over the REST API, as old clients send and read them."""

import re

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from inventory.models import Region, TelemetryGroup, TelemetryProfile
from tests.conftest import client_of
from tests.inventory.nouns import an_instance, is_unknown_to_others, made, refused, site_in

pytestmark = pytest.mark.django_db
GROUP = {"name": "Disk", "collectorKind": "TELEMETRY_COLLECTOR_KIND_HOST", "groups": ["disk", "smart (all)"]}
EVERYTHING = ("get", "put", "patch", "delete")
# What differs between the two kinds: their paths, the names in their JSON, and what is said of how much is collected.
KINDS = {
    "logs": {"logLevel": "SEVERITY_LEVEL_INFO"},
    "metrics": {"metricsInterval": 300},
}
CHANGED = {"logs": {"logLevel": "SEVERITY_LEVEL_DEBUG"}, "metrics": {"metricsInterval": 5}}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def groups(api, kind):
    return f"{api.base}/telemetry/groups/{kind}"


@pytest.fixture
def profiles(api, kind):
    return f"{api.base}/telemetry/profiles/{kind}"


@pytest.fixture
def group(api, groups):
    return api.post(groups, GROUP).json()


@pytest.fixture
def site(acme):
    return site_in("Europe", "Germany")


@pytest.fixture
def body(kind, group, site):
    return {**KINDS[kind], f"{kind}GroupId": group["resourceId"], "targetSite": str(site)}


def test_a_group_is_shown_as_it_was_made(api, kind, groups, group):
    assert re.match(r"^telemetrygroup-[0-9a-f]{8}$", group["resourceId"])
    own_id = f"telemetry{kind.title()}GroupId"
    assert group == {
        **GROUP, "resourceId": group["resourceId"], own_id: group["resourceId"], "timestamps": group["timestamps"],
    }  # fmt: skip
    collection = f"telemetry{kind.title()}Groups"
    for path in (groups, f"{api.base}/telemetry/{kind.rstrip('s') if kind == 'metrics' else 'log'}groups"):
        assert api.get(f"{path}/{group['resourceId']}").json() == group
        assert api.get(f"{path}?orderBy=name").json() == {collection: [group], "totalElements": 1, "hasNext": False}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, 'name: This field may not be blank, not ""'),
        ({"groups": None}, "groups: This field may not be null, not null"),
        ({"groups": ["a|b"]}, None),
        ({"groups": []}, None),
        (
            {"collectorKind": "TELEMETRY_COLLECTOR_KIND_UNSPECIFIED"},
            "collectorKind is TELEMETRY_COLLECTOR_KIND_HOST or TELEMETRY_COLLECTOR_KIND_CLUSTER",
        ),
        (
            {"collectorKind": "x"},
            "collectorKind: this is one of TELEMETRY_COLLECTOR_KIND_UNSPECIFIED, TELEMETRY_COLLECTOR_KIND_HOST, "
            'TELEMETRY_COLLECTOR_KIND_CLUSTER, not "x"',
        ),
        ({"kind": "TELEMETRY_RESOURCE_KIND_LOGS"}, "kind: there is no such field"),
    ],
)
def test_a_group_that_breaks_a_rule_is_refused(api, groups, change, message):
    answer = api.post(groups, {**GROUP, **change})
    if message is None:
        assert answer.status_code == 400 and "groups" in answer.json()["message"]
    else:
        assert refused(answer, message)
    assert not TelemetryGroup.objects.exists()


@pytest.mark.parametrize("left_out", sorted(GROUP))
def test_a_group_needs_all_of_it(api, groups, left_out):
    body = {name: value for name, value in GROUP.items() if name != left_out}
    assert refused(api.post(groups, body), f"{left_out}: This field is required.")


def test_a_group_of_the_other_kind_is_not_there(api, kind, groups, group):
    other = groups.replace(kind, {"logs": "metrics", "metrics": "logs"}[kind])
    assert refused(api.get(f"{other}/{group['resourceId']}"), "telemetry_group_resource not found", "NotFound", 404)
    assert refused(api.delete(f"{other}/{group['resourceId']}"), "telemetry_group_resource not found", "NotFound", 404)
    assert api.get(other).json()["totalElements"] == 0


def test_a_group_with_profiles_stays_and_then_goes(api, groups, group, profiles, body):
    profile = api.post(profiles, body).json()["resourceId"]
    message = f"{group['resourceId']} is in use by {profile}"
    assert refused(api.delete(f"{groups}/{group['resourceId']}"), message, "FailedPrecondition")
    assert api.delete(f"{profiles}/{profile}").json() == {} == api.delete(f"{groups}/{group['resourceId']}").json()
    assert refused(api.get(f"{groups}/{group['resourceId']}"), "telemetry_group_resource not found", "NotFound", 404)
    assert refused(api.delete(f"{profiles}/{profile}"), "telemetry_profile_resource not found", "NotFound", 404)


def test_a_profile_is_shown_as_it_was_made(api, kind, group, profiles, body):
    profile = api.post(profiles, body).json()
    assert re.match(r"^telemetryprofile-[0-9a-f]{8}$", profile["resourceId"])
    assert profile == {
        **body, "resourceId": profile["resourceId"], "profileId": profile["resourceId"], "targetInstance": "",
        "targetRegion": "", f"{kind}Group": group, "timestamps": profile["timestamps"],
    }  # fmt: skip
    old = {"logs": "telemetry/loggroups/{}/logprofiles", "metrics": "telemetry/metricgroups/{}/metricprofiles"}[kind]
    collection = f"telemetry{kind.title()}Profiles"
    for path in (profiles, f"{api.base}/{old.format(group['resourceId'])}"):
        assert api.get(f"{path}/{profile['resourceId']}").json() == profile
        assert api.get(path).json() == {collection: [profile], "totalElements": 1, "hasNext": False}


ONE = "exactly one of targetInstance, targetSite and targetRegion is needed"


def test_a_profile_that_breaks_a_rule_is_refused(api, kind, profiles, body, site):
    other = made(TelemetryGroup(
        name="other", collector_kind="TELEMETRY_COLLECTOR_KIND_HOST", groups=["x"],
        kind={"logs": "TELEMETRY_RESOURCE_KIND_METRICS", "metrics": "TELEMETRY_RESOURCE_KIND_LOGS"}[kind],
    ))  # fmt: skip
    of_kind = f"{other} is of {other.kind}, not of TELEMETRY_RESOURCE_KIND_{kind.upper()}"
    refusals: list[tuple[dict, str]] = [
        ({"targetSite": ""}, ONE),
        ({"targetRegion": str(site.region)}, ONE),
        ({"targetSite": "site"}, "'site' is not the id of a site"),
        ({f"{kind}GroupId": str(other)}, of_kind),
        ({f"{kind}GroupId": ""}, f'{kind}GroupId: This field may not be null, not ""'),
        ({"kind": "x"}, "kind: there is no such field"),
    ]
    if kind == "logs":
        needed = "logLevel is needed, SEVERITY_LEVEL_INFO for example"
        refusals += [({"logLevel": "SEVERITY_LEVEL_UNSPECIFIED"}, needed)]
    else:
        least = "metricsInterval: Ensure this value is greater than or equal to 1, not 0"
        refusals += [({"metricsInterval": 0}, least)]
    for change, message in refusals:
        assert refused(api.post(profiles, {**body, **change}), message), change
    for left_out in body.keys() - {"targetSite"}:
        shorter = {name: value for name, value in body.items() if name != left_out}
        assert refused(api.post(profiles, shorter), f"{left_out}: This field is required.")
    assert not TelemetryProfile.objects.exists()


def test_patch_changes_what_it_says_and_put_needs_all(api, kind, profiles, body, site):
    profile = api.post(profiles, body).json()
    path = f"{profiles}/{profile['resourceId']}"
    patched = api.patch(path, CHANGED[kind]).json()
    assert patched == {**profile, **CHANGED[kind], "timestamps": patched["timestamps"]}
    region = str(site.region_id)
    moved = api.patch(path, {"targetRegion": region}).json()
    assert moved == {**patched, "targetSite": "", "targetRegion": region, "timestamps": moved["timestamps"]}
    put = api.put(path, body).json()
    assert put == {**profile, "timestamps": put["timestamps"]}
    assert refused(api.patch(path, {"targetSite": ""}), ONE)
    assert refused(api.put(path, {**body, "targetSite": ""}), ONE)
    assert refused(api.put(path, CHANGED[kind]), f"{kind}GroupId: This field is required.")


def test_the_rules_hold_for_whoever_goes_by_the_api(acme, site):
    group = made(TelemetryGroup(
        name="logs", kind="TELEMETRY_RESOURCE_KIND_LOGS", collector_kind="TELEMETRY_COLLECTOR_KIND_HOST", groups=["x"]
    ))  # fmt: skip
    said = {"kind": group.kind, "group": group, "log_level": "SEVERITY_LEVEL_INFO"}
    profile = made(TelemetryProfile(**said, site=site))
    profile.instance = an_instance()
    with pytest.raises(ValidationError, match="one target, not instance and site"):
        profile.save()
    for change in ({"region": site.region}, {"log_level": "SEVERITY_LEVEL_UNSPECIFIED"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            models.QuerySet.update(TelemetryProfile.objects.filter(pk=profile.pk), **change)


@pytest.fixture
def everywhere(api, profiles, body, site):
    """Profiles of an instance and of all that it lies in, and where they are."""
    instance = an_instance(site=site)
    other = made(Region(name="America"))
    places = {
        "targetInstance": str(instance), "targetSite": str(site), "targetRegion": str(site.region_id),
    }  # fmt: skip
    plain = {name: value for name, value in body.items() if name != "targetSite"}
    ids = {name: api.post(profiles, {**plain, name: place}).json()["resourceId"] for name, place in places.items()}
    outer = {**plain, "targetRegion": str(site.region.parent_region_id)}
    ids["outer"] = api.post(profiles, outer).json()["resourceId"]
    api.post(profiles, {**plain, "targetRegion": str(other)})
    return places, ids


def test_a_list_has_all_or_what_is_named_or_what_that_inherits(api, kind, profiles, everywhere):
    places, ids = everywhere
    instance, site, region = places.values()

    def listed(query: str) -> set[str]:
        answer = api.get(f"{profiles}?{query}").json()
        shown = {profile["resourceId"] for profile in answer[f"telemetry{kind.title()}Profiles"]}
        assert answer["totalElements"] == len(shown) and not answer["hasNext"]
        return shown

    own, of_site, of_region, outer = ids.values()
    assert len(listed("")) == 5
    assert listed(f"instanceId={instance}") == {own} and listed(f"siteId={site}&showInherited=false") == {of_site}
    assert listed(f"instanceId={instance}&regionId={region}") == {own, of_region}
    assert listed(f"instanceId={instance}&showInherited=true") == {own, of_site, of_region, outer}
    assert listed(f"siteId={site}&showInherited=true") == {of_site, of_region, outer}
    assert listed(f"regionId={region}&showInherited=true") == {of_region, outer}
    assert listed("instanceId=inst-00000000&showInherited=true") == set()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("showInherited=true", "showInherited needs exactly one of instanceId, siteId and regionId"),
        (
            "showInherited=true&siteId=site-00000000&regionId=region-00000000",
            "showInherited needs exactly one of instanceId, siteId and regionId",
        ),
        ("showInherited=yes", "showInherited is true or false, not 'yes'"),
        ("instanceId=host-00000000", "instanceId this does not match ^inst-[0-9a-f]{8}$, not 'host-00000000'"),
    ],
)
def test_a_question_for_profiles_that_makes_no_sense_is_refused(api, profiles, query, message):
    assert refused(api.get(f"{profiles}?{query}"), message)


def test_a_profile_stays_for_nothing_when_its_target_goes(api, profiles, everywhere):
    (instance, *_), (own, *_) = (values.values() for values in everywhere)
    api.delete(f"{api.base}/compute/instances/{instance}")
    assert api.get(f"{profiles}/{own}").json()["targetInstance"] == ""


def test_telemetry_of_others_is_unknown(api, kind, group, profiles, body, beta):
    profile = api.post(profiles, body).json()["resourceId"]
    title = kind.title()
    is_unknown_to_others(
        beta, f"telemetry/groups/{kind}", group["resourceId"], f"telemetry{title}Groups", "telemetry_group_resource"
    )
    is_unknown_to_others(
        beta, f"telemetry/profiles/{kind}", profile, f"telemetry{title}Profiles", "telemetry_profile_resource",
        EVERYTHING,
    )  # fmt: skip
    theirs = client_of(beta, "im-rw")
    answer = theirs.post(f"{theirs.base}/telemetry/profiles/{kind}", body)
    assert (answer.status_code, answer.json()["code"]) == (404, "NotFound")
    inherited = theirs.get(f"{theirs.base}/telemetry/profiles/{kind}?siteId={body['targetSite']}&showInherited=true")
    assert inherited.json() == {f"telemetry{title}Profiles": [], "totalElements": 0, "hasNext": False}
