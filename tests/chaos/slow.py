"""Slow work for the crew's workers: each host named "slow" is talked to and built for, a second at a time, for ever."""

import time
from datetime import timedelta

from inventory.models import Host
from workers.engine import Later, Reconciler, register
from workers.models import Queue

SLOW = "slow"


class Slow(Reconciler):
    model = Host

    def outstanding(self):
        return Host.objects.filter(name=SLOW)

    def reconcile(self, host):
        time.sleep(1)
        return Later(timedelta(), "Waiting for something slow", in_status=False)


@register
class SlowTalk(Slow):
    queue = Queue.BMC


@register
class SlowBuild(Slow):
    queue = Queue.BUILD
