"""A wish survives: workers are killed, the broker is flushed, beat is stopped, and all ends as if nothing had been.

Each round prints its seed. CHAOS_SEED=n plays that round alone; CHAOS_ROUNDS=n plays so many.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from random import SystemRandom
from urllib.parse import urlsplit

import pytest
import redis
from django.db import connection
from django_tenants.utils import schema_context

from eim_project.celery import app
from inventory.models import Host, HostState
from tenants import events, limits
from tests.chaos.crew import BEAT, WORKERS, Crew, Timeline
from tests.chaos.ending import differences, ending, settled
from tests.chaos.lives import Life, script
from tests.chaos.slow import SLOW
from tests.chaos.waiting import until
from tests.conftest import fresh_project
from workers.models import Queue, Work

pytestmark = pytest.mark.xdist_group("chaos")  # one process has the crew

ROUNDS = 1 if os.environ.get("CHAOS_SEED") else int(os.environ.get("CHAOS_ROUNDS", "20"))


@pytest.fixture(scope="module")
def first_seed():
    return int(os.environ.get("CHAOS_SEED") or SystemRandom().randrange(10**6))


@pytest.fixture(scope="module")
def broker_url():
    """A broker of our own, where this process, too, rings the bell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELERY_BROKER_URL", url := os.environ["CHAOS_BROKER_URL"])
        patch.setattr(app, "_pool", None)
        patch.setattr(app.amqp, "_producer_pool", None)
        patch.setattr(events, "_redis", redis.Redis.from_url(url))
        yield url


@pytest.fixture(scope="module")
def crew(django_db_setup, django_db_blocker, broker_url, tmp_path_factory):
    with django_db_blocker.unblock():
        database = urlsplit(os.environ["DATABASE_URL"])._replace(path="/" + connection.settings_dict["NAME"]).geturl()
        crew = Crew(tmp_path_factory.mktemp("crew"), database, broker_url)
        crew.broker.flushdb()
        for name in (*WORKERS, BEAT):
            crew.start(name)
        yield crew
        crew.stop()
        crew.broker.flushdb()
        connection.close()


def play(lives: list[Life], address: str, disturb=lambda: None) -> dict:
    """Let all machines live at the same time, in a project of their own. Returns how it ended."""
    limits.of_few().storage.reset()  # the machines of all rounds have the same UUIDs, and ask for credentials
    with fresh_project() as project, ThreadPoolExecutor(len(lives)) as threads:
        living = [threads.submit(life.live, project.schema_name, address) for life in lives]
        disturb()
        for life in living:
            life.result()
        settled(project.schema_name)
        return ending(project.schema_name)


def test_slow_queues_do_not_delay_the_others(crew):
    """With the processes of `manage.py up`: those that talk and build, and those that do the rest."""
    crew.start("builders", "build", processes=1)
    crew.start("bmc")
    crew.wait_until_ready()
    with fresh_project() as project, schema_context(project.schema_name):
        for number in range(8):
            Host(serial_number=f"SLOW{number:04}", name=SLOW).ask(state=HostState.REGISTERED)
        slow = Work.objects.filter(schema=project.schema_name, queue__in=[Queue.BMC, Queue.BUILD])
        until(lambda: slow.count() == 16 and slow.filter(leased_until__isnull=False), "slow work is at work")
        waits = []
        for number in range(5):
            host = Host(serial_number=f"QUICK{number:04}")
            host.ask(state=HostState.REGISTERED)
            asked = time.monotonic()
            host.ask(state=HostState.DELETED)
            until(lambda pk=host.pk: not Host.objects.filter(pk=pk).exists(), "the host is gone")
            waits.append(round(time.monotonic() - asked, 2))
        assert slow.count() == 16 and slow.filter(leased_until__isnull=False), "the slow work was to fill its queues"
        crew.stop("builders", "bmc")
    assert max(waits) < 2, waits


@pytest.mark.parametrize("number", range(ROUNDS))
def test_all_ends_as_if_nothing_had_been(number, first_seed, crew, southbound_address, capsys):
    seed = first_seed + number
    lives, timeline = script(seed), Timeline(seed)
    try:
        crew.wait_until_ready()
        began = time.monotonic()
        undisturbed = play(lives, southbound_address)
        between = time.monotonic()
        disturbed = play(lives, southbound_address, lambda: timeline.happen_to(crew))
        took = f"{between - began:.1f} s undisturbed, {time.monotonic() - between:.1f} s with:"
        assert [*differences(disturbed, undisturbed)] == []
    except BaseException as problem:
        problem.add_note(f"CHAOS_SEED={seed}: {', '.join(map(str, lives))}. {timeline}")
        raise
    with capsys.disabled():
        print(f"chaos round {number + 1}: CHAOS_SEED={seed}, {took} {timeline}", file=sys.stderr)
