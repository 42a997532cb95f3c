"""What is the installation's and no project's, for administrators: boot artifacts, Secure Boot, mirrored files."""

from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from provisioning import artifacts, boot_keys, mirror
from provisioning.dkam import signing
from provisioning.dkam.errors import BuildFailed
from provisioning.models import BootKey, Mirrored
from tenants import errors
from tenants.people.base import PeopleView
from tenants.resource import Indicator

SHA256 = r"^[a-f0-9]{64}\Z"


class FileSerializer(serializers.Serializer):
    name = serializers.CharField()
    sha256 = serializers.CharField()
    size_bytes = serializers.IntegerField()


class VersionSerializer(serializers.Serializer):
    digest = serializers.CharField(help_text="Of all that went in.")
    builtAt = serializers.IntegerField(help_text="Seconds since 1970.")
    served = serializers.BooleanField()
    files = FileSerializer(many=True)


class ArtifactSerializer(serializers.Serializer):
    """A step of what DKAM builds, with the versions that it can go back to."""

    name = serializers.CharField()
    title = serializers.CharField()
    desiredDigest = serializers.CharField()
    currentDigest = serializers.CharField()
    held = serializers.BooleanField(help_text="It stays at an earlier version until a build is asked for.")
    status = serializers.CharField()
    statusIndicator = serializers.ChoiceField(choices=Indicator.choices)
    statusTimestamp = serializers.IntegerField()
    versions = VersionSerializer(many=True)


class ArtifactsSerializer(serializers.Serializer):
    artifacts = ArtifactSerializer(many=True)


class LogSerializer(serializers.Serializer):
    log = serializers.CharField(help_text="Its end; of a build under way, so far.")


class DigestsSerializer(serializers.Serializer):
    desired = serializers.DictField(child=serializers.CharField(), help_text="Name of an artifact -> digest.")


class BackSerializer(serializers.Serializer):
    digest = serializers.SlugField(required=False, default="", allow_blank=True, max_length=64)


class KeySerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=BootKey.Kind.choices)
    fingerprint = serializers.CharField(help_text="SHA-256 of the certificate.")
    madeAt = serializers.DateTimeField(source="made_at")
    retiredAt = serializers.DateTimeField(source="retired_at", allow_null=True)
    certificate = serializers.CharField(help_text="PEM.")


class KeysSerializer(serializers.Serializer):
    bootKeys = KeySerializer(many=True)


class MirroredSerializer(serializers.Serializer):
    """A file of somebody else's that machines get from here."""

    url = serializers.URLField(max_length=2000)
    sha256 = serializers.RegexField(SHA256)
    sizeBytes = serializers.IntegerField(source="size_bytes", read_only=True)
    status = serializers.CharField(source="download_status", read_only=True)
    statusIndicator = serializers.ChoiceField(
        choices=Indicator.choices, source="download_status_indicator", read_only=True
    )


class MirrorSerializer(serializers.Serializer):
    mirror = MirroredSerializer(many=True)


class InstallationView(PeopleView):
    pagination_class = None

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        self.administrators_only()


class Artifacts(InstallationView):
    serializer_class = ArtifactsSerializer
    http_method_names = ["get", "head", "options"]

    @extend_schema(operation_id="artifacts_list", tags=["installation"], responses={200: ArtifactsSerializer})
    def get(self, request):
        """What machines boot and install from, how its builds go, and the versions that are kept."""
        return Response({"artifacts": [artifacts.as_dict(each) for each in artifacts.shown()]})


class Build(InstallationView):
    serializer_class = DigestsSerializer
    http_method_names = ["post", "options"]

    @extend_schema(
        operation_id="artifacts_build", tags=["installation"], request=None,
        responses={200: DigestsSerializer},
    )  # fmt: skip
    def post(self, request):
        """Build whatever would be another today; also what was gone back from."""
        try:
            return Response({"desired": artifacts.ask_for_all()})
        except BuildFailed as failure:
            raise errors.ResourceError(str(failure)) from failure


class Log(InstallationView):
    serializer_class = LogSerializer
    http_method_names = ["get", "head", "options"]

    @extend_schema(
        operation_id="artifacts_log", tags=["installation"], responses={200: LogSerializer},
        parameters=[OpenApiParameter("digest", str, description="Of a version; else of the last build.")],
    )  # fmt: skip
    def get(self, request, name):
        """What the programs of a build said."""
        wanted = BackSerializer(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        if text := artifacts.log(name, wanted.validated_data["digest"]):
            return Response({"log": text})
        raise errors.NotFound(f"There is no log of {name}, or not of this version")


class Back(InstallationView):
    serializer_class = BackSerializer
    http_method_names = ["post", "options"]

    @extend_schema(operation_id="artifacts_back", tags=["installation"], responses={200: DigestsSerializer})
    def post(self, request, name):
        """Serve an earlier version again, and what was made of it: the one before, or that of a digest."""
        try:
            return Response({"desired": artifacts.go_back(name, self.body()["digest"])})
        except artifacts.NoSuchVersion as why:
            raise errors.NotFound(str(why)) from why


class Keys(InstallationView):
    serializer_class = KeysSerializer
    http_method_names = ["get", "head", "options"]

    @extend_schema(operation_id="boot_keys_list", tags=["installation"], responses={200: KeysSerializer})
    def get(self, request):
        """The certificates of Secure Boot, newest first. What firmware enrols is served below /tink-stack/keys/."""
        return Response({"bootKeys": [_key(row) for row in BootKey.objects.all()]})


class RotateKey(InstallationView):
    serializer_class = KeySerializer
    http_method_names = ["post", "options"]

    @extend_schema(operation_id="boot_keys_rotate", tags=["installation"], request=None, responses={200: KeySerializer})
    def post(self, request, kind):
        """Make a new PK, KEK or db. The one before counts, too, until it is retired."""
        _kind(kind)
        return Response(_key(boot_keys.rotate(kind)))


class RetireKey(InstallationView):
    serializer_class = KeySerializer
    http_method_names = ["post", "options"]

    @extend_schema(operation_id="boot_keys_retire", tags=["installation"], request=None, responses={200: KeySerializer})
    def post(self, request, kind):
        """End the overlap: the older PK, KEK or db signs nothing more."""
        _kind(kind)
        try:
            return Response(_key(boot_keys.retire(kind)))
        except boot_keys.NothingToRetire as why:
            raise errors.ResourceError(str(why)) from why


class Mirror(InstallationView):
    serializer_class = MirroredSerializer
    http_method_names = ["get", "post", "head", "options"]

    @extend_schema(operation_id="mirror_list", tags=["installation"], responses={200: MirrorSerializer})
    def get(self, request):
        """The files of others that are or will be served from here, and how their downloads go."""
        rows, _, _ = self.window(Mirrored.objects.all())
        return Response({"mirror": self.serializer_class(rows, many=True).data})

    @extend_schema(operation_id="mirror_add", tags=["installation"], responses={200: MirroredSerializer})
    def post(self, request):
        """Download a file once, or again after a failure. It is served when its digest is right."""
        said = self.body()
        return Response(self.serializer_class(mirror.ask(said["url"], said["sha256"])).data)


class OneMirrored(InstallationView):
    serializer_class = MirroredSerializer
    http_method_names = ["delete", "options"]

    @extend_schema(operation_id="mirror_delete", tags=["installation"], responses={200: None})
    def delete(self, request, digest):
        """Take the file with this sha256 off this server."""
        row = Mirrored.objects.filter(sha256=digest).first()
        if row is None:
            raise errors.NotFound(f"No file with sha256 {digest} is mirrored")
        mirror.forget(row)
        return Response()


def _key(row: BootKey) -> dict:
    shown = {"fingerprint": signing.Key(row.certificate, "").fingerprint(), "certificate": row.certificate}
    return {"kind": row.kind, "madeAt": row.made_at, "retiredAt": row.retired_at, **shown}


def _kind(kind: str) -> None:
    if kind not in BootKey.Kind.values:
        raise errors.NotFound(f"There is no kind of key {kind!r}: {', '.join(BootKey.Kind.values)}")


urlpatterns = [
    path("artifacts", Artifacts.as_view()),
    path("artifacts/build", Build.as_view()),
    path("artifacts/<slug:name>/log", Log.as_view()),
    path("artifacts/<slug:name>/back", Back.as_view()),
    path("boot-keys", Keys.as_view()),
    path("boot-keys/<str:kind>/rotate", RotateKey.as_view()),
    path("boot-keys/<str:kind>/retire", RetireKey.as_view()),
    path("mirror", Mirror.as_view()),
    path("mirror/<slug:digest>", OneMirrored.as_view()),
]
