"""What the bulk commands have in common: the project, options that stand in every row, and how they exit."""

import os
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from tenants.models import Project

# Option, variable of the environment (the option beats it), and the column in whose cells the value stands instead.
OVERRIDES = (
    ("--os-profile", "EDGEORCH_OSPROFILE", "OSProfile"),
    ("--site", "EDGEORCH_SITE", "Site"),
    ("--secure", "EDGEORCH_SECURE", "Secure"),
    ("--remote-user", "EDGEORCH_REMOTEUSER", "RemoteUser"),
    ("--metadata", "EDGEORCH_METADATA", "Metadata"),
    ("--lvm-size", "EDGEORCH_LVMSIZE", "LVMSize"),
    ("--cloud-init", "EDGEORCH_CLOUDINIT", "CloudInitMeta"),
    ("--cluster-deploy", "EDGEORCH_CLUSTERDEPLOY", "K8sEnable"),
    ("--cluster-template", "EDGEORCH_CLUSTERTEMPLATE", "K8sClusterTemplate"),
    ("--cluster-config", "EDGEORCH_CLUSTERCONFIG", "K8sConfig"),
)


class BulkCommand(BaseCommand):
    """Exits with 1 on any error, a wrong option included: scripts around the archived tools expect it."""

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except SystemExit as left:
            raise SystemExit(1 if left.code else 0) from None


def add_overrides(parser: ArgumentParser) -> None:
    for option, variable, column in OVERRIDES:
        default = os.environ.get(variable, "")
        parser.add_argument(option, dest=column, default=default, help=f"{column} of every row (or ${variable})")


def overrides(options: dict[str, object]) -> dict[str, str]:
    return {column: str(options[column]).strip() for _, _, column in OVERRIDES if options.get(column)}


def add_project(parser: ArgumentParser) -> None:
    parser.add_argument("--project", default=os.environ.get("EDGEORCH_PROJECT"), help="(or $EDGEORCH_PROJECT)")


def ready_project(name: str | None) -> Project:
    if not name:
        raise CommandError("Which project? Say --project NAME, or set EDGEORCH_PROJECT")
    project = Project.objects.filter(name=name).first()
    if project is None or not project.is_ready:
        raise CommandError(f"Project {name} is {project.state if project else 'not there'}")
    return project
