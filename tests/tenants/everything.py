"""One of every resource of the inventory, for tests that want to see what others see of it."""

from django.apps import apps

from inventory.models import Host, HostState, Instance, InstanceState, OperatingSystem, Provider, Region, Resource, Site

SECRET = "secret-of-beta"


def one_of_everything() -> dict[type[Resource], Resource]:
    """Made in the current schema; wherever a text may stand, it has SECRET in it."""
    made: dict[type[Resource], Resource] = {}

    def make(resource: Resource, **wishes: str) -> Resource:
        resource.ask(**wishes)
        return made.setdefault(type(resource), resource)

    region = make(Region(name=SECRET, metadata=[{"key": "city", "value": SECRET}]))
    site = make(Site(name=SECRET, region=region))
    provider = make(
        Provider(name=SECRET, provider_kind="PROVIDER_KIND_BAREMETAL", api_endpoint=f"https://{SECRET}.example")
    )
    system = make(
        OperatingSystem(
            name=SECRET, profile_name=SECRET, sha256="a" * 64, os_type="OS_TYPE_MUTABLE",
            os_provider="OS_PROVIDER_KIND_INFRA",
        )
    )  # fmt: skip
    host = make(
        Host(name=SECRET, serial_number="SECRET00001", site=site, provider=provider), state=HostState.ONBOARDED
    )
    make(Instance(name=SECRET, host=host, os=system), state=InstanceState.RUNNING)
    missing = {model for model in apps.get_app_config("inventory").get_models() if issubclass(model, Resource)}
    assert missing == made.keys(), f"make one of {missing - made.keys()} too"
    return made


# The last fixed part of a path before an id -> the model that the id is of.
COLLECTIONS: dict[str, type[Resource]] = {
    "regions": Region, "sites": Site, "providers": Provider, "os": OperatingSystem,
    "operating_systems": OperatingSystem, "hosts": Host, "instances": Instance,
}  # fmt: skip
