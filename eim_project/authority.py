"""The authority that machines trust is exchanged for a new one, without a machine that has to be installed anew.

Three steps, each a command (`manage.py certificates`), and between them machines follow by themselves, for they ask now
and then which authorities to trust (provisioning/boot.py, edge/trust.py):

    settled  --begin-->  begun       ca.crt has the new one beside the old one; ca-next.key waits
    begun    --switch--> switched    the new one signs the server's certificates; both are trusted still
    switched --finish--> settled     the old one is trusted no more

The state is in the files, so a process that is killed on the way leaves one that another goes on from.
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.db import connection
from django_tenants.utils import schema_context

from eim_project import tls
from inventory.models import Host, InstanceState
from provisioning import artifacts, infra
from tenants.models import EdgeCredential, Project


class Step(StrEnum):
    SETTLED = "settled"
    BEGUN = "begun"
    SWITCHED = "switched"


class NotNow(Exception):
    """A sentence that says what stands in the way, and the way out."""


@dataclass(frozen=True)
class Machine:
    """One that is installed, and hasn't said that it trusts what the others do."""

    project: str
    host: str
    name: str
    ever_told: bool  # one that never has was installed before machines did, or asks another server


def folder() -> Path:
    return settings.EIM_DATA / "tls"


def step() -> Step:
    trusted = _trusted()
    if len(trusted) == 1:
        return Step.SETTLED
    return Step.BEGUN if _next_key().exists() else Step.SWITCHED


def begin() -> None:
    """Machines shall trust a new authority beside the old one."""
    _must_be(Step.SETTLED)
    with tls.alone_in(folder()):
        made = folder() / "ca-next.crt"
        tls.make_authority(_next_key(), made)
        tls.write(_bundle(), _bundle().read_bytes() + made.read_bytes())
        made.unlink()


def switch(anyway: bool = False) -> None:
    """The new authority signs. Raises NotNow while machines would refuse that, unless it is to be done anyway."""
    _must_be(Step.BEGUN)
    if not anyway:
        _all_follow()
        if _micro_os_is_older():
            raise NotNow(
                "The micro-OS that machines boot doesn't have the new authority yet: it is built anew by itself within "
                "ten minutes, or now by manage.py build_artifacts"
            )
    with tls.alone_in(folder()):
        names = {name for certificate in _own() for name in tls.names_of(certificate)}
        _next_key().replace(folder() / "ca.key")
        _issue(names)


def finish(anyway: bool = False) -> None:
    """The old authority is trusted no more."""
    _must_be(Step.SWITCHED)
    if not anyway:
        _all_follow()
    with tls.alone_in(folder()):
        names = {name for certificate in _own() for name in tls.names_of(certificate)}
        signs = tls.signing_authority(folder()).certificate
        if not all(tls.is_signed_by(certificate, signs) for certificate in _own()):
            _issue(names)  # somebody was killed between the two halves of switch()
        tls.write(_bundle(), signs.public_bytes(Encoding.PEM))


def renew() -> None:
    """The server's certificates, long before they end; whoever serves with them takes them up by themselves."""
    _must_be_ours()
    with tls.alone_in(folder()):
        _issue({name for certificate in _own() for name in tls.names_of(certificate)})


def _issue(names: set[x509.GeneralName]) -> None:
    authority = tls.signing_authority(folder())
    for kind in tls.KEYS:
        tls.issue(folder(), kind, names, authority)


def _own() -> list[x509.Certificate]:
    files = [folder() / f"{kind}.crt" for kind in tls.KEYS]
    return [x509.load_pem_x509_certificate(file.read_bytes()) for file in files]


def _trusted() -> list[x509.Certificate]:
    _must_be_ours()
    return x509.load_pem_x509_certificates(_bundle().read_bytes())


def _bundle() -> Path:
    return folder() / "ca.crt"


def _next_key() -> Path:
    return folder() / "ca-next.key"


def _must_be(wanted: Step) -> None:
    found = step()
    if found != wanted:
        can = {Step.SETTLED: "begin", Step.BEGUN: "switch", Step.SWITCHED: "finish"}[found]
        raise NotNow(f"The exchange of the authority is {found}: now can be done `manage.py certificates {can}`")


def _must_be_ours() -> None:
    if _bundle() != settings.EIM_CA_FILE or settings.EIM_TLS_CERT.parent != folder():
        raise NotNow(
            f"The certificates are your own ({settings.EIM_CA_FILE}, {settings.EIM_TLS_CERT}): put the new authority "
            "beside the old one into the first file, wait until no machine is behind, replace the other two, and take "
            "the old authority out. Files that are replaced are taken up by themselves"
        )
    if not _bundle().exists():
        raise NotNow(f"There is no {_bundle()} yet: manage.py up makes it")


# Who follows ---------------------------------------------------------------------------------------------------------


def behind() -> list[Machine]:
    """The installed machines of all projects that haven't said that they trust what is trusted now."""
    digest, found = sha256(infra.authorities().encode()).hexdigest(), []
    with schema_context("public"):
        projects = list(Project.objects.ready().order_by("name").values_list("name", "schema_name"))
    for name, schema in projects:
        with schema_context(schema):
            credentials = EdgeCredential.objects.filter(schema=connection.schema_name)
            told = dict(credentials.values_list("host_uuid", "trusts"))
            installed = Host.objects.filter(instance__current_state=InstanceState.RUNNING).order_by("resource_id")
            for uuid, host, its_name in installed.values_list("uuid", "resource_id", "name"):
                if told.get(uuid, "") != digest:
                    found.append(Machine(name, host, its_name, bool(told.get(uuid))))
    return found


def _all_follow() -> None:
    if late := behind():
        first = ", ".join(f"{machine.host} in {machine.project}" for machine in late[:3])
        raise NotNow(
            f"{len(late)} installed machines haven't taken up what is trusted now, as {first}: they ask every hour "
            "(manage.py certificates lists them). With --anyway those are left behind, and refuse the server"
        )


def _micro_os_is_older() -> bool:
    """Than the authorities that are trusted, one of which it would lack."""
    served = artifacts.store().current("microos")
    made = [it.built_at for it in artifacts.store().versions("microos") if served and it.digest == served.name]
    return any(at < _bundle().stat().st_mtime for at in made)
