"""What this server can do, as the archived command line asks before it shows its commands."""

from django.conf import settings
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

THERE = {"installed": True}
NOT_THERE = {"installed": False}

# By the names that clients look for. What is not said to be there, they hide.
FEATURES = {
    "edge-infrastructure-manager": {
        **THERE, "onboarding": THERE, "provisioning": THERE, "day2": THERE, "oob": THERE, "oxm-profile": NOT_THERE,
    },
    "multitenancy": THERE,
    "application-orchestration": NOT_THERE,
    "cluster-orchestration": NOT_THERE,
    "orchestrator-observability": NOT_THERE,
    "edgenode-observability": NOT_THERE,
}  # fmt: skip


class OrchestratorSerializer(serializers.Serializer):
    version = serializers.CharField()
    features = serializers.DictField(help_text="By name: if it is `installed`, and its parts.")


class FeaturesSerializer(serializers.Serializer):
    orchestrator = OrchestratorSerializer()

    def get_fields(self):
        return {"schema-version": serializers.CharField(), **super().get_fields()}


class OrchestratorView(APIView):
    """The version and the features of this server. Nobody has to sign in for that."""

    permission_classes = [AllowAny]
    authentication_classes: list = []

    @extend_schema(
        operation_id="orchestrator_get", tags=["orchestrator"], summary="What this server can do",
        responses={200: FeaturesSerializer},
    )  # fmt: skip
    def get(self, request):
        version = f"v{settings.SPECTACULAR_SETTINGS['VERSION']}"
        return Response({"schema-version": "1.0", "orchestrator": {"version": version, "features": FEATURES}})


urlpatterns = [path("v1/orchestrator", OrchestratorView.as_view())]
