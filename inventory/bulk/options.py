"""What the bulk commands have in common: the project, options that stand in every row, and how they exit."""

import getpass
import os
import sys
from argparse import ArgumentParser, _ActionsContainer
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from inventory.bulk.server import FixedToken, Login, Server, checked, issuer_of
from tenants.management.people import find_ready_project
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


def add_server(parser: ArgumentParser) -> None:
    remote = parser.add_argument_group(
        "another server", f"Import over the REST API of a server instead of into this one's database. {WHO_ASKS}"
    )
    remote.add_argument("--url", help="of the server, like https://api.example.org")
    add_login(remote)


WHO_ASKS = (
    "Who asks is said by --token-file, EDGEORCH_TOKEN, or EDGEORCH_USER and EDGEORCH_PASSWORD; for what isn't said of "
    "the last two you are asked."
)


def add_login(remote: _ActionsContainer) -> None:
    """What server() below needs besides the URL and the project."""
    remote.add_argument("--token-file", type=Path, help="with a token; read again when the server refuses it")
    remote.add_argument(
        "--issuer", default=os.environ.get("EDGEORCH_ISSUER"),
        help="who gives tokens for user and password (or $EDGEORCH_ISSUER); else https://keycloak.example.org for "
        "https://api.example.org, and for others the server itself",
    )  # fmt: skip
    remote.add_argument("--parallel", type=_at_once, default=8, help="requests at once, 1 to 64 (8)")


def _at_once(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise ValueError
    return int(text)


def server(url: str, project: str | None, token_file: Path | None, issuer: str | None, parallel: int) -> Server:
    """The project on the server, with what it takes to be let in. Raises ServerError."""
    url = checked(url)
    login: FixedToken | Login
    if token_file or os.environ.get("EDGEORCH_TOKEN"):
        login = FixedToken(token_file)
    else:
        login = Login(checked(issuer or issuer_of(url)), *_credentials())
    return Server(url, named(project), login, parallel)


def _credentials() -> tuple[str, str]:
    user, password = os.environ.get("EDGEORCH_USER"), os.environ.get("EDGEORCH_PASSWORD")
    if not (user and password) and not sys.stdin.isatty():
        raise CommandError("Who are you? Set EDGEORCH_USER and EDGEORCH_PASSWORD, or EDGEORCH_TOKEN")
    return user or input("User: "), password or getpass.getpass()


def named(project: str | None) -> str:
    if not project:
        raise CommandError("Which project? Say --project NAME, or set EDGEORCH_PROJECT")
    return project


def ready_project(name: str | None) -> Project:
    return find_ready_project(named(name))
