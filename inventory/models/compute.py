"""Hosts and the instances, the operating systems as installed, that run on them."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone

from inventory import addresses, errors
from inventory.models.access import CustomConfig, LocalAccount, RemoteAccess
from inventory.models.base import EpochField, Indicator, Resource, in_transaction, name_field, status, wish
from inventory.models.columns import late, said
from inventory.models.hardware import Hardware
from inventory.models.location import Site
from inventory.models.metadata import MetadataField
from inventory.models.os import OperatingSystem, SecurityFeature, listing
from inventory.models.policy import OsUpdatePolicy
from inventory.models.provider import Provider
from inventory.models.workload import WorkloadMember
from inventory.naming import camel
from inventory.vendors import Can
from tenants import claims, credentials, events
from tenants.models import Claim, Enrolment
from tenants.statements import fetch


class HostState(models.TextChoices):
    UNSPECIFIED = "HOST_STATE_UNSPECIFIED"
    REGISTERED = "HOST_STATE_REGISTERED"
    ONBOARDED = "HOST_STATE_ONBOARDED"
    UNTRUSTED = "HOST_STATE_UNTRUSTED"
    DELETED = "HOST_STATE_DELETED"


class PowerState(models.TextChoices):
    UNSPECIFIED = "POWER_STATE_UNSPECIFIED"
    ON = "POWER_STATE_ON"
    OFF = "POWER_STATE_OFF"
    SLEEP = "POWER_STATE_SLEEP"
    HIBERNATE = "POWER_STATE_HIBERNATE"
    RESET = "POWER_STATE_RESET"
    POWER_CYCLE = "POWER_STATE_POWER_CYCLE"
    RESET_REPEAT = "POWER_STATE_RESET_REPEAT"


class PowerCommandPolicy(models.TextChoices):
    UNSPECIFIED = "POWER_COMMAND_POLICY_UNSPECIFIED"
    IMMEDIATE = "POWER_COMMAND_POLICY_IMMEDIATE"
    ORDERED = "POWER_COMMAND_POLICY_ORDERED"


class BaremetalControllerKind(models.TextChoices):
    UNSPECIFIED = "BAREMETAL_CONTROLLER_KIND_UNSPECIFIED"
    NONE = "BAREMETAL_CONTROLLER_KIND_NONE"
    IPMI = "BAREMETAL_CONTROLLER_KIND_IPMI"
    VPRO = "BAREMETAL_CONTROLLER_KIND_VPRO"
    PDU = "BAREMETAL_CONTROLLER_KIND_PDU"


class AmtState(models.TextChoices):
    UNSPECIFIED = "AMT_STATE_UNSPECIFIED"
    PROVISIONED = "AMT_STATE_PROVISIONED"
    UNPROVISIONED = "AMT_STATE_UNPROVISIONED"
    DISCONNECTED = "AMT_STATE_DISCONNECTED"


class AmtSku(models.TextChoices):
    UNSPECIFIED = "AMT_SKU_UNSPECIFIED"
    AMT = "AMT_SKU_AMT"
    ISM = "AMT_SKU_ISM"


class AmtControlMode(models.TextChoices):
    UNSPECIFIED = "AMT_CONTROL_MODE_UNSPECIFIED"
    ACM = "AMT_CONTROL_MODE_ACM"
    CCM = "AMT_CONTROL_MODE_CCM"


class KvmStatus(models.TextChoices):
    UNSPECIFIED = "KVM_STATUS_UNSPECIFIED"
    ACTIVATED = "KVM_STATUS_ACTIVATED"
    DEACTIVATED = "KVM_STATUS_DEACTIVATED"


class KvmState(models.TextChoices):
    UNSPECIFIED = "KVM_STATE_UNSPECIFIED"
    START = "KVM_STATE_START"
    STOP = "KVM_STATE_STOP"
    AWAITING_CONSENT = "KVM_STATE_AWAITING_CONSENT"
    ERROR = "KVM_STATE_ERROR"
    CONSENT_RECEIVED = "KVM_CONSENT_RECEIVED"
    REDIRECTION_RECEIVED = "KVM_REDIRECTION_RECEIVED"


class SolStatus(models.TextChoices):
    UNSPECIFIED = "SOL_STATUS_UNSPECIFIED"
    ACTIVATED = "SOL_STATUS_ACTIVATED"
    DEACTIVATED = "SOL_STATUS_DEACTIVATED"


class SolState(models.TextChoices):
    UNSPECIFIED = "SOL_STATE_UNSPECIFIED"
    START = "SOL_STATE_START"
    STOP = "SOL_STATE_STOP"
    AWAITING_CONSENT = "SOL_STATE_AWAITING_CONSENT"
    ERROR = "SOL_STATE_ERROR"
    CONSENT_RECEIVED = "SOL_STATE_CONSENT_RECEIVED"
    REDIRECTION_RECEIVED = "SOL_STATE_REDIRECTION_RECEIVED"


def observed_choice(choices: type[models.TextChoices]) -> models.CharField:
    """A column that machines report, one of these; the first is the unspecified one."""
    unspecified = next(iter(choices))
    return late(models.CharField(max_length=40, choices=choices, default=unspecified, editable=False))


def observed_text(max_length: int = 128) -> models.CharField:
    return late(models.CharField(max_length=max_length, blank=True, editable=False))


def no_hardware() -> Hardware:
    """Of a host whose machine has not reported yet."""
    return {"storages": [], "nics": [], "usbs": [], "gpus": []}


# What counts as an error, of a host and of its instance.
STATUSES_OF_HOSTS = ("host", "onboarding", "registration", "power", "amt")
STATUSES_OF_INSTANCES = ("instance", "provisioning", "update", "trusted_attestation")


def any_error(prefix: str, statuses: tuple[str, ...]) -> models.Q:
    conditions = {f"{prefix}{status}_status_indicator": Indicator.ERROR for status in statuses}
    return models.Q(**conditions, _connector=models.Q.OR)


# What a host has been given, an instance or credentials.
_GIVEN = """
    SELECT 1 FROM inventory_instance WHERE host_id = $1
    UNION ALL SELECT 1 FROM tenants_edgecredential WHERE client_id = $2 AND schema = current_schema()
"""


class Host(Resource):
    prefix = "host"
    shared = (Claim, Enrolment)
    wishes = {
        "state": "host_status", "power_state": "power_status", "amt_state": "amt_status",
        "kvm_state": "kvm_session_status", "sol_state": "sol_session_status",
    }  # fmt: skip
    statuses = {"onboarding_status", "registration_status"}
    observed = {
        "kind", "hardware_kind", "mgmt_ip", "bmc_kind", "power_on_time", "amt_sku", "kvm_status", "sol_status",
        "hardware", "product_name", "memory_bytes", "cpu_model", "cpu_sockets", "cpu_cores", "cpu_threads",
        "cpu_architecture", "cpu_capabilities", "cpu_topology", "bios_vendor", "bios_version", "bios_release_date",
        "bmc_ip", "pxe_mac", "hostname", "uuid", "serial_number", "power_command", "power_commanded_at",
    }  # fmt: skip
    allowed = {
        "state": {
            HostState.UNSPECIFIED: {*HostState},
            HostState.REGISTERED: {HostState.REGISTERED, HostState.ONBOARDED, HostState.DELETED},
            HostState.ONBOARDED: {HostState.ONBOARDED, HostState.UNTRUSTED, HostState.DELETED},
            HostState.UNTRUSTED: {HostState.UNTRUSTED, HostState.DELETED},
            HostState.DELETED: {HostState.DELETED},
        },
        # What only the machine's side can tell is no wish.
        "amt_state": dict.fromkeys(AmtState, {*AmtState} - {AmtState.DISCONNECTED}),
        "kvm_state": dict.fromkeys(KvmState, {*KvmState} - {KvmState.AWAITING_CONSENT, KvmState.ERROR}),
        "sol_state": dict.fromkeys(SolState, {*SolState} - {SolState.AWAITING_CONSENT, SolState.ERROR}),
    }

    name = name_field()
    note = models.CharField(max_length=512, blank=True)
    site = models.ForeignKey(
        Site, null=True, blank=True, on_delete=models.PROTECT, related_name="hosts", to_field="resource_id",
        db_index=False,  # Meta has a better one
    )  # fmt: skip
    provider = models.ForeignKey(
        Provider, null=True, blank=True, on_delete=models.PROTECT, related_name="hosts", to_field="resource_id"
    )
    # What its power is switched through, where that isn't `provider`.
    power_provider = models.ForeignKey(
        Provider, null=True, blank=True, on_delete=models.PROTECT, related_name="powered_hosts", to_field="resource_id"
    )
    metadata = MetadataField()
    user_lvm_size = models.PositiveIntegerField(default=0)  # GB
    # Who the machine is. Asked for when it is registered; after that only the machine itself tells more.
    uuid = models.UUIDField(null=True, blank=True, unique=True)
    # If it was written with capitals: old clients compare what they read with what they wrote.
    uuid_as_given = late(models.CharField(max_length=36, blank=True, editable=False))
    serial_number = models.CharField(max_length=128, blank=True, db_index=True)

    desired_state, current_state = wish(HostState)
    host_status, host_status_indicator, host_status_timestamp = status("Not Connected")
    onboarding_status, onboarding_status_indicator, onboarding_status_timestamp = status("Not Connected")
    registration_status, registration_status_indicator, registration_status_timestamp = status("Unknown")

    desired_power_state, current_power_state = map(late, wish(PowerState))
    power_status, power_status_indicator, power_status_timestamp = map(late, status("Unknown"))
    power_command_policy = late(
        models.CharField(max_length=40, choices=PowerCommandPolicy, default=PowerCommandPolicy.IMMEDIATE)
    )
    power_on_time = late(EpochField(default=0, editable=False))
    # What its machine was told last, and when: a reset is told from the one before, and gets the time that it needs.
    power_command = observed_choice(PowerState)
    power_commanded_at = late(EpochField(default=0, editable=False))

    desired_amt_state, current_amt_state = map(late, wish(AmtState))
    amt_status, amt_status_indicator, amt_status_timestamp = map(late, status("Unknown"))
    amt_sku = observed_choice(AmtSku)
    amt_control_mode = late(models.CharField(max_length=40, choices=AmtControlMode, default=AmtControlMode.UNSPECIFIED))
    amt_dns_suffix = late(models.CharField(max_length=1024, blank=True))

    desired_kvm_state, current_kvm_state = map(late, wish(KvmState))
    kvm_session_status, kvm_session_status_indicator, kvm_session_status_timestamp = map(late, status())
    kvm_status = observed_choice(KvmStatus)
    desired_sol_state, current_sol_state = map(late, wish(SolState))
    sol_session_status, sol_session_status_indicator, sol_session_status_timestamp = map(late, status())
    sol_status = observed_choice(SolStatus)

    kind, hardware_kind, mgmt_ip = observed_text(), observed_text(), observed_text(64)
    bmc_kind = observed_choice(BaremetalControllerKind)
    hostname = models.CharField(max_length=255, blank=True, editable=False)
    product_name = models.CharField(max_length=128, blank=True, editable=False)
    memory_bytes = models.PositiveBigIntegerField(default=0, editable=False)
    cpu_model = models.CharField(max_length=128, blank=True, editable=False)
    cpu_sockets = models.PositiveIntegerField(default=0, editable=False)
    cpu_cores = models.PositiveIntegerField(default=0, editable=False)
    cpu_threads = models.PositiveIntegerField(default=0, editable=False)
    cpu_architecture = models.CharField(max_length=128, blank=True, editable=False)
    cpu_capabilities = models.TextField(blank=True, editable=False)
    cpu_topology = models.TextField(blank=True, editable=False)
    bios_vendor = models.CharField(max_length=128, blank=True, editable=False)
    bios_version = models.CharField(max_length=128, blank=True, editable=False)
    bios_release_date = models.CharField(max_length=128, blank=True, editable=False)
    bmc_ip = models.CharField(max_length=64, blank=True, editable=False)
    pxe_mac = models.CharField(max_length=17, blank=True, editable=False)
    hardware = models.JSONField(default=no_hardware, editable=False)

    class Meta(Resource.Meta):
        indexes = [
            models.Index(fields=["id"], condition=any_error("", STATUSES_OF_HOSTS), name="inventory_host_failed"),
            # A site's hosts are listed in this order, and counted, out of it alone.
            models.Index(fields=["site", "resource_id"], name="inventory_host_of_site"),
        ]

    @in_transaction
    def observe(self, *, only_if=None, **facts):
        if "hardware" not in facts:
            return super().observe(only_if=only_if, **facts)
        before = self._whereabouts()
        wrote = super().observe(only_if=only_if, **facts)
        if wrote and before:
            self._ring_for_others(before - self._whereabouts())
        return wrote

    def _write(self, columns, verb, *, asked=False):
        moves = "site" in columns
        left = {(site, address) for site, address in self._whereabouts() if site != self.site_id} if moves else set()
        super()._write(columns, verb, asked=asked)
        self._ring_for_others(left)

    def _whereabouts(self) -> set[tuple[str, str]]:
        """(site, address): where others with the same are in each other's way."""
        rows: Any = Host.objects.filter(pk=self.pk).values_list("site_id", "hardware")
        if isinstance(self._locked_row, Host):
            rows = [(self._locked_row.site_id, self._locked_row.hardware)]
        return {(site, address) for site, hardware in rows if site for address in addresses.of(hardware)}

    def _ring_for_others(self, gone: set[tuple[str, str]]) -> None:
        """For those who may have an address for themselves again, now that this one is not there with it any more."""
        for site in {site for site, _ in gone}:
            found = addresses.others({address for where, address in gone if where == site}, site, self.pk)
            events.ring_for(Host, {pk for pks in found.values() for pk in pks})

    def ask(self, **wishes):
        if wishes.get("power_state") != PowerState.RESET or self._state.adding:
            return super().ask(**wishes)
        with transaction.atomic():
            super().ask(**{**wishes, "power_state": self._next_reset()})

    def _next_reset(self) -> PowerState:
        """A reset is an act, not a state: one after another is told from it by its name."""
        rows = Host.objects.select_for_update(of=("self",)).filter(pk=self.pk)
        states = rows.values_list("desired_power_state", "current_power_state").get()
        return PowerState.RESET_REPEAT if PowerState.RESET in states else PowerState.RESET

    def must_be_taken_down(self):
        """Not if its machine never got further than to be known: it has no credentials then, and nothing installed."""
        if self.current_state not in (HostState.UNSPECIFIED, HostState.REGISTERED):
            return True
        node = credentials.client_id_of(self.uuid) if self.uuid else ""
        return bool(fetch(_GIVEN, [self.resource_id, node]))

    def clean(self):
        if self.power_command_policy == PowerCommandPolicy.UNSPECIFIED:
            self.power_command_policy = PowerCommandPolicy.IMMEDIATE
        if self.power_provider and not self.power_provider.can(Can.POWER):
            raise ValidationError(f"powerProviderId: {self.power_provider_id} can't {Can.POWER}")

    def _refuse_guarded(self):
        """A new host may name its machine; of a registered one only observe() does."""
        machine = {"uuid", "serial_number"}
        for name in self.guarded() - machine:
            if getattr(self, name) != self._defaults()[name]:
                raise errors.NotYours(f"{name} of a new host can't be set by save(): use ask() or observe()")
        if not self.uuid and not self.serial_number:
            raise errors.InventoryError("A host needs a uuid or a serialNumber")

    def _insert(self):
        if isinstance(self.uuid, str) and self.uuid != self.uuid.lower():
            self.uuid_as_given = self.uuid
        given = self.name
        self.name = given or self.resource_id  # a host without a name is called by its id
        try:
            super()._insert()
        finally:
            if self._state.adding:
                self.name = given  # the next id that is drawn is another one
        claims.claim(self.resource_id, self.uuid, self.serial_number)

    def _release(self):
        self._ring_for_others(self._whereabouts())

    def duplicate_sentence(self):
        return f"A host with UUID {self.uuid} is already registered"


class InstanceState(models.TextChoices):
    UNSPECIFIED = "INSTANCE_STATE_UNSPECIFIED"
    RUNNING = "INSTANCE_STATE_RUNNING"
    DELETED = "INSTANCE_STATE_DELETED"
    UNTRUSTED = "INSTANCE_STATE_UNTRUSTED"


class InstanceKind(models.TextChoices):
    UNSPECIFIED = "INSTANCE_KIND_UNSPECIFIED"
    VM = "INSTANCE_KIND_VM"
    METAL = "INSTANCE_KIND_METAL"


class Instance(Resource):
    prefix = "inst"
    wishes = {"state": "provisioning_status"}
    statuses = {"instance_status", "update_status", "trusted_attestation_status"}
    observed = {"instance_status_detail", "existing_cves", "runtime_packages", "os_update_available"}
    fixed = {"security_feature", "local_account"}
    allowed = {"state": {
        InstanceState.UNSPECIFIED: {*InstanceState},
        InstanceState.RUNNING: {*InstanceState},
        InstanceState.UNTRUSTED: {InstanceState.DELETED},
        InstanceState.DELETED: {InstanceState.DELETED},
    }}  # fmt: skip

    name = name_field()
    kind = models.CharField(max_length=32, choices=InstanceKind, default=InstanceKind.METAL)
    host = models.OneToOneField(
        Host, null=True, blank=True, on_delete=models.PROTECT, related_name="instance", to_field="resource_id"
    )
    os = models.ForeignKey(
        OperatingSystem, on_delete=models.PROTECT, related_name="instances", to_field="resource_id",
        verbose_name="operating system",
    )  # fmt: skip
    security_feature = models.CharField(max_length=64, choices=SecurityFeature, default=SecurityFeature.NONE)
    provider = models.ForeignKey(
        Provider, null=True, blank=True, on_delete=models.PROTECT, related_name="instances", to_field="resource_id"
    )
    local_account = models.ForeignKey(
        LocalAccount, null=True, blank=True, on_delete=models.PROTECT, related_name="instances",
        to_field="resource_id",
    )  # fmt: skip
    os_update_policy = models.ForeignKey(
        OsUpdatePolicy, null=True, blank=True, on_delete=models.PROTECT, related_name="instances",
        to_field="resource_id", verbose_name="OS update policy",
    )  # fmt: skip
    custom_config = models.ManyToManyField(CustomConfig, through="Customization", related_name="instances", blank=True)
    # Of a virtual machine.
    vm_memory_bytes = late(models.PositiveBigIntegerField(default=0))
    vm_cpu_cores = late(models.PositiveIntegerField(default=0))
    vm_storage_bytes = late(models.PositiveBigIntegerField(default=0))

    desired_state, current_state = wish(InstanceState)
    provisioning_status, provisioning_status_indicator, provisioning_status_timestamp = status("Not Provisioned")
    instance_status, instance_status_indicator, instance_status_timestamp = status("Not Installed")
    instance_status_detail = models.CharField(max_length=1024, blank=True, editable=False)
    update_status, update_status_indicator, update_status_timestamp = map(late, status("No Current Update"))
    trusted_attestation_status, trusted_attestation_status_indicator, trusted_attestation_status_timestamp = map(
        late, status("Unknown")
    )
    # JSON, as the machine reports it.
    existing_cves, runtime_packages, os_update_available = listing(), listing(), listing()

    class Meta(Resource.Meta):
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(kind=InstanceKind.VM) | models.Q(host=None), name="instance_vm_without_host"
            ),
            models.CheckConstraint(
                condition=models.Q(kind=InstanceKind.VM)
                | models.Q(vm_memory_bytes=0, vm_cpu_cores=0, vm_storage_bytes=0),
                name="instance_metal_without_vm",
            ),
        ]
        indexes = [
            models.Index(
                fields=["host"],
                condition=models.Q(current_state=InstanceState.RUNNING),
                name="inventory_instance_running",
            ),
            models.Index(
                fields=["host"], condition=any_error("", STATUSES_OF_INSTANCES), name="inventory_instance_failed"
            ),
        ]

    def ask(self, **wishes):
        """Its history goes when it is to go."""
        if wishes.get("state") != InstanceState.DELETED:
            return super().ask(**wishes)
        with transaction.atomic():
            # Locked, and before the instance, so that its machine isn't onboarded, and installed, meanwhile.
            Host.objects.select_for_update(of=("self",)).filter(resource_id=self.host_id or "").first()
            self._forget_updates()
            super().ask(**wishes)

    def _release(self):
        self._forget_updates()

    def _forget_updates(self) -> None:
        for run in self.os_update_runs.all():
            run.delete()

    @transaction.atomic
    def now_runs(self, os: OperatingSystem) -> None:
        """Write down that its machine has updated itself to this one: a fact, about a column that operators write."""
        Instance.objects.filter(pk=self.pk).update(os=os, updated_at=timezone.now())
        self.os = os
        events.announce(self, "observed")

    def must_be_taken_down(self):
        """Not before its installation can have begun, which is when its host is onboarded."""
        never_onboarded = self.host is None or self.host.current_state in (HostState.UNSPECIFIED, HostState.REGISTERED)
        return not never_onboarded or self.current_state != InstanceState.UNSPECIFIED or bool(self.held_by())

    def held_by(self) -> list[str]:
        """Ids of what has to go before it can."""
        member = WorkloadMember.objects.filter(instance=self).values_list("resource_id", flat=True)
        return [*member, *RemoteAccess.objects.filter(instance=self).values_list("resource_id", flat=True)]

    def clean(self):
        if self.kind == InstanceKind.VM and self.host_id:
            raise ValidationError("an instance of INSTANCE_KIND_VM has no host")
        if self.kind != InstanceKind.VM and (vm := said(self, "vm_memory_bytes", "vm_cpu_cores", "vm_storage_bytes")):
            raise ValidationError(f"{' and '.join(map(camel, vm))}: only an instance of INSTANCE_KIND_VM has that")

    def duplicate_sentence(self):
        return f"{self.host_id} has an instance already"


class Customization(models.Model):
    """That an instance was made with a custom config."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE)
    custom_config = models.ForeignKey(CustomConfig, on_delete=models.PROTECT)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instance", "custom_config"], name="a_config_once_an_instance")]

    def __str__(self):
        return str(self.instance)
