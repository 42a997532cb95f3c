"""Hosts and the instances, the operating systems as installed, that run on them."""

from django.db import models, transaction

from inventory import errors
from inventory.models.base import Resource, name_field, status, wish
from inventory.models.hardware import Hardware
from inventory.models.location import Site
from inventory.models.metadata import MetadataField
from inventory.models.os import OperatingSystem, SecurityFeature
from inventory.models.provider import Provider
from tenants import claims


class HostState(models.TextChoices):
    UNSPECIFIED = "HOST_STATE_UNSPECIFIED"
    REGISTERED = "HOST_STATE_REGISTERED"
    ONBOARDED = "HOST_STATE_ONBOARDED"
    UNTRUSTED = "HOST_STATE_UNTRUSTED"
    DELETED = "HOST_STATE_DELETED"


def no_hardware() -> Hardware:
    """Of a host whose machine has not reported yet."""
    return {"storages": [], "nics": [], "usbs": [], "gpus": []}


class Host(Resource):
    prefix = "host"
    wishes = {"state": "host_status"}
    statuses = {"onboarding_status", "registration_status"}
    observed = {
        "hardware", "product_name", "memory_bytes", "cpu_model", "cpu_sockets", "cpu_cores", "cpu_threads",
        "cpu_architecture", "cpu_capabilities", "cpu_topology", "bios_vendor", "bios_version", "bios_release_date",
        "bmc_ip", "pxe_mac", "hostname", "uuid", "serial_number",
    }  # fmt: skip
    allowed = {"state": {
        HostState.UNSPECIFIED: {*HostState},
        HostState.REGISTERED: {HostState.REGISTERED, HostState.ONBOARDED, HostState.DELETED},
        HostState.ONBOARDED: {HostState.ONBOARDED, HostState.UNTRUSTED, HostState.DELETED},
        HostState.UNTRUSTED: {HostState.UNTRUSTED, HostState.DELETED},
        HostState.DELETED: {HostState.DELETED},
    }}  # fmt: skip

    name = name_field()
    note = models.CharField(max_length=512, blank=True)
    site = models.ForeignKey(
        Site, null=True, blank=True, on_delete=models.PROTECT, related_name="hosts", to_field="resource_id"
    )
    provider = models.ForeignKey(
        Provider, null=True, blank=True, on_delete=models.PROTECT, related_name="hosts", to_field="resource_id"
    )
    metadata = MetadataField()
    user_lvm_size = models.PositiveIntegerField(default=0)  # GB
    # Who the machine is. Asked for when it is registered; after that only the machine itself tells more.
    uuid = models.UUIDField(null=True, blank=True, unique=True)
    serial_number = models.CharField(max_length=128, blank=True, db_index=True)

    desired_state, current_state = wish(HostState)
    host_status, host_status_indicator, host_status_timestamp = status("Not Connected")
    onboarding_status, onboarding_status_indicator, onboarding_status_timestamp = status("Not Connected")
    registration_status, registration_status_indicator, registration_status_timestamp = status("Unknown")

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
        pass

    def _refuse_guarded(self):
        """A new host may name its machine; of a registered one only observe() does."""
        machine = {"uuid", "serial_number"}
        for name in self.guarded() - machine:
            if getattr(self, name) != self.default_of(name):
                raise errors.NotYours(f"{name} of a new host can't be set by save(): use ask() or observe()")
        if not self.uuid and not self.serial_number:
            raise errors.InventoryError("A host needs a uuid or a serialNumber")

    def _insert(self):
        with transaction.atomic(savepoint=False):  # ask() and save() begin it
            super()._insert()
            claims.claim(self.resource_id, self.uuid, self.serial_number)
            if not self.name:  # a host without a name is called by its id
                models.QuerySet.update(Host.objects.filter(pk=self.pk), name=self.resource_id)
                self.name = self.resource_id

    @transaction.atomic
    def delete(self, *args, **kwargs):
        claims.release(self.resource_id)
        return super().delete(*args, **kwargs)

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
    statuses = {"instance_status"}
    observed = {"instance_status_detail"}
    allowed = {"state": {
        InstanceState.UNSPECIFIED: {*InstanceState},
        InstanceState.RUNNING: {*InstanceState},
        InstanceState.UNTRUSTED: {InstanceState.DELETED},
        InstanceState.DELETED: {InstanceState.DELETED},
    }}  # fmt: skip

    name = name_field()
    kind = models.CharField(max_length=32, choices=InstanceKind, default=InstanceKind.METAL)
    host = models.OneToOneField(Host, on_delete=models.PROTECT, related_name="instance", to_field="resource_id")
    os = models.ForeignKey(
        OperatingSystem, on_delete=models.PROTECT, related_name="instances", to_field="resource_id",
        verbose_name="operating system",
    )  # fmt: skip
    security_feature = models.CharField(max_length=64, choices=SecurityFeature, default=SecurityFeature.NONE)

    desired_state, current_state = wish(InstanceState)
    provisioning_status, provisioning_status_indicator, provisioning_status_timestamp = status("Not Provisioned")
    instance_status, instance_status_indicator, instance_status_timestamp = status("Not Installed")
    instance_status_detail = models.CharField(max_length=1024, blank=True, editable=False)

    class Meta(Resource.Meta):
        pass

    def duplicate_sentence(self):
        return f"{self.host_id} has an instance already"
