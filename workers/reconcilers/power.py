"""Makes a machine's power what was asked for, by whatever manages it."""

import time
from contextlib import closing
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q

from inventory.models import Host, Indicator, PowerCommandPolicy, PowerState, Status
from tenants.models import Project
from workers import models, power
from workers.drivers.base import Driver, Fault, Unable
from workers.engine import Done, Later, Reconciler, Refused, register
from workers.models import Queue, Watch

LOOK_AGAIN = timedelta(seconds=5)  # at a machine that was told something


@register
class HostPower(Reconciler):
    model, pair, queue = Host, "power_state", Queue.BMC

    def outstanding(self):
        """Of the machines that can be switched, those that aren't as they were asked for, or aren't watched yet."""
        watched = Watch.objects.filter(schema=connection.schema_name, target=OuterRef("pk"))
        rows = Host.objects.filter(power.switchable()).select_related("power_provider", "provider")
        differ = Q(pk__in=super().outstanding().values("pk"))
        return rows.filter(differ | ~Exists(watched))

    def reconcile(self, host):
        every = timedelta(seconds=settings.POWER_POLL)
        failures, why, due_in = models.watch(connection.schema_name, host.pk, every)
        if failures and due_in > timedelta():
            return Later(due_in + LOOK_AGAIN, why, in_status=False)  # it is silent; the watch asks it, and nobody else
        if host.desired_power_state == PowerState.UNSPECIFIED:
            return Done()  # it is watched
        tenant = Project.objects.values_list("uuid", flat=True).get(schema_name=connection.schema_name)
        try:
            kind, machine = power.driver_for(host, tenant)
            with closing(kind(machine)) as driver:
                return self.switch(host, driver)
        except (Fault, Unable) as fault:  # what is wrong with the provider may be put right without a new wish
            power.failed(host, str(fault))
            after = power.pause(failures + 1)
            models.looked(connection.schema_name, host.pk, str(fault), failures + 1, after)
            return Later(after + LOOK_AGAIN, str(fault), in_status=False)

    def switch(self, host: Host, driver: Driver) -> Done | Later:
        wanted = PowerState(host.desired_power_state)
        doing, done = power.TEXTS[wanted]
        seen = driver.get()
        if power.is_fulfilled(host, seen):
            return Done(done, **power.facts(host, seen))
        if power.is_given_time(host):
            return Later(LOOK_AGAIN, doing, in_status=host.power_status != power.MISMATCH)
        again = host.power_command == wanted
        try:
            driver.set(wanted, ordered=host.power_command_policy == PowerCommandPolicy.ORDERED)
        except Unable as never:
            raise Refused(str(never)) from never
        host.observe(
            power_command=wanted,
            power_commanded_at=int(time.time()),
            power_status=Status(power.MISMATCH, Indicator.ERROR) if again else Status(doing, Indicator.IN_PROGRESS),
        )
        return Later(LOOK_AGAIN, doing, in_status=not again)
