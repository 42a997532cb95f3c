"""Schedules over the REST API, as old clients send and read them, and when they last."""

import re
import time
from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from inventory.models import Host, HostState, Region, RepeatedSchedule, SingleSchedule, Site, Workload
from tests.conftest import client_of
from tests.inventory.nouns import is_unknown_to_others, made, refused, site_in

pytestmark = pytest.mark.django_db
START = 4_000_000_000  # far ahead, and within 32 bits
ONCE = {"name": "patch", "scheduleStatus": "SCHEDULE_STATUS_MAINTENANCE", "startSeconds": START}
NIGHTLY = {
    "name": "nightly", "scheduleStatus": "SCHEDULE_STATUS_OS_UPDATE", "durationSeconds": 3600, "cronMinutes": "30",
    "cronHours": "23", "cronDayMonth": "*", "cronMonth": "*", "cronDayWeek": "*",
}  # fmt: skip
EVERYTHING = ("get", "put", "patch", "delete")


@pytest.fixture
def single(api):
    return f"{api.base}/schedules/single"


@pytest.fixture
def repeated(api):
    return f"{api.base}/schedules/repeated"


@pytest.fixture
def site(acme):
    return site_in("Europe", "Germany")


@pytest.fixture
def host(site):
    return made(Host(serial_number="SN00001", site=site), state=HostState.REGISTERED)


def nowhere(schedule: dict) -> dict:
    return {
        **schedule, "targetHost": None, "targetSite": None, "targetRegion": None, "targetHostId": "",
        "targetSiteId": "", "targetRegionId": "",
    }  # fmt: skip


def test_a_single_schedule_is_shown_as_it_was_made(api, single):
    made = api.post(single, {**ONCE, "endSeconds": START + 600}).json()
    assert re.match(r"^singlesche-[0-9a-f]{8}$", made["resourceId"])
    assert made == nowhere({
        **ONCE, "endSeconds": START + 600, "resourceId": made["resourceId"], "singleScheduleID": made["resourceId"],
        "timestamps": made["timestamps"],
    })  # fmt: skip
    for path in (single, f"{api.base}/compute/schedules/single"):
        assert api.get(f"{path}/{made['resourceId']}").json() == made
        assert api.get(path).json() == {"singleSchedules": [made], "totalElements": 1, "hasNext": False}


def test_a_repeated_schedule_is_shown_as_it_was_made(api, repeated):
    made = api.post(repeated, NIGHTLY).json()
    assert re.match(r"^repeatedsche-[0-9a-f]{8}$", made["resourceId"])
    assert made == nowhere({
        **NIGHTLY, "resourceId": made["resourceId"], "repeatedScheduleID": made["resourceId"],
        "timestamps": made["timestamps"],
    })  # fmt: skip
    for path in (repeated, f"{api.base}/compute/schedules/repeated"):
        assert api.get(f"{path}/{made['resourceId']}").json() == made
        assert api.get(path).json() == {"repeatedSchedules": [made], "totalElements": 1, "hasNext": False}


def test_a_target_is_shown_as_it_shows_itself_but_for_what_it_refers_to(api, single, host, site):
    of_host = api.post(single, {**ONCE, "targetHostId": str(host)}).json()
    shown = api.get(f"{api.base}/compute/hosts/{host}").json()
    assert of_host["targetHost"] == {**shown, "site": None, "inheritedMetadata": []}
    assert (of_host["targetHostId"], of_host["targetSiteId"]) == (str(host), "")
    of_site = api.post(single, {**ONCE, "targetSiteId": str(site)}).json()
    assert of_site["targetSite"]["name"] == "Berlin" and of_site["targetSite"]["region"]["name"] == ""
    region = Region.objects.get(name="Europe")
    of_region = api.post(single, {**ONCE, "targetRegionId": str(region)}).json()
    assert of_region["targetRegion"] == api.get(f"{api.base}/regions/{region}").json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"startSeconds": None}, "startSeconds: This field may not be null, not null"),
        ({"startSeconds": 0}, "startSeconds: Ensure this value is greater than or equal to 1, not 0"),
        (
            {"startSeconds": 2**32},
            "startSeconds: Ensure this value is less than or equal to 4294967295, not 4294967296",
        ),
        ({"startSeconds": "soon"}, 'startSeconds: this is a whole number, not "soon"'),
        ({"startSeconds": 1_000_000_000}, "startSeconds 1000000000 is in the past"),
        ({"endSeconds": START}, f"endSeconds {START} is not after startSeconds {START}"),
        ({"endSeconds": 0}, "endSeconds: Ensure this value is greater than or equal to 1, not 0"),
        ({"name": "a|b"}, 'name: only letters, digits, spaces and - _ . / : ( ), not "a|b"'),
        ({"targetHostId": " "}, "' ' is not the id of a host"),
        ({"targetSiteId": "site-00000000"}, "site_resource not found"),
        ({"singleScheduleID": "singlesche-00000000"}, "singleScheduleID: can't be written"),
    ],
)
def test_a_single_schedule_that_breaks_a_rule_is_refused(api, single, change, message):
    code, status = ("NotFound", 404) if "not found" in message else ("InvalidArgument", 400)
    assert refused(api.post(single, {**ONCE, **change}), message, code, status)
    assert not SingleSchedule.objects.exists()


HOURS = "* or numbers from 0 to 23, like 1,15"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"durationSeconds": 0}, "durationSeconds: Ensure this value is greater than or equal to 1, not 0"),
        (
            {"durationSeconds": 86401},
            "durationSeconds: Ensure this value is less than or equal to 86400, not 86401",
        ),
        ({"cronHours": "24"}, f'cronHours: {HOURS}, not "24"'),
        ({"cronHours": "1-3"}, f'cronHours: {HOURS}, not "1-3"'),
        ({"cronHours": "*/2"}, f'cronHours: {HOURS}, not "*/2"'),
        ({"cronHours": "1,"}, f'cronHours: {HOURS}, not "1,"'),
        ({"cronHours": "1\n"}, f'cronHours: {HOURS}, not "1\\n"'),
        ({"cronHours": ""}, 'cronHours: This field may not be blank, not ""'),
        ({"cronMinutes": "60"}, 'cronMinutes: * or numbers from 0 to 59, like 1,15, not "60"'),
        ({"cronDayMonth": "0"}, 'cronDayMonth: * or numbers from 1 to 31, like 1,15, not "0"'),
        ({"cronMonth": "JAN"}, 'cronMonth: * or numbers from 1 to 12, like 1,15, not "JAN"'),
        ({"cronDayWeek": "7"}, 'cronDayWeek: * or numbers from 0 to 6, like 1,15, not "7"'),
    ],
)
def test_a_repeated_schedule_that_breaks_a_rule_is_refused(api, repeated, change, message):
    assert refused(api.post(repeated, {**NIGHTLY, **change}), message)
    assert not RepeatedSchedule.objects.exists()


@pytest.mark.parametrize("left_out", sorted({*NIGHTLY} - {"name"}))
def test_a_repeated_schedule_needs_all_but_a_name(api, repeated, left_out):
    body = {name: value for name, value in NIGHTLY.items() if name != left_out}
    assert refused(api.post(repeated, body), f"{left_out}: This field is required.")


def test_a_schedule_has_one_target(api, single, host, site):
    both = {**ONCE, "targetHostId": str(host), "targetSiteId": str(site)}
    assert refused(api.post(single, both), "a schedule has one target, not targetHost and targetSite")
    with pytest.raises(ValidationError, match="one target"):
        made(SingleSchedule(start_seconds=START, target_host=host, target_site=site))
    schedule = made(SingleSchedule(start_seconds=START, target_host=host))
    with pytest.raises(IntegrityError), transaction.atomic():  # whoever goes by the model meets the database's rule
        models.QuerySet.update(SingleSchedule.objects.filter(pk=schedule.pk), target_site=site)


def test_naming_another_target_moves_a_schedule_there(api, single, host, site):
    schedule = api.post(single, {**ONCE, "targetHostId": str(host)}).json()
    path = f"{single}/{schedule['resourceId']}"
    moved = api.patch(path, {"targetSiteId": str(site)}).json()
    assert (moved["targetHostId"], moved["targetSiteId"], moved["targetHost"]) == ("", str(site), None)
    nothing = api.patch(path, {"targetSiteId": ""}).json()
    assert nothing == nowhere({**schedule, "timestamps": nothing["timestamps"]})


def test_put_clears_what_it_does_not_say_and_patch_leaves_it(api, single, repeated):
    once = api.post(single, {**ONCE, "endSeconds": START + 600}).json()
    path = f"{single}/{once['resourceId']}"
    patched = api.patch(path, {"name": "later"}).json()
    assert patched == {**once, "name": "later", "timestamps": patched["timestamps"]}
    body = {"scheduleStatus": "SCHEDULE_STATUS_SHIPPING", "startSeconds": START + 1}
    put = api.put(path, body).json()
    assert put == {**once, **body, "name": "", "endSeconds": 0, "timestamps": put["timestamps"]}
    assert refused(api.put(path, {"startSeconds": START}), "scheduleStatus: This field is required.")

    nightly = api.post(repeated, NIGHTLY).json()
    path = f"{repeated}/{nightly['resourceId']}"
    patched = api.patch(path, {"cronHours": "1,2"}).json()
    assert patched == {**nightly, "cronHours": "1,2", "timestamps": patched["timestamps"]}
    put = api.put(path, {**NIGHTLY, "name": ""}).json()
    assert put == {**nightly, "name": "", "timestamps": put["timestamps"]}
    masked = api.patch(f"{path}?fieldMask=name", {"name": "by mask", "cronHours": "5"}).json()
    assert masked == {**nightly, "name": "by mask", "timestamps": masked["timestamps"]}


def test_a_schedule_that_has_begun_can_still_be_ended(api, single):
    schedule = made(SingleSchedule(start_seconds=START))
    begun = int(time.time()) - 60
    models.QuerySet.update(SingleSchedule.objects.all(), start_seconds=begun)
    path = f"{single}/{schedule}"
    assert api.patch(path, {"endSeconds": begun + 3600}).json()["endSeconds"] == begun + 3600
    whole = {"scheduleStatus": "SCHEDULE_STATUS_MAINTENANCE", "startSeconds": begun}
    assert api.put(path, whole).json()["startSeconds"] == begun
    assert refused(api.patch(path, {"startSeconds": begun - 1}), f"startSeconds {begun - 1} is in the past")


def test_schedules_go_and_stay_when_their_target_goes(api, single, repeated, host):
    once = api.post(single, {**ONCE, "targetHostId": str(host)}).json()["resourceId"]
    nightly = api.post(repeated, NIGHTLY).json()["resourceId"]
    api.delete(f"{api.base}/compute/hosts/{host}")
    assert api.get(f"{single}/{once}").json()["targetHostId"] == ""
    assert api.delete(f"{single}/{once}").json() == {} == api.delete(f"{repeated}/{nightly}").json()
    assert refused(api.get(f"{single}/{once}"), "single_schedule_resource not found", "NotFound", 404)
    assert refused(api.delete(f"{repeated}/{nightly}"), "repeated_schedule_resource not found", "NotFound", 404)


def test_schedules_of_others_are_unknown(api, single, repeated, host, beta):
    once, nightly = api.post(single, ONCE).json()["resourceId"], api.post(repeated, NIGHTLY).json()["resourceId"]
    kinds = [("single", once), ("repeated", nightly)]
    for kind, resource_id in kinds:
        is_unknown_to_others(
            beta, f"schedules/{kind}", resource_id, f"{kind}Schedules", f"{kind}_schedule_resource", EVERYTHING
        )
    theirs = client_of(beta, "im-rw")
    nothing = {"singleSchedules": [], "repeatedSchedules": [], "totalElements": 0, "hasNext": False}
    assert theirs.get(f"{theirs.base}/schedules").json() == nothing
    assert theirs.get(f"{theirs.base}/schedules?hostId={host}").json() == nothing
    for kind, body in (("single", ONCE), ("repeated", NIGHTLY)):
        answer = theirs.post(f"{theirs.base}/schedules/{kind}", {**body, "targetHostId": str(host)})
        assert refused(answer, "host_resource not found", "NotFound", 404)


# Which of them are for something ----------------------------------------------------------------------------------


@pytest.fixture
def everywhere(host, site):
    """Names of single and repeated schedules of everything around a host, and of something else."""
    other = made(Site(name="Oslo"))
    workload = made(Workload(kind="WORKLOAD_KIND_CLUSTER"))
    for name, target in {
        "host": {"target_host": host}, "site": {"target_site": site}, "inner": {"target_region": site.region},
        "outer": {"target_region": site.region.parent_region}, "other": {"target_site": other}, "none": {},
        "workload": {"target_workload": workload},
    }.items():  # fmt: skip
        made(SingleSchedule(name=name, start_seconds=START, **target))
        cron = {"cron_hours": "*", "cron_day_month": "*", "cron_month": "*", "cron_day_week": "*"}
        made(RepeatedSchedule(name=name, duration_seconds=60, cron_minutes="0", **cron, **target))


def names(api, query: str, path: str = "schedules") -> list[set[str]]:
    answer = api.get(f"{api.base}/{path}?{query}").json()
    kinds = ("singleSchedules", "repeatedSchedules")
    return [{one["name"] for one in answer[kind]} for kind in kinds if kind in answer]


def test_what_is_for_a_host_are_its_own_schedules_and_those_of_all_that_it_lies_in(api, everywhere, host, site):
    inherited = {"site", "inner", "outer"}
    assert names(api, f"hostId={host}") == [{"host", *inherited}] * 2
    assert names(api, f"siteId={site}", "compute/schedules") == [inherited] * 2
    assert names(api, f"regionId={site.region_id}", "schedules/single") == [{"inner", "outer"}]
    assert names(api, f"regionId={site.region.parent_region_id}", "schedules/repeated") == [{"outer"}]
    assert names(api, "hostId=host-00000000") == [set(), set()]
    assert len(names(api, "")[0]) == 7


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("hostId=host-00000000&siteId=site-00000000", "hostId and siteId: only one can be asked for"),
        ("hostId=", "hostId This field may not be blank., not ''"),
        ("siteId=host-00000000", "siteId this does not match ^site-[0-9a-f]{8}$, not 'host-00000000'"),
        ("unixEpoch=now", "unixEpoch this does not match ^[0-9]+$, not 'now'"),
        ("pageSize=101", "pageSize is a number from 1 to 100, not '101'"),
    ],
)
def test_a_question_for_schedules_that_makes_no_sense_is_refused(api, query, message):
    for path in ("schedules", "compute/schedules/single", "schedules/repeated"):
        assert refused(api.get(f"{api.base}/{path}?{query}"), message)


def test_both_kinds_are_paged_by_themselves_in_the_order_of_their_ids(api, everywhere):
    first = api.get(f"{api.base}/schedules?pageSize=4").json()
    rest = api.get(f"{api.base}/schedules?pageSize=4&offset=4").json()
    assert (first["totalElements"], first["hasNext"], rest["hasNext"]) == (14, True, False)
    for kind in ("singleSchedules", "repeatedSchedules"):
        ids = [one["resourceId"] for one in first[kind] + rest[kind]]
        assert ids == sorted(ids) and len(ids) == 7 and len(first[kind]) == 4


# When they last ---------------------------------------------------------------------------------------------------


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_a_single_schedule_lasts_from_its_start_to_its_end_both_included(api):
    made(SingleSchedule(name="closed", start_seconds=START, end_seconds=START + 10))
    made(SingleSchedule(name="open", start_seconds=START + 5))
    expected = {-1: set(), 0: {"closed"}, 5: {"closed", "open"}, 10: {"closed", "open"}, 11: {"open"}}
    for seconds, lasting in expected.items():
        assert names(api, f"unixEpoch={START + seconds}") == [lasting, set()], seconds


@pytest.mark.parametrize(
    ("cron", "hours", "moment", "lasts"),
    [
        ("30 23 * * *", 1, "2026-03-01T23:30:00", False),  # the second in which it begins isn't part of it
        ("30 23 * * *", 1, "2026-03-01T23:30:01", True),
        ("30 23 * * *", 1, "2026-03-02T00:30:00", True),  # over midnight, and its last second is
        ("30 23 * * *", 1, "2026-03-02T00:30:01", False),
        ("0 0 1 1 *", 24, "2027-01-01T12:00:00", True),
        ("0 0 1 1 *", 24, "2027-02-01T12:00:00", False),
        ("0 0 29 2 *", 1, "2028-02-29T00:10:00", True),
        ("0 0 31 * *", 24, "2026-12-31T23:59:59", True),
        ("0 8,20 * * 0", 1, "2026-03-01T20:20:00", True),  # a Sunday
        ("0 8,20 * * 0", 1, "2026-03-02T20:20:00", False),
        ("0 0 13 * 5", 1, "2026-03-13T00:20:00", True),  # a Friday the 13th
        ("0 0 13 * 5", 1, "2026-04-13T00:20:00", True),  # the 13th is enough,
        ("0 0 13 * 5", 1, "2026-03-20T00:20:00", True),  # and so is a Friday
        ("0 0 13 * 5", 1, "2026-03-21T00:20:00", False),
    ],
)  # fmt: skip
def test_a_repeated_schedule_lasts_for_a_while_from_each_of_its_starts(api, cron, hours, moment, lasts):
    columns = ("cron_minutes", "cron_hours", "cron_day_month", "cron_month", "cron_day_week")
    made(RepeatedSchedule(name="it", duration_seconds=hours * 3600, **dict(zip(columns, cron.split(), strict=True))))
    assert names(api, f"unixEpoch={at(moment)}") == [set(), {"it"} if lasts else set()]
    assert names(api, f"unixEpoch={at(moment)}", "schedules/repeated") == [{"it"} if lasts else set()]
