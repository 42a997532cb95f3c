"""Remote consoles of machines with AMT: a screen (KVM) or a serial line (SOL), by turns of the server and a client.

    client START, server AWAITING_CONSENT, client CONSENT_RECEIVED and REDIRECTION_RECEIVED, server START; then STOP.

In client control mode whoever stands before the machine reads a code from its screen, and the client sends that to MPS.
"""

import time
from datetime import timedelta

from django.db.models import Q

from inventory.models import AmtControlMode, AmtState, Host, KvmState, KvmStatus, SolState, SolStatus, Status
from workers import activation
from workers.drivers.amt import Mps
from workers.drivers.base import Fault, Unable
from workers.engine import Done, Later, Reconciler, Refused, register
from workers.models import Queue

PATIENCE = timedelta(minutes=5)  # with a client that was told what to do; the code is on the screen as long


class Console(Reconciler):
    """One kind of it; the two differ in names."""

    model, queue = Host, Queue.BMC
    called: str
    states: type[KvmState] | type[SolState]
    statuses: type[KvmStatus] | type[SolStatus]

    @property
    def kind(self) -> str:
        return self.pair.removesuffix("_state")

    def outstanding(self):
        """A session that runs is what was asked for, by whichever of the wishes on the way to it."""
        running = Q(**{
            f"desired_{self.pair}": self.states.REDIRECTION_RECEIVED, f"current_{self.pair}": self.states.START,
        })  # fmt: skip
        failed = Q(**{f"current_{self.pair}": self.states.ERROR}) & ~Q(
            **{f"desired_{self.pair}__in": [self.states.START, self.states.STOP]}
        )
        return super().outstanding().exclude(running | failed)

    def reconcile(self, host):
        wanted, current = getattr(host, f"desired_{self.pair}"), getattr(host, f"current_{self.pair}")
        states = self.states
        if wanted == states.STOP:
            return Done(f"{self.called} session stopped", **{
                self.pair: states.STOP, f"{self.kind}_status": self.statuses.DEACTIVATED,
            })  # fmt: skip
        if host.current_amt_state != AmtState.PROVISIONED:
            return self.fail(host, "AMT is not provisioned")
        if wanted == states.REDIRECTION_RECEIVED:
            if current != states.AWAITING_CONSENT:
                return self.fail(host, f"Ask for {states.START} first")
            return Done(f"{self.called} session active", **{
                self.pair: states.START, f"{self.kind}_status": self.statuses.ACTIVATED,
            })  # fmt: skip
        if current == states.AWAITING_CONSENT:
            return self.wait(host)
        if wanted == states.CONSENT_RECEIVED:
            return self.fail(host, f"Ask for {states.START} first")
        return self.begin(host)

    def begin(self, host: Host) -> Later:
        mps, client = Mps(activation.tenant_here()), host.amt_control_mode != AmtControlMode.ACM
        try:
            features = mps.features(host.uuid)
            if not features:
                self.fail(host, f"{self.called}: the machine's AMT tells nothing of its features")
            if self.pair == "sol_state" and not features.get("SOL"):
                self.fail(host, "SOL is not enabled in the machine's AMT")
            if client:
                mps.ask_consent(host.uuid)  # that it isn't ready means that a code is on the screen already
        except (Fault, Unable) as fault:
            self.fail(host, str(fault))
        text = (
            "Awaiting consent: send the code on the machine's screen, then ask for a relay token" if client
            else "Awaiting redirection: no consent is needed, ask for a relay token"
        )  # fmt: skip
        host.observe(**{self.pair: self.states.AWAITING_CONSENT, self.model.wishes[self.pair]: Status(text)})
        return Later(PATIENCE, text, in_status=False)

    def wait(self, host: Host) -> Later:
        since = getattr(host, f"{self.model.wishes[self.pair]}_timestamp")
        left = timedelta(seconds=since + PATIENCE.total_seconds() - time.time())
        if left > timedelta():
            return Later(left, "Waiting for the client", in_status=False)
        return self.fail(host, f"No {self.called} session: nobody consented or went on within 5 minutes")

    def fail(self, host: Host, why: str):
        """Raises Refused: a new wish is needed."""
        host.observe(**{self.pair: self.states.ERROR, f"{self.kind}_status": self.statuses.DEACTIVATED})
        raise Refused(why)


@register
class HostKvm(Console):
    pair, called, states, statuses = "kvm_state", "KVM", KvmState, KvmStatus


@register
class HostSol(Console):
    pair, called, states, statuses = "sol_state", "SOL", SolState, SolStatus
