"""The filter language: each operator, each filter that an old client sends, and that no text whatever breaks it."""

from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.errors import InventoryError
from inventory.filtering import condition
from inventory.models import (
    CustomConfig,
    Customization,
    Host,
    HostState,
    Indicator,
    Instance,
    InstanceState,
    OperatingSystem,
    OsProviderKind,
    OsType,
    Provider,
    ProviderKind,
    Region,
    Site,
    Status,
    hardware,
)  # fmt: skip
from tests.conftest import client_of, fresh_project
from wire import hostmgr_pb2 as hm
from workers.servicers import host

pytestmark = pytest.mark.django_db

U1, U2 = "11111111-aaaa-4bbb-8ccc-000000000001", "22222222-aaaa-4bbb-8ccc-000000000002"


def made(resource, **wishes):
    resource.ask(**wishes)
    return resource


@pytest.fixture(scope="module")
def project(django_db_setup, django_db_blocker):
    """A project with the fleet, made once: no test here changes it."""
    with django_db_blocker.unblock(), fresh_project() as project:
        with schema_context(project.schema_name):
            make_fleet()
        yield project


@pytest.fixture
def fleet(project, public):
    """The ids of the fleet by their names, in whose schema the test is."""
    with schema_context(project.schema_name):
        kinds = (Region, Site, Provider, OperatingSystem, Host, Instance)
        yield {row.name: row.resource_id for kind in kinds for row in kind.objects.all()}


@pytest.fixture
def api(project, fleet):
    return client_of(project, "im-rw")


def make_fleet() -> None:
    """Three hosts: `edge-1` runs in Berlin, `edge-2` is onboarded in Bonn, `spare_3` is nowhere and has no UUID."""
    continent = made(Region(name="Europe"))
    country = made(Region(name="Germany", parent_region=continent))
    berlin = made(Site(name="Berlin Mitte", region=country, site_lat=525200000))
    bonn = made(Site(name="Bonn", region=continent))
    provider = made(Provider(name="infra", provider_kind=ProviderKind.BAREMETAL, api_endpoint="x"))
    debian = made(OperatingSystem(
        name="Debian 12", profile_name="debian-12-demo", sha256="a" * 64, os_type=OsType.MUTABLE,
        os_provider=OsProviderKind.INFRA,
    ))  # fmt: skip
    onboarded = {"state": HostState.ONBOARDED}
    one = made(
        Host(
            name="edge-1", uuid=UUID(U1), serial_number="SN0001", site=berlin, provider=provider, note="100%",
            metadata=[{"key": "city", "value": "berlin"}, {"key": "zone", "value": "a"}],
        ),
        **onboarded,
    )  # fmt: skip
    one.observe(
        state=HostState.ONBOARDED, host_status=Status("Running", Indicator.IDLE), memory_bytes=2**40, cpu_cores=8,
        hardware={
            "storages": [{"deviceName": "nvme0n1", "capacityBytes": "512000000000", "serial": ""},
                         {"deviceName": "sda", "capacityBytes": "1000", "serial": "XYZ"}],
            "nics": [{"deviceName": "eth0", "macAddr": "aa:bb:cc:dd:ee:01", "mtu": 1500, "sriovEnabled": True,
                      "linkState": "NETWORK_INTERFACE_LINK_STATE_UP", "ipaddresses": [{"address": "10.0.2.15/24"}]}],
            "usbs": [], "gpus": [{"capabilities": ["cuda", "vulkan"]}],
        },
    )  # fmt: skip
    two = made(Host(name="edge-2", uuid=UUID(U2), serial_number="SN0002", site=bonn), **onboarded)
    two.observe(state=HostState.ONBOARDED, host_status=Status("", Indicator.ERROR), cpu_cores=4)
    made(Host(name="spare_3", serial_number="SN0003", note="back\\slash"), state=HostState.REGISTERED)
    instance = made(Instance(name="edge-1-instance", host=one, os=debian), state=InstanceState.RUNNING)
    instance.observe(state=InstanceState.RUNNING)
    config = made(CustomConfig(name="c1", config="#cloud-config"))
    Customization.objects.create(instance=instance, custom_config=config)


def matching(model, text: str, ids: dict | None = None) -> set[str]:
    for name, resource_id in (ids or {}).items():
        text = text.replace(f"<{name}>", resource_id)
    return {row.name for row in model.objects.filter(condition(model, text))}


E1, E2, S3 = "edge-1", "edge-2", "spare_3"
ALL = {E1, E2, S3}


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        # text
        ("", ALL), ("   ", ALL),
        ('name = "EDGE"', {E1, E2}), ("name='edge-1'", {E1}), ("name=edge-1", {E1}), ("name = 'e*e-2'", {E2}),
        ("name = '*'", ALL), ("name = 'd_e'", set()), ("name = 'e_3'", {S3}), ("note = '0%'", {E1}),
        ("note = '%'", {E1}), ("note = 'k\\s'", {S3}), ("name != 'edge-1'", {E2, S3}), ("name != 'edge'", ALL),
        ("name != 'EDGE-1'", ALL), ("note = ''", {E2}), ('note != ""', {E1, S3}), ("name > 'edge-1'", {E2, S3}),
        ("name <= edge-1", {E1}), ("hostname = straße", set()), ("name = AND", set()), ("name = \"it's\"", set()),
        # logic
        ("name=edge AND cpuCores=8", {E1}), ("name=edge-1 OR name=edge-2", {E1, E2}), ("NOT name=edge", {S3}),
        ("cpuCores=8 AND name=spare OR name=edge-2", set()), ("(cpuCores=8 AND name=edge) OR name=spare", {E1, S3}),
        ("NOT (name=edge-1 OR name=edge-2)", {S3}), ("NOT (NOT site.name=bonn)", {E2}), ("NOT(name=edge)", {S3}),
        ("((name=edge-1))", {E1}), ("\n name\t=edge-1\r\n", {E1}),
        # names
        ("serial_number=SN0001 AND serialNumber=SN0001 AND SerialNumber=SN0001", {E1}),
        ("siteId=site-", {E1, E2}), ("siteID=site- AND site_id=site-", {E1, E2}), ("site=site-", {E1, E2}),
        ("siteId=''", {S3}), ("hostId='<edge-1>' AND host_id='<edge-1>'", {E1}),
        # numbers
        ("cpuCores = 8", {E1}), ("cpu_cores != 8", {E2, S3}), ("cpuCores > 4", {E1}), ("cpuCores >= 4", {E1, E2}),
        ("cpuCores < 4", {S3}), ("cpuCores <= '4'", {E2, S3}), ("memoryBytes = 1099511627776", {E1}),
        ("cpuCores > -1", ALL), (f"cpuCores < {'9' * 400}", ALL), (f"cpuCores = {'9' * 400}", set()),
        (f"cpuCores != {'9' * 400}", ALL), (f"memoryBytes > -{'9' * 400}", ALL),
        # enums
        ("currentState = HOST_STATE_ONBOARDED", {E1, E2}), ("currentState='HOST_STATE_ONBOARDED'", {E1, E2}),
        ('current_state != "HOST_STATE_ONBOARDED"', {S3}), ("hostStatusIndicator=STATUS_INDICATION_ERROR", {E2}),
        # null
        ("uuid = null", {S3}), ("uuid != null", {E1, E2}), ("site = null", {S3}), ("site != null", {E1, E2}),
        ("instance = null", {E2, S3}), ("instance != null", {E1}), ("name = 'null'", set()),
        # uuids
        (f"uuid = {U1}", {E1}), (f"uuid = '{U1.upper()}'", {E1}), (f"uuid != '{U1}'", {E2, S3}), ("uuid='2222'", {E2}),
        ("uuid = 'AAAA-4bbb'", {E1, E2}), ("uuid = ''", {S3}), ("uuid='no such'", set()), ("uuid='1*0001'", {E1}),
        # edges
        ("site.name = berlin", {E1}), ("site.name != bonn", {E1, E2}), ("site.name != Bonn", {E1}),
        ("NOT site.name = berlin", {E2, S3}), ("site.name = ''", set()), ("site.name = null", set()),
        ("site.region.name = europe", {E2}), ("site.region.parentRegion.name = europe", {E1}),
        ("site.region.parent_region.resourceId = '<Europe>'", {E1}), ("site.region.regionID = '<Europe>'", {E2}),
        ("site.region.parentId = '<Europe>'", {E1}),
        ("site.region.parentRegion.parentRegion.parentRegion.name=x", set()), ("provider.name=infra", {E1}),
        ("instance.os.name = debian", {E1}), ("instance.os.osResourceID='<Debian 12>'", {E1}),
        ("instance.host.instance.host.site.name = berlin", {E1}), ("instance = '<edge-1-instance>'", {E1}),
        ("instance.instanceID='<edge-1-instance>' AND instance.osID='<Debian 12>'", {E1}),
        # has()
        ("has(instance)", {E1}), ("NOT has(instance)", {E2, S3}), ("has(site)", {E1, E2}), ("NOT has(site)", {S3}),
        ("has(site.region.parentRegion)", {E1}), ("NOT has (instance.os)", {E2, S3}),
        # hardware
        ("hostStorages.capacityBytes > 5", {E1}), ("host_storages.capacity_bytes > 512000000000", set()),
        ("hostStorages.capacityBytes = 1000", {E1}), ("hostStorages.capacityBytes != 1000", {E1}),
        ("NOT hostStorages.capacityBytes = 1000", {E2, S3}), ("has(hostNics)", {E1}), ("NOT has(hostNics)", {E2, S3}),
        ("has(hostUsbs)", set()), ("hostNics.macAddr = 'AA:BB:cc:dd:ee:01'", {E1}), ("hostNics.mac_addr=aa:bb", {E1}),
        ("hostNics.macAddr != 'x'", {E1}), ("hostNics.mtu >= 1500", {E1}), ("hostNics.mtu < 1500", set()),
        ("hostNics.sriovEnabled = true", {E1}), ("hostNics.bmcInterface = false", {E1}),
        ("hostNics.bmcInterface != false", set()), ("hostNics.linkState=NETWORK_INTERFACE_LINK_STATE_UP", {E1}),
        ("hostNics.ipaddresses.address = '10.0.2.'", {E1}), ("has(hostNics.ipaddresses)", {E1}),
        ("hostStorages.serial = ''", {E1}), ("hostNics.mtu = null", set()), ("hostNics.bmcInterface = null", {E1}),
        ("hostUsbs.class = x", set()), ("hostGpus.capabilities = vulkan", {E1}),
        ("hostStorages.deviceName = 'nvme*n1'", {E1}),
        ("instance.host.hostStorages.deviceName = nvme", {E1}), ("hostStorages.serial > 'A'", {E1}),
        (f"hostStorages.capacityBytes < {'9' * 400}", {E1}),
        # metadata: the JSON text, without blanks
        ("""metadata='"key":"city","value":"berlin"'""", {E1}), ("metadata=city", {E1}), ("metadata = ''", {E2, S3}),
        ("""metadata='[{"key":"city","value":"berlin"},{"key":"zone","value":"a"}]'""", {E1}),
        ("""metadata='"key":"city"' AND metadata='"value":"bonn"'""", set()), ("NOT metadata=city", {E2, S3}),
        # times
        ("createdAt > 2001-01-01", ALL), ("created_at < '2001-01-01T00:00:00Z'", set()),
        ("createdAt > 9999-12-31T23:59:59.999999+00:00", set()), ("createdAt = 9999-12-31T23:59:59.999999Z", set()),
        ("createdAt > 2001-01-01T00:00:00+01:00:30.5", ALL),
    ],
)  # fmt: skip
def test_a_filter_finds_these_hosts(fleet, text, hosts):
    assert matching(Host, text, fleet) == hosts


@pytest.mark.parametrize(
    ("model", "text", "found"),
    [
        # the command line
        (Host, "name=\"edge-1\"", {E1}),
        (Host, "serialNumber='SN0001' AND uuid='" + U1 + "'", {E1}),
        (Host, "serialNumber='SN0003' AND uuid=''", {S3}),
        (Host, "hostStatus='running'", {E1}),
        (Host, "hostStatus=''", {E2}),
        (Host, "site.resourceId='<Bonn>'", {E2}),
        (Host, "site.resourceId='<Bonn>' AND (name=edge OR name=spare)", {E2}),
        (Host, "site.resourceId='<Bonn>' OR site.resourceId='<Berlin Mitte>'", {E1, E2}),
        (Instance, "host.serialNumber=\"SN0001\" AND host.uuid=\"" + U1 + '"', {"edge-1-instance"}),
        (OperatingSystem, 'profileName="debian-12-demo"', {"Debian 12"}),
        (OperatingSystem, "name='debian' OR resourceId='debian'", {"Debian 12"}),
        (Site, 'name="Bonn"', {"Bonn"}),
        (Site, "region.resource_id='<Europe>' OR region.parent_region.resource_id='<Europe>' OR "
               "region.parent_region.parent_region.resource_id='<Europe>' OR "
               "region.parent_region.parent_region.parent_region.resource_id='<Europe>'", {"Bonn", "Berlin Mitte"}),
        (Site, "region.resourceId='<Germany>' OR region.parent_region.resource_id='<Germany>'", {"Berlin Mitte"}),
        (Region, "resource_id='<Germany>'", {"Germany"}),
        # the web UI
        (Host, "(currentState=HOST_STATE_ONBOARDED AND has(instance))", {E1}),
        (Host, "(currentState=HOST_STATE_ONBOARDED AND NOT has(instance))", {E2}),
        (Host, "(currentState=HOST_STATE_REGISTERED OR currentState=HOST_STATE_UNSPECIFIED)", {S3}),
        (Host, "currentState=HOST_STATE_UNTRUSTED", set()),
        (Host, "(currentState=HOST_STATE_ONBOARDED AND has(instance)) AND "
               "instance.currentState=INSTANCE_STATE_RUNNING", {E1}),
        (Host, "(currentState=HOST_STATE_ONBOARDED AND has(instance)) AND "
               """metadata='"key":"zone","value":"a"'""", {E1}),
        *((Host, f'(name="{t}" OR uuid="{t}" OR serialNumber="{t}" OR resourceId="{t}" OR note="{t}" OR site.name="{t}"'
                 f' OR instance.os.name="{t}")', found)
          for t, found in [("bonn", {E2}), ("DEBIAN", {E1}), ("sn000", ALL), ("1111", {E1}), ("host-", ALL)]),
        (Host, "(hostStatusIndicator=STATUS_INDICATION_IDLE OR hostStatusIndicator=STATUS_INDICATION_UNSPECIFIED) AND "
               "(onboardingStatusIndicator=STATUS_INDICATION_IDLE OR "
               "onboardingStatusIndicator=STATUS_INDICATION_UNSPECIFIED)", {E1, S3}),
        (Host, '(instance.os.profileName="debian-12-demo" OR instance.os.profileName="x")', {E1}),
        (Host, f'(uuid="{U1}" OR uuid="{U2}") AND site.resourceId="<Bonn>"', {E2}),
        (Host, '(resourceId="<edge-1>" OR resourceId="<edge-2>")', {E1, E2}),
        (Region, "NOT has(parentRegion)", {"Europe"}),
        (Region, 'parentRegion.resourceId="<Europe>"', {"Germany"}),
        (Region, "parentRegion.resourceId=<Europe> AND name=\"er\" OR resourceId=\"er\" OR parentRegion.name=\"er\"",
         {"Germany"}),
        (Instance, 'host.resourceId="<edge-1>"', {"edge-1-instance"}),
        # what an instance has of others
        (Instance, "has(customConfig) AND customConfig.name=c1", {"edge-1-instance"}),
        (Instance, "has(localaccount) OR has(workloadMembers) OR NOT has(customConfig)", set()),
        (Host, "has(instance.workloadMembers)", set()), (Host, "NOT has(instance.workloadMembers)", ALL),
        (Host, "instance.customConfig.name=c1", {E1}),
        # both ways along an edge
        (Site, "has(hosts) AND hosts.instance.os.name=debian", {"Berlin Mitte"}),
        (Region, "NOT has(children) AND sites.name = mitte", {"Germany"}),
        (OperatingSystem, "instances.host.name=edge-2", set()),
        (Provider, "providerID=provider- AND has(hosts)", {"infra"}),
        (Site, "siteLat > 500000000 AND regionId='<Germany>'", {"Berlin Mitte"}),
        (Instance, "hostID='<edge-1>' AND osID='<Debian 12>' AND host.site.region.name=germany", {"edge-1-instance"}),
    ],
)  # fmt: skip
def test_what_the_old_clients_send_finds_what_they_look_for(fleet, model, text, found):
    assert matching(model, text, fleet) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = red", "colour: there is no field 'colour'"),
        ("site.colour = red", "site.colour: there is no field 'colour'"),
        ("hostNics.colour = red", "hostNics.colour: there is no field 'colour'"),
        ("name.colour = red", "name.colour: there is no field 'colour'"),
        ("id = 1", "id: there is no field 'id'"),
        ("site_id__in = 1", "site_id__in: there is no field 'site_id__in'"),
        ("cpuCores = many", "cpuCores: 'many' is not a whole number"),
        ("cpuCores = 1.5", "cpuCores: '1.5' is not a whole number"),
        ("cpuCores = ''", "cpuCores: '' is not a whole number"),
        ("cpuCores = ٣", "cpuCores: '٣' is not a whole number"),
        ("hostNics.mtu = big", "hostNics.mtu: 'big' is not a whole number"),
        ("hostNics.sriovEnabled = maybe", "hostNics.sriovEnabled: 'maybe' is none of true, false"),
        ("hostNics.sriovEnabled < true", "hostNics.sriovEnabled: only = and != can be asked here"),
        ("hostNics.mtu < null", "hostNics.mtu: only = and != can be asked here"),
        ("hostNics = x", "hostNics: this is a list; name a field of its items, or ask has()"),
        ("currentState = ONBOARDED", "currentState: 'ONBOARDED' is none of HOST_STATE_UNSPECIFIED, "),
        ("currentState > HOST_STATE_ONBOARDED", "currentState: only = and != can be asked here"),
        ("cpuCores < null", "cpuCores: only = and != can be asked here"),
        ("instance < null", "instance: only = and != can be asked here"),
        ("uuid > '1'", "uuid: only = and != can be asked here"),
        ("uuid != '1'", "uuid: '1' is not a UUID"),
        ("metadata != '1'", "metadata: this is = a part of its text, or empty"),
        ("createdAt > yesterday", "createdAt: 'yesterday' is not a time like 2026-01-31T12:00:00Z"),
        ("createdAt > 0001-01-01T00:00:00+10:00", "createdAt: '0001-01-01T00:00:00+10:00' is not a time like"),
        ("has(name)", "name: has() asks for related resources, and this is a plain field"),
        ("has(site.name)", "site.name: has() asks for related resources"),
        ("has(hostNics.mtu)", "hostNics.mtu: has() asks for related resources"),
        ("name", "it ends too early"),
        ("name = ", "it ends too early"),
        ("name = x and name = y", "can't read 'and name = y' at 9; it takes"),
        ("name = x name = y", "can't read 'name = y' at 9"),
        ("name : x", "can't read ': x' at 5"),
        ("name == x", "can't read '= x' at 6"),
        ("'name' = x", "can't read"),
        ("name = 'x", "can't read"),
        ("true", "it ends too early"),
        ("1", "can't read '1' at 0"),
        ("(name = x", "it ends too early"),
        ("name = x)", "can't read ')' at 8"),
        ("has()", "can't read ')' at 4"),
        ("name = 'a\x00b'", "'\\x00' at 9 is not a letter that a filter can have"),
        ("name = " + "x" * 1000, "1007 letters are too many; 1000 is the most"),
        ("NOT (" * 40 + "name=x" + ")" * 40, "conditions lie in each other at most 20 deep"),
        (" OR ".join(["id=1"] * 100), "id: there is no field"),
        (" OR ".join(["n=x"] * 101), "more than 100 comparisons"),
        ("(" * 400 + "name=x" + ")" * 400, None),
        ("instance.host.instance.host.instance.host.name=x", "names lead over at most 5 edges"),
        ("site.region.parentRegion.parentRegion.parentRegion.name=x", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(fleet, text, said):
    if said is None:
        assert matching(Host, text) <= ALL
    else:
        with pytest.raises(InventoryError) as refused:
            condition(Host, text)
        assert str(refused.value).startswith("filter: ") and said in str(refused.value)


def test_the_rest_api_filters_counts_and_pages(api, fleet):
    page = api.get(f"{api.base}/compute/hosts", {"filter": "name = edge", "pageSize": 1, "orderBy": "name desc"}).json()
    assert ([host["name"] for host in page["hosts"]], page["totalElements"], page["hasNext"]) == (["edge-2"], 2, True)
    assert api.get(f"{api.base}/compute/hosts?filter=").json()["totalElements"] == 3
    answer = api.get(f"{api.base}/compute/instances?filter=host.colour=red")
    assert (answer.status_code, answer.json()) == (
        400, {"code": "InvalidArgument", "message": "filter: host.colour: there is no field 'colour'"},
    )  # fmt: skip


def test_a_time_is_found_by_what_the_json_shows(api, fleet):
    [region] = api.get(f"{api.base}/regions?filter=name=Germany").json()["regions"]
    created = region["timestamps"]["createdAt"]
    assert region["name"] in matching(Region, f"createdAt = {created}")
    assert region["name"] not in matching(Region, f"createdAt < '{created}'")


def test_no_filter_shows_another_tenants_rows(api, fleet, beta):
    theirs = client_of(beta, "im-rw")
    for text in ("", "name='*'", "NOT name='no such'", f"uuid={U1}", "has(instance)", "uuid != null OR uuid = null"):
        assert theirs.get(f"{theirs.base}/compute/hosts", {"filter": text}).json()["totalElements"] == 0
    with schema_context(beta.schema_name):
        made(Host(name="edge-b", serial_number="SNB001"), state=HostState.REGISTERED)
    assert api.get(f"{api.base}/compute/hosts", {"filter": "NOT name='no such'"}).json()["totalElements"] == 3


def test_a_whole_id_is_looked_up_and_not_searched(fleet):
    with CaptureQueriesContext(connection) as queries:
        assert matching(Host, "site.resourceId='<Bonn>'", fleet) == {E2}
    [query] = queries
    assert '"site_id" = ' in query["sql"] and "ILIKE" not in query["sql"] and "EXISTS" not in query["sql"]


def test_what_a_filter_finds_is_looked_for_once(api, fleet):
    with CaptureQueriesContext(connection) as queries:
        page = api.get(f"{api.base}/compute/hosts?pageSize=1&filter=name=edge").json()
    assert (len(page["hosts"]), page["totalElements"], page["hasNext"]) == (1, 2, True)
    assert sum(query["sql"].count("ILIKE") for query in queries) == 1
    beyond = api.get(f"{api.base}/compute/hosts?pageSize=1&offset=2&filter=name=edge").json()
    assert beyond == {"hosts": [], "totalElements": 2, "hasNext": False}


def test_no_row_is_read_but_those_that_an_or_over_several_resources_finds(fleet):
    text = 'name="edge-1" OR site.name="Bonn" OR instance.os.name="no such"'
    assert matching(Host, text, fleet) == {E1, E2}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # of three rows all are read
    plan = Host.objects.filter(condition(Host, text)).order_by().explain()
    assert "Index Cond: ((resource_id)::text = ANY (((InitPlan 1).col1)" in plan, plan


def test_a_number_that_no_column_holds_finds_nothing(api, fleet):
    for _ in range(2):
        found = api.get(f"{api.base}/compute/hosts?pageSize=5&filter=cpuCores={10**18}")
        assert found.json() == {"hosts": [], "totalElements": 0, "hasNext": False}


def test_filters_know_the_hardware_as_agents_report_it():
    reported = {
        hardware.Storage: host.storage(hm.SystemDisk()),
        hardware.Nic: host.nic(hm.SystemNetwork()),
        hardware.IpAddress: host.ip_address(hm.IPAddress(ip_address="10.0.2.15", network_prefix_bits=24)),
        hardware.Usb: host.usb(hm.SystemUSB()),
        hardware.Gpu: host.gpu(hm.SystemGPU(pci_id="00:02.0")),
    }
    for shape, item in reported.items():
        assert shape.__annotations__.keys() == item.keys(), shape


# Anything at all --------------------------------------------------------------------------------------------------

anything_runs = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
words = st.sampled_from([
    "AND", "OR", "NOT", "(", ")", "has(", "=", "!=", "<", ">", "<=", ">=", "null", "true", "''", '"%_\\*"', "'", '"',
    ".", "name", "siteId", "site.name", "site", "hostNics.mtu", "hostNics", "uuid", "cpuCores", "currentState",
    "metadata", "createdAt", "instance.os.osType", "HOST_STATE_ONBOARDED", "5", "-1", "2026-01-01", U1, "; DROP TABLE",
    "--", "$1", "%s",
])  # fmt: skip
names = st.sampled_from([
    "name", "siteId", "site.region.name", "site", "instance", "hostNics.mtu", "hostStorages.serial", "hostGpus",
    "hostNics.sriovEnabled", "uuid", "cpuCores", "currentState", "metadata", "createdAt", "memory_bytes",
    "hostGpus.capabilities",
])  # fmt: skip
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
constants = st.one_of(
    st.integers().map(str),
    st.datetimes().map(str).map(repr),
    st.uuids().map(str),
    st.sampled_from(["null", "true", "''", "HOST_STATE_ONBOARDED"]),
    st.text(max_size=20).map(lambda text: f"'{text.replace(chr(39), '')}'"),
)
comparisons = st.builds("{} {} {}".format, names, operators, constants) | names.map("has({})".format)
expressions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        inner.map("NOT ({})".format),
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
    ),
    max_leaves=6,
)


def rows_or_refusal(text: str) -> None:
    try:
        found = condition(Host, text)
    except InventoryError as refused:
        assert str(refused).startswith("filter: ")
    else:
        list(Host.objects.filter(found).values_list("pk"))


@anything_runs
@given(st.text())
def test_any_text_gives_rows_or_a_refusal(fleet, text):
    rows_or_refusal(text)


@anything_runs
@given(st.lists(words, max_size=12).map(" ".join))
def test_any_words_of_the_language_give_rows_or_a_refusal(fleet, text):
    rows_or_refusal(text)


@anything_runs
@given(expressions)
def test_any_expression_gives_rows_or_a_refusal(fleet, text):
    rows_or_refusal(text)


@anything_runs
@given(comparisons)
def test_not_is_the_opposite_of_a_comparison(fleet, text):
    """No row is lost to an unknown: what isn't found by a filter is found by its NOT."""
    try:
        found = condition(Host, text)
    except InventoryError:
        return
    rows = {host.pk for host in Host.objects.filter(found)}
    others = {host.pk for host in Host.objects.filter(condition(Host, f"NOT {text}"))}
    assert not rows & others and len(rows | others) == 3


# By index ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "text", "index"),
    [
        (Host, "name = 'edge'", "inventory_host_text"), (Host, "serialNumber = sn00", "inventory_host_text"),
        (Host, f"uuid = '{U1[:13]}'", "inventory_host_text"),
        (Host, "name=edge OR serialNumber=edge OR note=edge OR resourceId=edge", "inventory_host_text"),
        (Site, "name = berlin", "inventory_site_text"), (Region, "name = germany", "inventory_region_text"),
        (OperatingSystem, "profileName = debian", "inventory_operatingsystem_text"),
    ],
)  # fmt: skip
def test_a_part_of_a_text_is_found_by_index(fleet, model, text, index):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # three hosts are quicker read than looked up
    assert f"Bitmap Index Scan on {index}" in model.objects.order_by().filter(condition(model, text)).explain()


def test_a_search_box_finds_by_any_of_its_texts_of_the_host_and_of_others_and_not_finds_the_rest(acme):
    api = client_of(acme, "im-rw")
    with schema_context(acme.schema_name):
        site = Site(name="needle-site")
        site.ask()
        for number, more in enumerate([{"name": "needle"}, {"site": site}, {"name": "hay"}]):
            Host(serial_number=f"SEARCH{number}", **more).ask(state=HostState.REGISTERED)
    names = ("name", "uuid", "serialNumber", "resourceId", "note", "site.name", "instance.os.name")
    asked = f"({' OR '.join(f'{name}=needle' for name in names)})"

    def found(text):
        rows = api.get(f"{api.base}/compute/hosts", {"filter": text}).json()["hosts"]
        return {row["serialNumber"] for row in rows}

    for _ in range(2):  # what is kept of a filter isn't what it found
        assert found(f"serialNumber=SEARCH AND {asked}") == {"SEARCH0", "SEARCH1"}
    assert found(f"serialNumber=SEARCH AND NOT {asked}") == {"SEARCH2"}
