"""What may be done to a host on its page: each verb with its words, when it is offered, and who does it, which is never

us: wishes go by ask(), installations by provisioning/verbs.py.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest

from inventory.models import (
    AmtControlMode,
    AmtSku,
    AmtState,
    Host,
    HostState,
    Instance,
    InstanceState,
    KvmState,
    PowerState,
    SingleSchedule,
    SolState,
)
from inventory.models.schedule import ScheduleStatus
from provisioning import verbs, workflow
from provisioning.models import ACTIVE, Workflow, WorkflowState
from tenants.errors import AlreadyClaimed, ResourceError
from tenants.permissions import name_of
from workers import power, updates

REFUSALS = (ResourceError, ValidationError, AlreadyClaimed, *verbs.REFUSALS)
SOON = 2  # seconds; a schedule begins in the future
HOURS = {"1": "1 hour", "4": "4 hours", "24": "a day", "0": "until I end it"}
MODES = {
    AmtControlMode.CCM.value: "Client control: whoever opens a remote console needs a code from the machine's screen",
    AmtControlMode.ACM.value: "Admin control: without; its domain's certificate must be known to the server (RPS)",
}


@dataclass(frozen=True)
class Situation:
    """A host as it is at this moment, for the verbs to judge: two queries beside the host's own."""

    host: Host
    instance: Instance | None
    run: Workflow | None  # the latest, without its sealed inputs
    switchable: bool
    maintained: list[SingleSchedule]  # of the host alone, in force
    updating: list[SingleSchedule]  # the same, to update its operating system

    @classmethod
    def of(cls, host: Host) -> "Situation":
        instance = getattr(host, "instance", None)
        run = workflow.of(instance).defer("inputs_sealed").first() if instance else None
        mine = [*SingleSchedule.objects.filter(SingleSchedule.in_force(int(time.time()) + SOON), target_host=host)]
        updating = [one for one in mine if one.schedule_status == ScheduleStatus.OS_UPDATE]
        maintained = [one for one in mine if one not in updating]
        switchable = Host.objects.filter(power.switchable(), pk=host.pk).exists()
        return cls(host, instance, run, switchable, maintained, updating)

    @property
    def is_going(self) -> bool:
        return self.host.desired_state in (HostState.DELETED, HostState.UNTRUSTED)

    @property
    def is_installed(self) -> bool:
        return self.instance is not None and self.instance.current_state == InstanceState.RUNNING

    @property
    def is_being_installed(self) -> bool:
        return self.run is not None and self.run.state in ACTIVE

    @property
    def is_activated(self) -> bool:
        """Its AMT."""
        return self.host.current_amt_state == AmtState.PROVISIONED and not self.is_going

    @property
    def may_install(self) -> bool:
        return self.instance is not None and self.instance.desired_state == InstanceState.RUNNING and not self.is_going


@dataclass(frozen=True)
class Verb:
    """title is on the button; asks, if there is such a sentence, is what one has to confirm; says, what was done."""

    name: str
    title: str
    icon: str
    offered: Callable[[Situation], bool]
    do: Callable[[Situation, HttpRequest], None]
    says: str
    asks: str = ""
    is_grave: bool = False
    group: str = ""
    choices: dict[str, str] = field(default_factory=dict)  # of `choice`, which the form sends
    asks_which: str = "For how long"
    text: str = ""  # the label of `note`, which the form sends


def _host(**wishes: str) -> Callable[[Situation, HttpRequest], None]:
    return lambda so, request: so.host.ask(**wishes)


def _run(name: str, **told) -> Callable[[Situation, HttpRequest], None]:
    def do(so: Situation, request: HttpRequest) -> None:
        if so.instance is None:
            raise verbs.NotNow(f"{so.host} has no instance")
        verbs.VERBS[name](so.instance, name_of(request.user), **told)

    return do


def _deauthorize(so: Situation, request: HttpRequest) -> None:
    so.host.note = request.POST.get("note", "")
    so.host.ask(state=HostState.UNTRUSTED)


def _delete(so: Situation, request: HttpRequest) -> None:
    """Its instance first: a host waits for it."""
    with transaction.atomic():
        if so.instance is not None:
            so.instance.ask(state=InstanceState.DELETED)
        so.host.ask(state=HostState.DELETED)


def _maintain(so: Situation, request: HttpRequest) -> None:
    hours = int(request.POST.get("choice", "1")) if request.POST.get("choice", "1") in HOURS else 1
    begins = int(time.time()) + SOON
    SingleSchedule(
        name=f"maintenance of {so.host.resource_id}", schedule_status=ScheduleStatus.MAINTENANCE, target_host=so.host,
        start_seconds=begins, end_seconds=begins + hours * 3600 if hours else 0,
    ).ask()  # fmt: skip


def _update(so: Situation, request: HttpRequest) -> None:
    if so.instance is None or not updates.plan_for(so.instance).installs:
        raise verbs.NotNow(f"{so.host} has nothing to update to: an update policy of its instance says to what")
    begins = int(time.time()) + SOON
    SingleSchedule(
        name=f"update of {so.host.resource_id}", schedule_status=ScheduleStatus.OS_UPDATE, target_host=so.host,
        start_seconds=begins, end_seconds=begins + 3600,
    ).ask()  # fmt: skip


def _end_update(so: Situation, request: HttpRequest) -> None:
    for schedule in so.updating:
        schedule.delete()


def _activate(so: Situation, request: HttpRequest) -> None:
    if (mode := request.POST.get("choice")) in MODES:
        so.host.amt_control_mode = mode
    so.host.ask(amt_state=AmtState.PROVISIONED)


def _console(
    kind: str, called: str, icon: str, state: type[KvmState] | type[SolState], never: tuple[AmtSku, ...] = ()
) -> tuple[Verb, Verb]:
    """Starts and stops a session of one kind, which machines of these sorts don't have."""
    pair = f"{kind}_state"
    ended = (state.UNSPECIFIED, state.STOP, state.ERROR)

    def current(so: Situation) -> str:
        return getattr(so.host, f"current_{pair}")

    def is_on(so: Situation) -> bool:
        return current(so) not in ended or getattr(so.host, f"desired_{pair}") not in ended

    return (
        Verb(
            f"{kind}-start", f"Open a {called}", icon,
            lambda so: so.is_activated and so.host.amt_sku not in never and current(so) in ended,
            _host(**{pair: state.START}),
            f"A {called} is asked for: its status says how it goes on", group="Remote",
        ),
        Verb(
            f"{kind}-stop", f"Close the {called}", "cancel",
            lambda so: is_on(so) and getattr(so.host, f"desired_{pair}") != state.STOP,
            _host(**{pair: state.STOP}), f"The {called} is closed", group="Remote",
        ),
    )  # fmt: skip


def _end_maintenance(so: Situation, request: HttpRequest) -> None:
    for schedule in so.maintained:
        schedule.delete()


def _power(state: PowerState, title: str, icon: str, asks: str = "") -> Verb:
    return Verb(
        f"power-{state.label.lower().replace(' ', '-')}", title, icon, lambda so: so.switchable and not so.is_going,
        _host(power_state=state), f"{title} is asked for", asks, bool(asks), "Power",
    )  # fmt: skip


_WILL_END = "What runs on the machine is ended without being asked."
VERBS = {verb.name: verb for verb in (
    Verb(
        "onboard", "Onboard", "how_to_reg",
        lambda so: not so.is_going and so.host.current_state in (HostState.UNSPECIFIED, HostState.REGISTERED)
        and so.host.desired_state != HostState.ONBOARDED,
        _host(state=HostState.ONBOARDED), "It gets its credentials as soon as its machine calls",
    ),
    Verb(
        "retry", "Try again", "replay",
        lambda so: so.may_install and not so.is_installed and not so.is_being_installed and so.run is not None,
        _run("retry"), "The installation goes on where it failed",
    ),
    Verb(
        "pause", "Pause", "pause",
        lambda so: so.is_being_installed and so.run.state != WorkflowState.PAUSED,
        _run("pause"), "No further step is begun; the one that runs goes on to its end",
    ),
    Verb(
        "resume", "Go on", "play_arrow",
        lambda so: so.is_being_installed and so.run.state == WorkflowState.PAUSED,
        _run("resume"), "The installation goes on as soon as there is a place",
    ),
    Verb(
        "abort", "Abort", "stop_circle", lambda so: so.is_being_installed, _run("abort"),
        "The installation is ended", "The machine stays as the step before left it, half installed.", True,
    ),
    Verb(
        "reprovision", "Install anew", "restart_alt",
        lambda so: so.may_install and (so.is_installed or so.run is not None),
        _run("reprovision"), "It is installed anew, from the start",
        "All that is on its disks is gone once the machine has booted from the network. Registration and history stay.",
        True,
    ),
    _power(PowerState.ON, "Switch on", "power_settings_new"),
    _power(PowerState.OFF, "Switch off", "power_off", _WILL_END),
    _power(PowerState.RESET, "Reset", "restart_alt", _WILL_END),
    _power(PowerState.POWER_CYCLE, "Off and on again", "cycle", _WILL_END),
    Verb(
        "amt-activate", "Activate AMT", "settings_remote",
        lambda so: so.host.current_amt_state != AmtState.PROVISIONED and not so.is_going
        and so.host.desired_amt_state != AmtState.PROVISIONED and bool(settings.MPS_URL and settings.RPS_URL),
        _activate, "Its AMT is activated as soon as its agent asks",
        "Then its power is switched and its consoles are opened from here, also while no operating system runs.",
        group="Remote", choices=MODES, asks_which="Who is in control",
    ),
    Verb(
        "amt-deactivate", "Deactivate AMT", "settings_remote",
        lambda so: AmtState.PROVISIONED in (so.host.current_amt_state, so.host.desired_amt_state)
        and so.host.desired_amt_state != AmtState.UNPROVISIONED and not so.is_going,
        _host(amt_state=AmtState.UNPROVISIONED), "Its AMT is deactivated",
        "Its power can't be switched through AMT then, and no console be opened.", True, "Remote",
    ),
    *_console("kvm", "remote screen (KVM)", "desktop_windows", KvmState, never=(AmtSku.ISM,)),
    *_console("sol", "serial console (SOL)", "terminal", SolState),
    Verb(
        "update", "Update now", "update", lambda so: so.is_installed and not so.is_going and not so.updating, _update,
        "For an hour from now it may update: its agent asks every few minutes",
        "A window for updates is opened, for an hour. Its update policy says what is installed in it.",
    ),
    Verb(
        "end-update", "End the update window", "update_disabled", lambda so: bool(so.updating), _end_update,
        "Nothing new is begun; what has begun is carried through",
    ),
    Verb(
        "maintain", "Maintenance", "engineering", lambda so: not so.is_going and not so.maintained, _maintain,
        "Maintenance has begun: alerts of the host are held back",
        "While it lasts, alerts of this host are held back, and its agent knows.", choices=HOURS,
    ),
    Verb(
        "end-maintenance", "End maintenance", "done_all", lambda so: bool(so.maintained), _end_maintenance,
        "The maintenance has ended",
    ),
    Verb(
        "deauthorize", "Deauthorize", "gpp_bad",
        lambda so: so.host.current_state == HostState.ONBOARDED and not so.is_going, _deauthorize,
        "Its credentials are revoked",
        "Its credentials are revoked: the machine is not listened to any more. It can only be deleted then.",
        True, text="Why (for whoever finds it later)",
    ),
    Verb(
        "delete", "Delete", "delete", lambda so: so.host.desired_state != HostState.DELETED, _delete,
        "It goes as soon as what its machine was given is taken back",
        "The host and its instance go, with their history. The machine itself is left as it is.", True,
    ),
)}  # fmt: skip


def offered(so: Situation) -> list[Verb]:
    return [verb for verb in VERBS.values() if verb.offered(so)]
