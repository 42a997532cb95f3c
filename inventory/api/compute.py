"""Hosts, registered and onboarded, and instances."""

import copy
import re
from datetime import UTC, datetime

from django.db import connection, transaction
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from inventory import errors, filtering, presence, stages
from inventory.api.access import CustomConfigSerializer, LocalAccountSerializer
from inventory.api.base import (
    Derived,
    Flag,
    HardwarePart,
    Nested,
    NestedMany,
    Pattern,
    Reference,
    ResourceSerializer,
    ResourceViewSet,
    Same,
    Texts,
    Uuid,
    Whole,
    by_id,
    with_values,
)  # fmt: skip
from inventory.api.fields import LINK_STATES, pattern_of_id
from inventory.api.location import SiteSerializer, inherit_shown
from inventory.api.os import OperatingSystemSerializer
from inventory.api.policy import OsUpdatePolicySerializer
from inventory.api.provider import ProviderSerializer
from inventory.api.queries import FilterQuery, ListQuery, PatchQuery, Query
from inventory.models import (
    AmtState,
    CustomConfig,
    Customization,
    Host,
    HostState,
    Instance,
    InstanceKind,
    InstanceState,
    LocalAccount,
    OperatingSystem,
    OsUpdatePolicy,
    PowerCommandPolicy,
    PowerState,
    Provider,
    SecurityFeature,
    Site,
    hardware,
)  # fmt: skip

# What PUT leaves alone if the body doesn't have it: whoever renames a host doesn't mean to touch its power.
OUT_OF_BAND = {
    "desiredPowerState", "powerCommandPolicy", "desiredAmtState", "amtControlMode", "amtDnsSuffix", "desiredKvmState",
    "desiredSolState", "powerProviderId",
}  # fmt: skip


def shown_nic(nic: dict) -> dict:
    """A NIC as clients read it, made of this one: its link's state is an object, and its addresses are resources."""
    nic["linkState"] = {"type": nic.get("linkState") or LINK_STATES[0], "timestamps": None}
    nic["ipaddresses"] = [{"resourceId": "", **ip, "timestamps": None} for ip in nic.get("ipaddresses") or []]
    nic["timestamps"] = None
    return nic


def shown_part(part: dict) -> dict:
    part["timestamps"] = None
    return part


class HostSerializer(ResourceSerializer):
    uuid = Uuid(required=False, as_given="uuid_as_given")
    site = Nested(SiteSerializer, without={"provider"})  # nothing of it was ever shown here
    siteId = Reference(source="site", queryset=Site.objects.all())
    provider = Nested(ProviderSerializer)
    powerProviderId = Reference(source="power_provider", queryset=Provider.objects.all())
    instance = Nested("inventory.api.compute.InstanceSerializer", without={"host"})
    hostStorages = HardwarePart("storages", hardware.Storage, shown_part)
    hostNics = HardwarePart("nics", hardware.Nic, shown_nic)
    hostUsbs = HardwarePart("usbs", hardware.Usb, shown_part)
    hostGpus = HardwarePart("gpus", hardware.Gpu, shown_part)
    inheritedMetadata = Derived([], of=("metadata", "site"))

    class Meta(ResourceSerializer.Meta):
        model = Host
        hidden = {
            "hardware", "uuid_as_given", "pxe_mac", "kind", "hardware_kind", "mgmt_ip", "kvm_session_status_indicator",
            "kvm_session_status_timestamp", "sol_session_status_indicator", "sol_session_status_timestamp",
            "power_command", "power_commanded_at",
        }  # fmt: skip
        writable = {"name", "metadata", *OUT_OF_BAND}
        needed = {"name"}
        mutable = {"name", "metadata", "siteId", *OUT_OF_BAND}
        kept = OUT_OF_BAND
        asks = {"state": HostState.ONBOARDED, "power_state": PowerState.ON}

    def create(self, plain):
        """Whatever the body wishes, a new host is to be onboarded and powered on, one after the other."""
        wishes = Host.wish_columns() & plain.keys()
        plain = {name: value for name, value in plain.items() if name not in wishes}
        return super().create({**plain, "power_command_policy": PowerCommandPolicy.ORDERED})

    def validate(self, plain):
        if self.partial and "amt_control_mode" in plain:
            host = self.instance
            if host.desired_amt_state == host.current_amt_state == AmtState.PROVISIONED:
                raise exceptions.ValidationError(
                    {"amtControlMode": f"{host} is provisioned: ask for AMT_STATE_UNPROVISIONED first"}
                )
        return plain


class HostRegisterSerializer(serializers.Serializer):
    """What a host needs to be known by, before its machine was ever seen."""

    name = Pattern(r"^$|^[a-zA-Z\-_0-9./: ]+$", max_length=20, required=False, allow_blank=True)
    serialNumber = Pattern(r"^([A-Za-z0-9]{5,20})?$", required=False, allow_blank=True)
    uuid = Uuid(required=False)
    autoOnboard = Flag(required=False, default=False)
    enableVpro = Flag(required=False, default=False)
    userLvmSize = Whole(required=False, min_value=0)

    def get_fields(self):
        return {name: copy.copy(field) for name, field in self._declared_fields.items()}  # see ResourceSerializer

    def to_internal_value(self, data):
        if not isinstance(data, dict):
            raise exceptions.ValidationError({"non_field_errors": "a JSON object is needed"})
        if unknown := data.keys() - self.fields.keys():
            raise exceptions.ValidationError(dict.fromkeys(unknown, "there is no such field"))
        try:
            return super().to_internal_value(data)
        except exceptions.ValidationError as wrong:
            raise exceptions.ValidationError(with_values(wrong.detail, data)) from wrong

    def state(self, said: dict) -> HostState:
        return HostState.ONBOARDED if said["autoOnboard"] else HostState.REGISTERED

    def create(self, said):
        host = Host(
            name=said.get("name", ""),
            serial_number=said.get("serialNumber", ""),
            uuid=said.get("uuid"),
            user_lvm_size=said.get("userLvmSize", 0),
        )
        vpro = AmtState.PROVISIONED if said["enableVpro"] else AmtState.UNPROVISIONED
        host.ask(state=self.state(said), power_state=PowerState.ON, amt_state=vpro)
        return host

    def update(self, host, said):
        """Who the machine is doesn't change any more; what the body doesn't have stays as it is."""
        host.name = said.get("name", host.name)
        host.user_lvm_size = said.get("userLvmSize", host.user_lvm_size)
        wishes = {"state": self.state(said)}
        if "enableVpro" in self.initial_data:
            wishes["amt_state"] = AmtState.PROVISIONED if said["enableVpro"] else AmtState.UNPROVISIONED
        host.ask(**wishes)
        return host


class RegisterQuery(Query):
    resourceId = Pattern(
        "^host-[0-9a-f]{8}$", required=False, help_text="Of no use: a new host's id is made by the server."
    )


class SummarySerializer(serializers.Serializer):
    total = serializers.IntegerField(help_text="All that the filter finds.")
    error = serializers.IntegerField(help_text="Hosts with an error, of their own or of their instance.")
    running = serializers.IntegerField(help_text="Hosts whose instance runs, without any error.")
    unallocated = serializers.IntegerField(help_text="Hosts without a site, whatever else they are.")

    class Meta:
        ref_name = "GetHostSummaryResponse"


class PresenceSerializer(serializers.Serializer):
    lastSeen = serializers.DateTimeField(
        allow_null=True,
        help_text="When its machine last sent a heartbeat; null if it never did, or if that isn't known just now.",
    )
    hostStatus = serializers.CharField(help_text="What that means: Running, No Connection and so on.")
    silentAfterSeconds = serializers.IntegerField(
        help_text="A host from which no heartbeat comes for so long has No Connection."
    )

    class Meta:
        ref_name = "HostPresence"


class NoteQuery(Query):
    note = Pattern(
        r"""^$|^[a-zA-Z\-_0-9./:;=@?!#,<>*()" ]+$""", required=False, max_length=512, min_length=1,
        error_messages={
            "blank": "is a text", "invalid": 'has letters, digits, blanks and - _ . / : ; = @ ? ! # , < > * ( ) " only',
        },
        help_text="Why the host isn't trusted any more.",
    )  # fmt: skip


class HostViewSet(ResourceViewSet):
    """Hosts: the machines."""

    serializer_class = HostSerializer
    collection, service, nouns = "hosts", "HostService", ("Host", "Hosts")
    queries = {
        "list": ListQuery, "partial_update": PatchQuery, "summary": FilterQuery, "register": RegisterQuery,
        "invalidate": NoteQuery,
    }  # fmt: skip

    answers = {
        "summary": SummarySerializer, "seen": PresenceSerializer, "register": HostSerializer,
        "register_again": HostSerializer,
    }  # fmt: skip
    examples = {
        "create": {"name": "rack-7", "metadata": [{"key": "city", "value": "berlin"}]},
        "register": {"name": "rack-7", "serialNumber": "SN00001", "autoOnboard": True},
        "partial_update": {"name": "rack-7", "desiredPowerState": "POWER_STATE_ON"},
    }

    def get_serializer_class(self):
        return HostRegisterSerializer if self.action in ("register", "register_again") else HostSerializer

    def complete(self, page):
        inherit_shown(page, [[host["site"], host["site"]["region"]] if host["site"] else [] for host in page])

    def written(self, resource_id):
        """Without the addresses of its NICs, as it always was."""
        response = super().written(resource_id)
        response.data["hostNics"] = [{**nic, "ipaddresses": []} for nic in response.data["hostNics"]]
        return response

    def register(self, request, *args, **kwargs):
        self.asked()
        return self.create(request)

    def register_again(self, request, resource_id, *args, **kwargs):
        check_spelling(Host, resource_id)
        return self.update(request, resource_id)

    def onboard(self, request, resource_id, *args, **kwargs):
        return self.wish(resource_id, HostState.ONBOARDED)

    def invalidate(self, request, resource_id, *args, **kwargs):
        note = self.asked().get("note")
        return self.wish(resource_id, HostState.UNTRUSTED, **({"note": note} if note else {}))

    def remove(self, host):
        """It goes at once if its machine was never here; else when what the machine was given is taken back."""
        host.ask(state=HostState.DELETED)

    def summary(self, request, *args, **kwargs):
        return Response(stages.summary(filtering.condition(Host, self.asked().get("filter", ""))))

    def seen(self, request, resource_id, *args, **kwargs):
        """When its machine was last heard from."""
        host = by_id(Host.objects.only("uuid", "host_status"), resource_id)
        seen = presence.last_seen(connection.schema_name, host.uuid)
        shown = {"lastSeen": datetime.fromtimestamp(seen, UTC) if seen else None, "hostStatus": host.host_status}
        return Response(PresenceSerializer(shown | {"silentAfterSeconds": presence.silence()}).data)

    def wish(self, resource_id: str, state: HostState, **columns) -> Response:
        check_spelling(Host, resource_id)
        with transaction.atomic():
            host = self.locked(resource_id)
            for name, value in columns.items():
                setattr(host, name, value)
            host.ask(state=state)
        return Response({})


def check_spelling(model: type[Host] | type[Instance], resource_id: str) -> None:
    """Verbs refuse what can't be an id, where reading answers that there is no such resource. Raises InventoryError."""
    if not re.fullmatch(rf"{model.prefix}-[0-9a-f]{{8}}", resource_id):
        raise errors.InventoryError(f"{resource_id!r} is not the id of a {model._meta.verbose_name}")


class CustomConfigs(Texts):
    """The ids of custom configs; the same one twice is one."""

    def __init__(self):
        child = Pattern(pattern_of_id(CustomConfig), max_length=len(CustomConfig.prefix) + 9)
        super().__init__(source="custom_config", required=False, max_length=100, child=child)

    def get_attribute(self, instance):
        return [str(config) for config in super().get_attribute(instance).all()]

    def to_internal_value(self, data):
        ids = dict.fromkeys(super().to_internal_value(data))
        return [by_id(CustomConfig.objects.all(), resource_id) for resource_id in ids]


class InstanceSerializer(ResourceSerializer):
    instanceID = Same()
    host = Nested(HostSerializer, without={"instance", "hostStorages", "hostNics", "hostUsbs", "hostGpus"})
    os = Nested(OperatingSystemSerializer)
    hostID = Reference(source="host", queryset=Host.objects.all(), required=True)
    osID = Reference(source="os", queryset=OperatingSystem.objects.all(), required=True)
    localaccount = Nested(LocalAccountSerializer, source="local_account")
    localAccountID = Reference(source="local_account", queryset=LocalAccount.objects.all())
    updatePolicy = Nested(OsUpdatePolicySerializer, source="os_update_policy", without={"targetOs"})
    osUpdatePolicyID = Reference(source="os_update_policy", queryset=OsUpdatePolicy.objects.all())
    workloadMembers = NestedMany(
        "inventory.api.workload.WorkloadMemberSerializer", edge="instance_id", without={"instance", "member"}
    )
    customConfig = NestedMany(CustomConfigSerializer, edge="instances__resource_id", ids="customConfigID")
    customConfigID = CustomConfigs()

    class Meta(ResourceSerializer.Meta):
        model = Instance
        hidden = {"vm_memory_bytes", "vm_cpu_cores", "vm_storage_bytes"}
        writable = {"name", "kind", "securityFeature"}
        mutable = {"name", "kind", "hostID", "osID", "osUpdatePolicyID"}
        kept = {"kind", "hostID", "osID"}
        asks = {"state": InstanceState.RUNNING}

    def create(self, plain):
        configs = plain.pop("custom_config", [])
        with transaction.atomic():
            instance = super().create(plain)
            Customization.objects.bulk_create(Customization(instance=instance, custom_config=one) for one in configs)
        return instance

    def validate(self, plain):
        """Clients leave kind and security feature unspecified; machines are metal, and unsecured unless asked."""
        if plain.get("kind") == InstanceKind.UNSPECIFIED or (self.instance is None and "kind" not in plain):
            plain["kind"] = InstanceKind.METAL
        if self.instance is None and plain.get("security_feature") in (None, SecurityFeature.UNSPECIFIED):
            plain["security_feature"] = SecurityFeature.NONE
        if self.instance is not None and self.instance.current_state != InstanceState.UNSPECIFIED:
            fixed = {name: getattr(self.instance, name) for name in ("host", "os")}
            if changed := [name for name, value in fixed.items() if plain.get(name, value) != value]:
                raise exceptions.ValidationError(f"{' and '.join(changed)} of an installed instance can't be changed")
        return plain

    def update(self, instance, plain):
        """Each PUT and PATCH asks again that it run."""
        return super().update(instance, {**plain, "desired_state": InstanceState.RUNNING})


class InstanceViewSet(ResourceViewSet):
    """Instances: operating systems as installed on hosts."""

    serializer_class = InstanceSerializer
    collection, service, nouns = "instances", "InstanceService", ("Instance", "Instances")
    examples = {
        "create": {
            "name": "rack-7-instance", "kind": "INSTANCE_KIND_METAL", "hostID": "host-1a2b3c4d", "osID": "os-5e6f7a8b",
            "securityFeature": "SECURITY_FEATURE_NONE", "localAccountID": "localaccount-9c0d1e2f",
        },
        "partial_update": {"osUpdatePolicyID": "osupdatepolicy-3a4b5c6d"},
    }  # fmt: skip

    def invalidate(self, request, resource_id, *args, **kwargs):
        check_spelling(Instance, resource_id)
        with transaction.atomic():
            self.locked(resource_id).ask(state=InstanceState.UNTRUSTED)
        return Response({})

    def remove(self, instance):
        """It goes when its machine has been taken out of it."""
        instance.ask(state=InstanceState.DELETED)
