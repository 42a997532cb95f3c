"""From a trusted host to an installed one: workflows, boot artifacts, what a booting machine asks for."""

from django.apps import AppConfig


class ProvisioningConfig(AppConfig):
    name = "provisioning"
