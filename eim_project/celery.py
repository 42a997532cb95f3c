"""Celery: wakes the loop and carries nothing that matters; what is outstanding is a row in Postgres."""

import gc
import os
from importlib import import_module

from celery import Celery, Task
from celery.signals import celeryd_after_setup, setup_logging
from django.conf import settings
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eim_project.settings")

NICE = 5  # of workers: a third of the weight of the doors' processes


class OnKeptConnections(Task):
    """A task that takes over the connection to the database that the one before it has left, if that is still good."""

    def before_start(self, *_):
        close_old_connections()


app = Celery("eim", task_cls=OnKeptConnections)
app.conf.update(
    broker_url=settings.BROKER_URL,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_serializer="json",
    accept_content=["json"],
    task_time_limit=settings.TASK_HARD_LIMIT,
    task_soft_time_limit=settings.TASK_SOFT_LIMIT,
    task_default_queue="wake",
    worker_prefetch_multiplier=1,
    worker_max_tasks_per_child=5000,
    worker_hijack_root_logger=False,
    worker_send_task_events=True,  # Flower shows them
    # Tasks on one connection. By default each makes its own, a fifth of the time of the small ones. Not for ever:
    # Postgres keeps what it has learnt of each tenant's tables with the connection.
    CELERY_DB_REUSE_MAX=20,
    broker_connection_retry_on_startup=True,
    # A visibility timeout that is short next to the hour by default, and long next to the longest task.
    broker_transport_options={
        "visibility_timeout": 300,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        # Of publishing: a bell that can't be rung at once is left to the tick. By default a request would wait 6 s.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.1,
        "interval_max": 0.1,
    },
    beat_schedule={
        "tick": {"task": "workers.tick", "schedule": 1.0, "options": {"expires": 5}},
        "remember": {"task": "workers.remember", "schedule": 60.0, "options": {"expires": 60}},
        "clean": {"task": "workers.clean", "schedule": 600.0, "options": {"expires": 600}},
        "audit": {"task": "workers.audit", "schedule": 60.0, "options": {"expires": 60}},
        "os-profiles": {"task": "workers.os_profiles", "schedule": 60.0, "options": {"expires": 60, "queue": "build"}},
        "forget": {"task": "workers.forget", "schedule": 3600.0, "options": {"expires": 3600, "queue": "tenant"}},
        "forget-runs": {
            "task": "provisioning.forget", "schedule": 3600.0, "options": {"expires": 3600, "queue": "tenant"}
        },
        "follow": {"task": "provisioning.follow", "schedule": 600.0, "options": {"expires": 600, "queue": "build"}},
    },
    beat_max_loop_interval=1,
)
app.autodiscover_tasks(["workers", "provisioning"])


@setup_logging.connect
def _as_django_says(**_):
    """Celery would replace the root logger's handlers; settings.LOGGING is already in force."""


@celeryd_after_setup.connect
def _under_its_name(sender, **_):
    from workers import telling  # which needs Django's apps; this file is read before them

    telling.begin(sender)


@celeryd_after_setup.connect
def _behind_the_doors(**_):
    """Where the cores are all busy, whoever waits for an answer, a machine or a person, goes before what is done behind

    their backs. The processes that are forked inherit it.
    """
    os.nice(NICE)


@celeryd_after_setup.connect
def _import_before_forking(**_):
    """What takes seconds, once in the parent. In a child it is a task's time, which is limited: killed for it, the next

    child would begin again.
    """
    import_module("jsonschema")
    gc.collect()
    gc.freeze()  # what is there by now stays, and isn't to be looked through nor copied by each child
    gc.set_threshold(50_000, 20, 50)
