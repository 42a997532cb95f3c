"""What runs on several machines together, and which instances are its members."""

from inventory import errors
from inventory.api.base import (
    EMPTY,
    Choice,
    Nested,
    NestedMany,
    Reference,
    ResourceSerializer,
    ResourceViewSet,
    Same,
)  # fmt: skip
from inventory.models import Instance, Workload, WorkloadKind, WorkloadMember, WorkloadState

BARE = {"host", "os", "localaccount", "updatePolicy", "workloadMembers", "customConfig"}  # what an instance refers to


class WorkloadSerializer(ResourceSerializer):
    workloadId = Same()
    kind = Choice(choices=[(kind.value, kind.label) for kind in WorkloadKind if kind != WorkloadKind.DHCP])
    members = NestedMany("inventory.api.workload.WorkloadMemberSerializer", edge="workload_id", without={"workload"})

    class Meta(ResourceSerializer.Meta):
        model = Workload
        hidden = {
            "metadata", "desired_state", "current_state", "state_status", "state_status_indicator",
            "state_status_timestamp",
        }  # fmt: skip
        writable = {"name", "externalId", "status"}
        asks = {"state": WorkloadState.PROVISIONED}


class WorkloadViewSet(ResourceViewSet):
    """Workloads: clusters, for example. Whoever runs one tells here how it goes."""

    serializer_class = WorkloadSerializer
    collection, service, nouns = "workloads", "WorkloadService", ("Workload", "Workloads")
    examples = {
        "create": {"name": "cluster-7", "kind": "WORKLOAD_KIND_CLUSTER", "externalId": "c-1042", "status": "Running"},
        "partial_update": {"status": "Upgrading"},
    }

    def remove(self, workload):
        workload.ask(state=WorkloadState.DELETED)


class WorkloadMemberSerializer(ResourceSerializer):
    workloadMemberId = Same()
    workload = Nested(WorkloadSerializer, without={"members"}, absent=EMPTY)
    instance = Nested("inventory.api.compute.InstanceSerializer", without=BARE, absent=EMPTY)
    member = Nested("inventory.api.compute.InstanceSerializer", source="instance", without=BARE, absent=EMPTY)
    workloadId = Reference(source="workload", queryset=Workload.objects.all(), required=True)
    instanceId = Reference(source="instance", queryset=Instance.objects.all(), required=True)

    class Meta(ResourceSerializer.Meta):
        model, ref_name = WorkloadMember, "WorkloadMember"
        writable = {"kind"}

    def create(self, plain):
        try:
            return super().create(plain)
        except errors.Duplicate as taken:
            raise errors.AlreadyExists(str(taken)) from taken


class WorkloadMemberViewSet(ResourceViewSet):
    """Workload members: instances that are part of a workload. To change one, make another."""

    serializer_class = WorkloadMemberSerializer
    collection, service, nouns = "workloadMembers", "WorkloadMemberService", ("WorkloadMember", "WorkloadMembers")
    examples = {"create": {
        "kind": "WORKLOAD_MEMBER_KIND_CLUSTER_NODE", "workloadId": "workload-1a2b3c4d", "instanceId": "inst-5e6f7a8b",
    }}  # fmt: skip
    http_method_names = ["get", "post", "delete", "head", "options"]
