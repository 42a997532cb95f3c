"""Who may log in to machines, and what their first start does besides."""

from inventory.api.base import Pattern, ResourceSerializer, ResourceViewSet, Same
from inventory.models import CustomConfig, LocalAccount


class LocalAccountSerializer(ResourceSerializer):
    localAccountID = Same()

    class Meta(ResourceSerializer.Meta):
        model = LocalAccount
        writable = {"username", "sshKey"}


class LocalAccountViewSet(ResourceViewSet):
    """Local accounts: users of installed systems, who log in by an SSH key. To change one, make another."""

    serializer_class = LocalAccountSerializer
    collection, service, nouns = "localAccounts", "LocalAccountService", ("LocalAccount", "LocalAccounts")
    examples = {"create": {
        "username": "ada",
        "sshKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1hyBFqgLPqzGQrkOCvYmY6zuNnOBlwzrBRSVAfuXFG ada@example.com",
    }}  # fmt: skip
    http_method_names = ["get", "post", "delete", "head", "options"]


class CustomConfigSerializer(ResourceSerializer):
    description = Pattern(
        r"""^[a-zA-Z0-9\-_./:;=@?!#,<>*()" ]*$""", required=False, allow_blank=True, max_length=256
    )

    class Meta(ResourceSerializer.Meta):
        model = CustomConfig
        writable = {"name", "config"}


class CustomConfigViewSet(ResourceViewSet):
    """Custom configs: pieces of cloud-init for the first start of installed systems. To change one, make another."""

    serializer_class = CustomConfigSerializer
    collection, service, nouns = "customConfigs", "CustomConfigService", ("CustomConfig", "CustomConfigs")
    examples = {"create": {"name": "motd", "description": "Greets who logs in", "config": (
        "#cloud-config\nwrite_files:\n- path: /etc/motd\n  content: Welcome to the edge\n"
    )}}  # fmt: skip
    http_method_names = ["get", "post", "delete", "head", "options"]
