"""What the tests of the REST API share: resources to begin with, and what a stranger is told."""

from inventory.models import Host, HostState, Instance, InstanceState, OperatingSystem, Region, Site
from tests.conftest import client_of

TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


def made(resource, **wishes):
    resource.ask(**wishes)
    return resource


def site_in(*regions: str) -> Site:
    """A site in the last of these regions, each of which lies in the one before."""
    region = None
    for name in regions:
        region = made(Region(name=name, parent_region=region))
    return made(Site(name="Berlin", region=region))


def an_os(name: str = "debian") -> OperatingSystem:
    image = {"sha256": "a" * 64, "os_type": "OS_TYPE_MUTABLE", "os_provider": "OS_PROVIDER_KIND_INFRA"}
    return made(OperatingSystem(name=name, **image))


def an_instance(serial: str = "SN00001", site: Site | None = None) -> Instance:
    host = made(Host(serial_number=serial, site=site), state=HostState.ONBOARDED)
    os = OperatingSystem.objects.first() or an_os()
    return made(Instance(name="edge", host=host, os=os), state=InstanceState.RUNNING)


def is_unknown_to_others(beta, path, resource_id, collection, kind, methods=("get", "delete")) -> None:
    """Another tenant's token finds nothing in its own project under this id, and changes nothing here."""
    theirs = client_of(beta, "im-rw")
    for method in methods:
        answer = getattr(theirs, method)(f"{theirs.base}/{path}/{resource_id}", {})
        assert refused(answer, f"{kind} not found", "NotFound", 404), method
    nothing = {collection: [], "totalElements": 0, "hasNext": False}
    assert theirs.get(f"{theirs.base}/{path}").json() == nothing


def refused(answer, message: str, code: str = "InvalidArgument", status: int = 400) -> bool:
    told = (answer.status_code, answer.json())
    assert told == (status, {"code": code, "message": message}), told
    return True
