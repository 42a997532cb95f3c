"""How operating systems are updated: policies, and the runs that followed them."""

from inventory.api.base import Nested, Pattern, Reference, ResourceSerializer, ResourceViewSet, Texts
from inventory.api.os import OperatingSystemSerializer
from inventory.models import OperatingSystem, OsUpdatePolicy, OsUpdateRun
from inventory.models.policy import SOURCE


class OsUpdatePolicySerializer(ResourceSerializer):
    updateSources = Texts(
        source="update_sources", required=False, max_length=100,
        child=Pattern(rf"^{SOURCE}$", allow_blank=True, max_length=10_000),
    )  # fmt: skip
    targetOs = Nested(OperatingSystemSerializer, source="target_os")
    targetOsId = Reference(source="target_os", queryset=OperatingSystem.objects.all())

    class Meta(ResourceSerializer.Meta):
        model, ref_name = OsUpdatePolicy, "OSUpdatePolicy"
        writable = {"name", "description", "updatePackages", "updateKernelCommand", "updatePolicy"}


class OsUpdatePolicyViewSet(ResourceViewSet):
    """OS update policies: what instances are updated to. To change one, make another."""

    serializer_class = OsUpdatePolicySerializer
    collection, service = "osUpdatePolicies", "OSUpdatePolicy"
    nouns = ("OSUpdatePolicy", "OSUpdatePolicy")
    examples = {"create": {
        "name": "newest", "description": "Whatever is the newest", "updatePolicy": "UPDATE_POLICY_LATEST",
    }}  # fmt: skip
    http_method_names = ["get", "post", "delete", "head", "options"]


class OsUpdateRunSerializer(ResourceSerializer):
    appliedPolicy = Nested(OsUpdatePolicySerializer, source="applied_policy", without={"targetOs"})
    instance = Nested(
        "inventory.api.compute.InstanceSerializer",
        without={"host", "os", "localaccount", "updatePolicy", "workloadMembers", "customConfig"},
    )

    class Meta(ResourceSerializer.Meta):
        model, ref_name = OsUpdateRun, "OSUpdateRun"


class OsUpdateRunViewSet(ResourceViewSet):
    """OS update runs: that an instance was updated, when, and how it went. Machines tell; clients read and delete."""

    serializer_class = OsUpdateRunSerializer
    collection, service, nouns = "osUpdateRuns", "OSUpdateRun", ("OSUpdateRun", "OSUpdateRun")
    http_method_names = ["get", "delete", "head", "options"]
