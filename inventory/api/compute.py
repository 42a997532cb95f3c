"""Hosts, registered and onboarded, and instances."""

from rest_framework import exceptions, serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from inventory import errors
from inventory.api.base import HardwarePart, Reference, ResourceSerializer, ResourceViewSet, Same, _by_id
from inventory.api.location import SiteSerializer
from inventory.api.os import OperatingSystemSerializer
from inventory.api.provider import ProviderSerializer
from inventory.models import (
    Host,
    HostState,
    Instance,
    InstanceKind,
    InstanceState,
    OperatingSystem,
    SecurityFeature,
    Site,
)  # fmt: skip

NOT_OF_HOSTS = {
    "hardware", "pxe_mac", "kind", "hardware_kind", "mgmt_ip", "kvm_session_status_indicator",
    "kvm_session_status_timestamp", "sol_session_status_indicator", "sol_session_status_timestamp",
}  # fmt: skip
NOT_OF_INSTANCES = {"vm_memory_bytes", "vm_cpu_cores", "vm_storage_bytes"}


class InstanceOfHost(ResourceSerializer):
    """An instance as its host shows it."""

    instanceID = Same()
    os = OperatingSystemSerializer(read_only=True)

    class Meta(ResourceSerializer.Meta):
        model = Instance
        hidden = NOT_OF_INSTANCES


class HostSerializer(ResourceSerializer):
    site = SiteSerializer(read_only=True)
    siteId = Reference(source="site", queryset=Site.objects.all())
    provider = ProviderSerializer(read_only=True)
    instance = InstanceOfHost(read_only=True)
    hostStorages = HardwarePart("storages")
    hostNics = HardwarePart("nics")
    hostUsbs = HardwarePart("usbs")
    hostGpus = HardwarePart("gpus")

    class Meta(ResourceSerializer.Meta):
        model = Host
        hidden = NOT_OF_HOSTS
        writable = {"name", "metadata", "uuid"}
        asks = {"state": HostState.ONBOARDED}
        when_absent = {"site": None, "instance": None, "provider": None}

    def update(self, host, plain):
        if plain.pop("uuid", host.uuid) != host.uuid:
            raise errors.NotYours("uuid: a registered host's UUID is told by its machine, not changed")
        return super().update(host, plain)


class HostRegisterSerializer(serializers.Serializer):
    """What a host needs to be known by, before its machine was ever seen."""

    name = serializers.RegexField(r"^[a-zA-Z0-9\-_./: ]*$", max_length=20, required=False, allow_blank=True)
    serialNumber = serializers.RegexField(r"^([A-Za-z0-9]{5,20})?$", required=False, allow_blank=True)
    uuid = serializers.CharField(required=False, allow_blank=True)
    autoOnboard = serializers.BooleanField(required=False, default=False)
    userLvmSize = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)

    def validate_uuid(self, text):
        return serializers.UUIDField().run_validation(text) if text else None

    def validate(self, said):
        if unknown := self.initial_data.keys() - self.fields.keys():
            raise exceptions.ValidationError(dict.fromkeys(unknown, "there is no such field"))
        return said

    def create(self, said):
        host = Host(
            name=said.get("name", ""),
            serial_number=said.get("serialNumber", ""),
            uuid=said.get("uuid"),
            user_lvm_size=said.get("userLvmSize", 0),
        )
        host.ask(state=HostState.ONBOARDED if said["autoOnboard"] else HostState.REGISTERED)
        return host


class HostViewSet(ResourceViewSet):
    serializer_class = HostSerializer
    collection = "hosts"

    @action(detail=False, methods=["post"], serializer_class=HostRegisterSerializer)
    def register(self, request, *args, **kwargs):
        said = HostRegisterSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        return self.shown(said.save())

    @action(detail=True, methods=["patch"])
    def onboard(self, request, resource_id, *args, **kwargs):
        return self.wish(resource_id, state=HostState.ONBOARDED)

    @action(detail=True, methods=["put"])
    def invalidate(self, request, resource_id, *args, **kwargs):
        return self.wish(resource_id, state=HostState.UNTRUSTED)

    def destroy(self, request, resource_id, *args, **kwargs):
        return self.wish(resource_id, state=HostState.DELETED)

    def wish(self, resource_id: str, **wishes) -> Response:
        _by_id(self.get_queryset(), resource_id).ask(**wishes)
        return Response({})

    def shown(self, host: Host) -> Response:
        self.serializer_class = HostSerializer
        return Response(self.read_one(host.resource_id))


class HostOfInstance(ResourceSerializer):
    """A host as its instance shows it."""

    site = SiteSerializer(read_only=True)

    class Meta(ResourceSerializer.Meta):
        model = Host
        hidden = NOT_OF_HOSTS
        when_absent = {"site": None}


class InstanceSerializer(ResourceSerializer):
    instanceID = Same()
    host = HostOfInstance(read_only=True)
    os = OperatingSystemSerializer(read_only=True)
    hostID = Reference(source="host", queryset=Host.objects.all(), required=True, allow_null=False)
    osID = Reference(source="os", queryset=OperatingSystem.objects.all(), required=True, allow_null=False)

    class Meta(ResourceSerializer.Meta):
        model = Instance
        hidden = NOT_OF_INSTANCES
        writable = {"name", "kind", "securityFeature"}
        asks = {"state": InstanceState.RUNNING}

    def validate(self, plain):
        """Clients leave kind and security feature unspecified; machines are metal, and unsecured unless asked."""
        if self.instance is None:
            if plain.get("kind") in (None, InstanceKind.UNSPECIFIED):
                plain["kind"] = InstanceKind.METAL
            if plain.get("security_feature") in (None, SecurityFeature.UNSPECIFIED):
                plain["security_feature"] = SecurityFeature.NONE
        elif self.instance.current_state != InstanceState.UNSPECIFIED:
            fixed = {name: getattr(self.instance, name) for name in ("host", "os")}
            if changed := [name for name, value in fixed.items() if plain.get(name, value) != value]:
                raise exceptions.ValidationError(f"{' and '.join(changed)} of an installed instance can't be changed")
        return plain


class InstanceViewSet(ResourceViewSet):
    serializer_class = InstanceSerializer
    collection = "instances"

    @action(detail=True, methods=["put"])
    def invalidate(self, request, resource_id, *args, **kwargs):
        _by_id(self.get_queryset(), resource_id).ask(state=InstanceState.UNTRUSTED)
        return Response({})

    def destroy(self, request, resource_id, *args, **kwargs):
        _by_id(self.get_queryset(), resource_id).ask(state=InstanceState.DELETED)
        return Response({})
