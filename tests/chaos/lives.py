"""Machines and what their operators wish: stories that must end the same, whatever befalls the workers meanwhile."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from uuid import NAMESPACE_OID, uuid5

import grpc
from django.db import connections
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, Instance, InstanceState
from provisioning import verbs
from tenants.models import EdgeCredential
from tests.chaos.waiting import until
from tests.southbound import Node, registered, wanted

ACTIONS = 7  # of a workflow
LIVES = 5  # in one round

_one_os = threading.Lock()  # wanted() makes the operating system when it meets none


@dataclass(frozen=True)
class Life:
    """One machine's part in a round."""

    serial: str
    plot: str
    turn: int  # the action, counted from 0, at which the plot turns

    def __str__(self) -> str:
        return f"{self.serial} {self.plot}({self.turn})"

    def live(self, schema: str, address: str) -> None:
        """On a thread of its own."""
        try:
            with schema_context(schema):
                PLOTS[self.plot](Machine(address, self.serial), self.turn)
        except Exception as problem:  # whatever it is, whose life it was belongs to it
            problem.add_note(f"in the life of {self}")
            raise
        finally:
            connections.close_all()


def script(seed: int) -> list[Life]:
    dice = Random(f"script {seed}")
    plots = dice.sample(sorted(PLOTS), LIVES)
    return [Life(f"CHAOS{number:04}", plot, dice.randrange(ACTIONS)) for number, plot in enumerate(plots)]


class Machine(Node):
    """A node together with its operator, who waits until something is shown."""

    def __init__(self, address: str, serial: str) -> None:
        super().__init__(address, serial=serial, uuid=uuid5(NAMESPACE_OID, serial))

    @property
    def host(self) -> Host | None:
        return Host.objects.filter(serial_number=self.serial).first()

    @property
    def instance(self) -> Instance | None:
        return Instance.objects.filter(host__serial_number=self.serial).first()

    def register(self, state: HostState = HostState.ONBOARDED) -> Host:
        return registered(self, state=state)

    def want(self) -> Instance:
        with _one_os:
            return wanted(self.host)

    def ask(self, wish: HostState | InstanceState) -> None:
        """Of the host or of the instance; the wish's own words say of which."""
        resource = self.host if isinstance(wish, HostState) else self.instance
        resource.ask(state=wish)

    def shows(self, text: str) -> None:
        """Wait until a status of the host or the instance begins so."""

        def statuses():
            host, instance = self.host, self.instance
            return [host and host.host_status, instance and instance.provisioning_status]

        try:
            until(lambda: any(status and status.startswith(text) for status in statuses()), f"{text!r} is shown")
        except AssertionError as late:
            late.add_note(f"it shows {statuses()}")
            raise

    def loses_instance(self) -> None:
        until(lambda: self.instance is None, f"the instance of {self.serial} is gone")

    def loses_host(self) -> None:
        until(lambda: self.host is None, f"the host {self.serial} is gone")

    def finds_workflow(self) -> str:
        return until(self.contexts, f"a workflow for {self.serial}")[0].workflow_id

    def work(self, actions: int = ACTIONS) -> str:
        """Report the first so many actions of the workflow done."""
        run = self.finds_workflow()
        for action in self.actions(run)[:actions]:
            self.report(run, action.name, "STATE_SUCCESS")
        return run

    def fail(self, at: int) -> None:
        """Do the actions before this one, and fail at it."""
        run = self.work(at)
        self.report(run, self.actions(run)[at].name, "STATE_FAILED", "no such disk")
        self.shows("Provisioning Failed")

    def install(self) -> None:
        self.work()
        self.shows("Provisioned")


def is_only_registered(machine: Machine, turn: int) -> None:
    machine.register(HostState.REGISTERED)
    machine.onboard()


def is_onboarded_by_a_later_wish(machine: Machine, turn: int) -> None:
    machine.register(HostState.REGISTERED)
    machine.onboard()
    machine.ask(HostState.ONBOARDED)
    machine.onboard()


def is_never_switched_on(machine: Machine, turn: int) -> None:
    machine.register()
    machine.want()


def never_asks_for_its_workflow(machine: Machine, turn: int) -> None:
    machine.register()
    machine.want()
    machine.onboard()


def falls_silent_while_installing(machine: Machine, turn: int) -> None:
    machine.register()
    machine.want()
    machine.onboard()
    machine.work(turn)


def is_installed(machine: Machine, turn: int) -> None:
    machine.register()
    machine.want()
    machine.onboard()
    machine.install()
    machine.heartbeat()


def is_wanted_late(machine: Machine, turn: int) -> None:
    machine.register()
    machine.onboard()
    machine.want()
    machine.install()
    machine.heartbeat()
    machine.report_hardware(hw_info={"product_name": "Chaos 1"})


def fails(machine: Machine, turn: int) -> None:
    machine.register()
    machine.want()
    machine.onboard()
    machine.fail(turn)


def fails_and_is_tried_again(machine: Machine, turn: int) -> None:
    fails(machine, turn)
    verbs.retry(machine.instance, "chaos", from_start=True)
    machine.install()


def is_told_to_start_over(machine: Machine, turn: int) -> None:
    falls_silent_while_installing(machine, turn)
    verbs.retry(machine.instance, "chaos", from_start=True)
    machine.install()


def loses_its_instance_while_installing(machine: Machine, turn: int) -> None:
    falls_silent_while_installing(machine, turn)
    machine.ask(InstanceState.DELETED)
    machine.loses_instance()


def is_installed_twice(machine: Machine, turn: int) -> None:
    is_installed(machine, turn)
    machine.ask(InstanceState.DELETED)
    machine.loses_instance()
    machine.want()
    machine.install()


def goes_host_first(machine: Machine, turn: int) -> None:
    falls_silent_while_installing(machine, turn)
    machine.ask(HostState.DELETED)
    machine.shows("Deleting: waiting on")
    machine.ask(InstanceState.DELETED)
    machine.loses_host()


def waits_to_go_for_ever(machine: Machine, turn: int) -> None:
    is_installed(machine, turn)
    machine.ask(HostState.DELETED)


def is_not_trusted_any_more(machine: Machine, turn: int) -> None:
    is_installed(machine, turn)
    machine.ask(HostState.UNTRUSTED)
    machine.shows("Invalidated")
    try:
        machine.heartbeat(detail="I am still here")
    except grpc.RpcError as refused:
        assert refused.code() == grpc.StatusCode.UNAUTHENTICATED
    else:
        raise AssertionError("a machine that is not trusted is heard")


def is_not_trusted_while_installing(machine: Machine, turn: int) -> None:
    falls_silent_while_installing(machine, turn)
    machine.ask(HostState.UNTRUSTED)
    machine.shows("Provisioning Failed")
    assert machine.contexts() == [] and not EdgeCredential.objects.filter(host_uuid=machine.uuid).exists()


def is_not_trusted_and_deleted(machine: Machine, turn: int) -> None:
    machine.register()
    machine.onboard()
    machine.ask(HostState.UNTRUSTED)
    machine.shows("Invalidated")
    machine.ask(HostState.DELETED)
    machine.loses_host()


def has_an_instance_not_trusted(machine: Machine, turn: int) -> None:
    falls_silent_while_installing(machine, turn)
    machine.ask(InstanceState.UNTRUSTED)


def belongs_to_somebody_in_a_hurry(machine: Machine, turn: int) -> None:
    """Wishes come faster than anybody can fulfil them; the last one counts."""
    machine.register()
    machine.want()
    machine.onboard()
    machine.ask(InstanceState.RUNNING)
    machine.ask(InstanceState.DELETED)
    machine.loses_instance()
    machine.want()
    machine.ask(InstanceState.RUNNING)
    machine.install()
    for wish in (HostState.ONBOARDED, HostState.UNTRUSTED, HostState.UNTRUSTED, HostState.DELETED):
        machine.ask(wish)
    machine.ask(InstanceState.DELETED)
    machine.loses_host()
    is_installed(machine, turn)


def is_registered_again(machine: Machine, turn: int) -> None:
    is_only_registered(machine, turn)
    machine.ask(HostState.DELETED)
    machine.loses_host()
    is_installed(machine, turn)


PLOTS: dict[str, Callable[[Machine, int], None]] = {
    plot.__name__: plot
    for plot in (
        is_only_registered, is_onboarded_by_a_later_wish, is_never_switched_on, never_asks_for_its_workflow,
        falls_silent_while_installing, is_installed, is_wanted_late, fails, fails_and_is_tried_again,
        is_told_to_start_over, loses_its_instance_while_installing, is_installed_twice, goes_host_first,
        waits_to_go_for_ever, is_not_trusted_any_more, is_not_trusted_while_installing, is_not_trusted_and_deleted,
        has_an_instance_not_trusted, belongs_to_somebody_in_a_hurry, is_registered_again,
    )
}  # fmt: skip
