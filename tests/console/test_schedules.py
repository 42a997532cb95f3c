"""The calendar of schedules: which windows are shown when, and what the form makes of what is said in a time zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from console.schedules import in_each_others_way, windows_of
from inventory.models import Host, HostState, Region, RepeatedSchedule, SingleSchedule, Site
from tenants import roles
from tenants.models import Role, User

pytestmark = pytest.mark.django_db

ALWAYS = dict.fromkeys(["cron_minutes", "cron_hours", "cron_day_month", "cron_month", "cron_day_week"], "*")
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def writer(acme, client):
    user = User.objects.create_user("olga")
    roles.grant(Role.WRITE, user, acme)
    client.force_login(user)
    return client


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def single(start: str, end: str | None = None, **told) -> SingleSchedule:
    schedule = SingleSchedule(
        schedule_status="SCHEDULE_STATUS_MAINTENANCE", start_seconds=int(at(start).timestamp()),
        end_seconds=int(at(end).timestamp()) if end else 0, **told,
    )  # fmt: skip
    schedule.ask()
    return schedule


def repeated(lasts: int, **told) -> RepeatedSchedule:
    schedule = RepeatedSchedule(
        schedule_status="SCHEDULE_STATUS_OS_UPDATE", duration_seconds=lasts, **{**ALWAYS, "cron_minutes": "0", **told}
    )
    schedule.ask()
    return schedule


def shown(schedule, begin: str, end: str) -> list[tuple[str, str]]:
    return [
        (f"{window.start:%d %H:%M}", f"{window.end:%d %H:%M}" if window.end else "")
        for window in windows_of(schedule, at(begin), at(end))
    ]


def test_windows_are_those_that_last_at_some_time_of_the_page(acme):
    nightly = repeated(7200, cron_hours="23", name="nightly")
    assert shown(nightly, "2031-03-02", "2031-03-04") == [
        ("01 23:00", "02 01:00"), ("02 23:00", "03 01:00"), ("03 23:00", "04 01:00"),
    ]  # fmt: skip
    assert shown(repeated(60), "2031-03-02", "2031-03-02 02:00") == [
        ("02 00:00", "02 00:01"), ("02 01:00", "02 01:01"), ("02 02:00", "02 02:01"),
    ]  # fmt: skip
    assert shown(repeated(3600), "2031-03-02", "2031-03-02 03:00") == [("02 00:00", "02 04:00")]
    once = single("2031-03-02 10:00", "2031-03-05 10:00")
    assert shown(once, "2031-03-04", "2031-03-05") == [("02 10:00", "05 10:00")]
    assert shown(once, "2031-03-05 10:00", "2031-03-06") == []
    assert shown(single("2031-03-02 10:00"), "2032-03-04", "2032-03-05") == [("02 10:00", "")]


def test_what_lasts_at_once_for_the_same_machines_is_told_and_nothing_else_is(acme):
    country = Region(name="country")
    country.ask()
    city = Region(name="city", parent_region=country)
    city.ask()
    here, there = Site(name="here", region=city), Site(name="there")
    here.ask()
    there.ask()
    host = Host(serial_number="SN00001", site=here)
    host.ask(state=HostState.REGISTERED)
    single("2031-03-02 10:00", "2031-03-02 12:00", name="host", target_host=host)
    single("2031-03-02 11:00", "2031-03-02 13:00", name="country", target_region=country)
    single("2031-03-02 11:00", "2031-03-02 13:00", name="elsewhere", target_site=there)
    single("2031-03-02 12:00", "2031-03-02 14:00", name="after", target_host=host)
    rows = SingleSchedule.objects.select_related("target_host__site", "target_site", "target_region")
    windows = sorted(
        (window for row in rows for window in windows_of(row, at("2031-03-01"), at("2031-04-01"))),
        key=lambda window: window.start,
    )
    pairs = {(one.schedule.name, other.schedule.name) for one, other in in_each_others_way(windows)}
    assert pairs == {("host", "country"), ("country", "after")}


@pytest.mark.parametrize("view", ["month", "week"])
def test_a_page_shows_windows_on_the_days_of_the_time_zone_that_is_asked_for(writer, acme, view):
    repeated(3600, cron_hours="23", cron_day_week="0", name="sundays")
    page = writer.get("/p/acme/schedules/", {"view": view, "at": "2031-03-03", "zone": "Europe/Berlin"}).text
    monday = page.partition('aria-label="Monday 3 March"')[2].partition("</section>")[0]
    sunday = page.partition('aria-label="Sunday 9 March"')[2].partition("</section>")[0]
    assert "sundays" in monday and "00:00-01:00" in monday and "sundays" not in sunday
    writer.cookies["zone"] = "Europe%2FBerlin"
    assert "00:00-01:00" in writer.get("/p/acme/schedules/", {"view": view, "at": "2031-03-03"}).text
    page = writer.get("/p/acme/schedules/", {"view": view, "at": "2031-03-03", "zone": "Mars/Olympus"})
    assert page.status_code == 200


def test_only_what_is_for_a_place_and_what_that_lies_in_is_shown_if_it_is_chosen(writer, acme):
    region = Region(name="north")
    region.ask()
    site = Site(name="Berlin", region=region)
    site.ask()
    single("2031-03-02 10:00", name="of-region", target_region=region)
    single("2031-03-02 10:00", name="of-nothing")
    page = writer.get("/p/acme/schedules/", {"at": "2031-03-02", "for": site.resource_id}).text
    assert "of-region" in page and "of-nothing" not in page


def test_the_queries_are_as_many_however_many_schedules_there_are(writer, acme):
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert writer.get("/p/acme/schedules/", {"at": "2031-03-02"}).status_code == 200
        return sum("inventory_" in query["sql"] for query in queries)

    def make(number: int) -> None:
        site = Site(name=f"site-{number}")
        site.ask()
        repeated(3600, name=f"r{number}", target_site=site, cron_hours="2")
        single("2031-03-02 02:00", "2031-03-02 03:00", name=f"s{number}", target_site=site)

    make(1)
    one = asked()
    for number in range(2, 8):
        make(number)
    assert asked() == one


FORM = {
    "name": "patches", "what": "SCHEDULE_STATUS_OS_UPDATE", "target": "Berlin", "zone": "UTC", "kind": "weekly",
    "start_time": "00:30", "hours": 2, "minutes": 15, "weekdays": ["1", "5"],
}  # fmt: skip


@pytest.fixture
def berlin(acme):
    site = Site(name="Berlin")
    site.ask()
    return site


def post(client, **said):
    return client.post("/p/acme/schedules/new/", {**FORM, **said})


def test_a_weekly_schedule_moves_to_the_days_that_its_time_has_in_utc(writer, berlin):
    assert post(writer).status_code == 302
    there = RepeatedSchedule.objects.get()
    assert (there.cron_hours, there.cron_minutes, there.cron_day_week, there.duration_seconds) == (
        "0",
        "30",
        "1,5",
        8100,
    )
    assert there.target_site == berlin and there.cron_month == there.cron_day_month == "*"
    page = post(writer, zone="Asia/Tokyo", weekdays=["0", "1"])  # UTC+9, always
    assert "SCHEDULE" not in page.url and writer.get(page.url).status_code == 200
    moved = RepeatedSchedule.objects.order_by("-pk").first()
    assert (moved.cron_hours, moved.cron_minutes, moved.cron_day_week) == ("15", "30", "0,6")


def test_a_monthly_schedule_that_utc_cannot_say_is_refused_with_the_way_out(writer, berlin):
    monthly = {"kind": "monthly", "days": "1, 15"}
    assert post(writer, **monthly).status_code == 302
    assert RepeatedSchedule.objects.get().cron_day_month == "1,15"
    refused = post(writer, **monthly, zone="Asia/Tokyo")
    assert refused.status_code == 400 and "or say it in UTC" in refused.text
    assert post(writer, **{**monthly, "days": "2,15"}, zone="Asia/Tokyo").status_code == 302
    assert RepeatedSchedule.objects.order_by("-pk").first().cron_day_month == "1,14"
    assert post(writer, months=["1"], zone="Asia/Tokyo").status_code == 400


def test_a_single_one_lasts_from_a_moment_of_its_zone_or_until_it_is_ended(writer, berlin):
    once = {"kind": "once", "start_date": "2031-07-01", "zone": "Europe/Berlin"}
    made = post(writer, **once)
    there = SingleSchedule.objects.get()
    start = int(datetime(2031, 7, 1, 0, 30, tzinfo=BERLIN).timestamp())
    assert (there.start_seconds, there.end_seconds) == (start, start + 8100)
    assert writer.post(f"{made.url}end/").url == "/p/acme/schedules/" and not SingleSchedule.objects.exists()
    post(writer, **once, open_end="on")
    assert SingleSchedule.objects.get().end_seconds == 0


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"target": "Nowhere"}, "There is no host, site or region called Nowhere"),
        ({"zone": "Mars"}, "There is no such time zone"),
        ({"weekdays": []}, "On which days?"),
        ({"kind": "monthly", "days": "32"}, "Numbers from 1 to 31"),
        ({"kind": "monthly", "days": "x"}, "Numbers from 1 to 31"),
        ({"kind": "once"}, "On which day?"),
        ({"kind": "once", "start_date": "2001-01-01"}, "is in the past"),
        ({"hours": 25}, "lasts a day at most"),
        ({"hours": 0, "minutes": 0}, "How long does it last?"),
        ({"name": "x" * 64}, "at most 63 characters"),
    ],
)
def test_what_makes_no_schedule_is_told_at_its_field(writer, berlin, said, told):
    refused = post(writer, **said)
    assert refused.status_code == 400 and told in refused.text
    assert not RepeatedSchedule.objects.exists() and not SingleSchedule.objects.exists()


def test_a_name_that_several_have_is_to_be_said_by_its_id(writer, berlin):
    Region(name="Berlin").ask()
    assert "Several are called Berlin" in post(writer).text
    assert post(writer, target=berlin.resource_id).status_code == 302
