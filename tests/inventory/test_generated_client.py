"""A client generated from our document, by a generator that knows nothing of us, against the server over HTTP."""

import threading
from importlib import import_module
from types import SimpleNamespace
from wsgiref.simple_server import WSGIRequestHandler, make_server

import orjson
import pytest
from django.db import connection
from drf_spectacular.generators import SchemaGenerator
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType

from eim_project.wsgi import application
from tests.conftest import client_of, fresh_project


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        """Nothing: the application logs its requests itself."""


def serve(server) -> None:
    server.serve_forever(poll_interval=0.01)
    connection.close()  # this thread's own


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The whole document as a Python package, and what the generator complained about."""
    place = tmp_path_factory.mktemp("generated")
    document, package = place / "openapi.json", place / "eim_client"
    document.write_bytes(orjson.dumps(SchemaGenerator().get_schema(request=None, public=True)))
    config = Config.from_sources(
        ConfigFile(post_hooks=[]), MetaType.NONE, document, "utf-8", overwrite=True, output_path=package
    )
    complaints = generate(config=config)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        yield SimpleNamespace(complaints=complaints, models=import_module("eim_client.models"))


@pytest.fixture(scope="module")
def call(package, django_db_setup, django_db_blocker):
    """Calls an operation by its service and its name, in a project of its own; the server has a socket."""
    with django_db_blocker.unblock(), fresh_project() as project:
        token = client_of(project, "im-rw")._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
        server = make_server("127.0.0.1", 0, application, handler_class=Quiet)
        serving = threading.Thread(target=serve, args=[server])
        serving.start()
        base = f"http://127.0.0.1:{server.server_port}"
        client = import_module("eim_client").AuthenticatedClient(
            base_url=base, token=token, raise_on_unexpected_status=True
        )

        def call(service, name, *ids, **told):
            operation = import_module(f"eim_client.api.{service}.{service}_{name}")
            return operation.sync(project.name, *ids, client=client, **told)

        yield call
        server.shutdown()
        serving.join()
        server.server_close()


def test_the_generator_understands_all_of_the_document_but_for_lines_of_json(package):
    """It has no notion of application/x-ndjson, which the rows of a bulk import are."""
    assert [one for one in package.complaints if [*one.data.content] != ["application/x-ndjson"]] == []


def test_regions_and_sites_are_made_read_changed_and_deleted(package, call):
    models = package.models
    label = models.MetadataItem(key="country", value="germany")
    germany = call("region_service", "create_region", body=models.RegionResource(name="Germany", metadata=[label]))
    assert (germany.name, germany.metadata, germany.parent_region.resource_id) == ("Germany", [label], "")
    berlin = models.SiteResource(name="Berlin", region_id=germany.resource_id, site_lat=525_200_000)
    berlin = call("site_service", "create_site", "any", body=berlin)
    assert (berlin.region.name, berlin.site_lat) == ("Germany", 525_200_000)
    seen = call("site_service", "get_site", "any", berlin.resource_id)
    assert seen.inherited_metadata == [label] and seen.timestamps == berlin.timestamps
    found = call("region_service", "list_regions", filter_="name = 'germ'", show_total_sites=True)
    assert [(one.name, one.total_sites) for one in found.regions] == [("Germany", 1)]
    assert (found.total_elements, found.has_next) == (1, False)
    body = models.SiteResource(name="Mitte")
    assert call("site_service", "patch_site", "any", berlin.resource_id, body=body).site_lat == 525_200_000
    assert call("site_service", "update_site", "any", berlin.resource_id, body=body).site_lat == 0
    call("site_service", "delete_site", "any", berlin.resource_id)
    gone = call("site_service", "get_site", "any", berlin.resource_id)
    assert (type(gone), gone.code.value, gone.message) == (models.Error, "NotFound", "site_resource not found")


def test_a_machine_is_registered_and_given_a_system(package, call):
    models = package.models
    host = models.HostRegister(serial_number="SN00001", auto_onboard=True, user_lvm_size=20)
    host = call("host_service", "register_host", body=host)
    assert (host.serial_number, host.user_lvm_size) == ("SN00001", 20)
    assert host.desired_state is models.HostState.HOST_STATE_ONBOARDED and host.memory_bytes == "0"
    system = models.OperatingSystemResource(
        name="debian", sha256="a" * 64, os_type=models.OsType.OS_TYPE_MUTABLE,
        os_provider=models.OsProviderKind.OS_PROVIDER_KIND_INFRA,
    )  # fmt: skip
    system = call("operating_system_service", "create_operating_system", body=system)
    instance = models.InstanceResource(name="edge", host_id=host.resource_id, os_id=system.resource_id)
    instance = call("instance_service", "create_instance", body=instance)
    assert (instance.host.serial_number, instance.os.name) == ("SN00001", "debian")
    [listed] = call("host_service", "list_hosts", filter_="has(instance)", order_by="name").hosts
    assert listed.instance.resource_id == instance.resource_id and listed.site is None
    on = models.PowerState.POWER_STATE_RESET
    body = models.HostResource(name="rack-7", desired_power_state=on)
    assert call("host_service", "patch_host", host.resource_id, body=body).desired_power_state is on
    assert call("host_service", "get_hosts_summary").to_dict() == {
        "total": 1, "error": 0, "running": 0, "unallocated": 1,
    }  # fmt: skip
    again = call("host_service", "register_host", body=models.HostRegister(serial_number="SN00001"))
    assert again.code.value == "FailedPrecondition" and "already" in again.message
    call("instance_service", "delete_instance", instance.resource_id)
    call("host_service", "delete_host", host.resource_id)
    assert call("host_service", "list_hosts").total_elements == 0


def test_long_lists_are_walked_by_their_tokens(package, call):
    models = package.models
    made = []
    for number in range(5):
        schedule = models.SingleScheduleResource(
            name=f"n{number}", start_seconds=4_000_000_000,
            schedule_status=models.ScheduleStatus.SCHEDULE_STATUS_MAINTENANCE,
        )  # fmt: skip
        made.append(call("schedule_service", "create_single_schedule", body=schedule).name)
    token, walked = "", []
    while token or not walked:
        page = call("schedule_service", "list_single_schedules", page_size=2, order_by="name desc", page_token=token)
        walked += [one.name for one in page.single_schedules]
        token = page.next_page_token
    assert walked == made[::-1]
