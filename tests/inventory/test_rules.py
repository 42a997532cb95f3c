"""Who may write which column of which model, and rules that hold whoever writes: the API, the admin, a reconciler."""

import time

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.db.migrations.loader import MigrationLoader

from inventory import errors
from inventory.models import (
    AmtState,
    Host,
    HostState,
    Instance,
    InstanceState,
    KvmState,
    LocalAccount,
    OperatingSystem,
    Ou,
    PowerCommandPolicy,
    PowerState,
    Provider,
    Region,
    RemoteAccess,
    RemoteAccessState,
    Resource,
    Site,
    SolState,
)
from tests.inventory.nouns import an_instance, an_os, made

pytestmark = pytest.mark.django_db
MODELS = [model for model in apps.get_app_config("inventory").get_models() if issubclass(model, Resource)]


def test_a_tenant_has_at_most_25_tables(acme):
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [acme.schema_name])
        tables = {name for (name,) in cursor.fetchall()}
    assert len(tables) <= 25 and {model._meta.db_table for model in MODELS} < tables


def test_the_first_release_goes_on_inserting_while_a_fleet_is_migrated(acme):
    """Every column that came after it may be left out."""
    first = MigrationLoader(None).project_state(("inventory", "0001_initial"))
    known = {
        (state.options.get("db_table") or f"inventory_{name}", column)
        for (app, name), state in first.models.items()
        if app == "inventory"
        for column in [f.column for f in first.apps.get_model(app, name)._meta.concrete_fields]
    }
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT table_name, column_name FROM information_schema.columns
            WHERE table_schema = %s AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
            """,
            [acme.schema_name],
        )
        needed = {*cursor.fetchall()}
    assert {column for column in needed - known if column[0] in {table for table, _ in known}} == set()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_what_is_guarded_or_fixed_is_a_column_and_no_bulk_write_reaches_it(acme, model):
    columns = {field.name for field in model._meta.concrete_fields}
    assert model.guarded() | model.fixed <= columns and not model.guarded() & model.fixed
    assert {*model.wishes.values()} <= columns
    for column in model.guarded() | model.fixed:
        with pytest.raises(errors.NotYours, match=column):
            model.objects.update(**{column: "x"})
        with pytest.raises(errors.NotYours, match=column):
            model.objects.bulk_update([], [column])
    with pytest.raises(errors.NotYours):
        model.objects.bulk_create([])


@pytest.mark.parametrize("model", [model for model in MODELS if model.wishes], ids=lambda model: model.__name__)
def test_a_wish_is_not_a_fact_and_a_fact_no_wish(acme, model):
    for pair in model.wishes:
        with pytest.raises(errors.NotYours):
            model(**{f"current_{pair}": "x"}).ask()
        with pytest.raises(errors.NotYours):
            model(**{f"desired_{pair}": "x"}).save()
        with pytest.raises(errors.NotYours):
            model().observe(**{f"desired_{pair}": "x"})


@pytest.mark.parametrize("model", [model for model in MODELS if model.wishes], ids=lambda model: model.__name__)
def test_each_current_state_has_its_line_in_the_table(model):
    for pair, table in model.allowed.items():
        choices = {value for value, _ in model._meta.get_field(f"current_{pair}").choices}
        assert table.keys() == choices and all({*wishes} <= choices for wishes in table.values())


@pytest.mark.parametrize(
    ("pair", "wish", "is_allowed"),
    [
        ("power_state", PowerState.OFF, True),
        ("amt_state", AmtState.PROVISIONED, True),
        ("amt_state", AmtState.DISCONNECTED, False),
        ("kvm_state", KvmState.START, True),
        ("kvm_state", KvmState.AWAITING_CONSENT, False),
        ("sol_state", SolState.CONSENT_RECEIVED, True),
        ("sol_state", SolState.ERROR, False),
    ],
)
def test_a_host_is_wished_what_can_be_and_not_what_only_its_machine_can_tell(acme, pair, wish, is_allowed):
    host = made(Host(serial_number="SN00001"), state=HostState.REGISTERED)
    if is_allowed:
        host.ask(**{pair: wish})
        assert getattr(Host.objects.get(), f"desired_{pair}") == wish
    else:
        with pytest.raises(errors.TransitionNotAllowed, match=f"{host} can't become {wish}"):
            host.ask(**{pair: wish})


def test_one_reset_after_another_has_another_name(acme):
    host = made(Host(serial_number="SN00001"), state=HostState.REGISTERED)
    wishes = []
    for becomes_so in (False, True, True, False):
        host.ask(power_state=PowerState.RESET)
        wishes.append(Host.objects.get().desired_power_state)
        if becomes_so:
            host.observe(power_state=wishes[-1])
    assert wishes == ["POWER_STATE_RESET", "POWER_STATE_RESET_REPEAT", "POWER_STATE_RESET", "POWER_STATE_RESET_REPEAT"]


def test_power_commands_are_immediate_unless_somebody_orders_them(acme):
    host = made(Host(serial_number="SN00001"), state=HostState.REGISTERED)
    assert host.power_command_policy == PowerCommandPolicy.IMMEDIATE
    host.power_command_policy = PowerCommandPolicy.UNSPECIFIED
    host.save()
    assert Host.objects.get().power_command_policy == PowerCommandPolicy.IMMEDIATE


def test_what_an_instance_is_depends_on_its_kind(acme):
    os = an_os()
    host = made(Host(serial_number="SN00001"), state=HostState.REGISTERED)
    virtual = {"kind": "INSTANCE_KIND_VM", "os": os, "vm_cpu_cores": 4, "vm_memory_bytes": 2**40}
    assert made(Instance(**virtual), state=InstanceState.RUNNING).host is None
    with pytest.raises(ValidationError, match="an instance of INSTANCE_KIND_VM has no host"):
        Instance(**virtual, host=host).ask()
    with pytest.raises(ValidationError, match="vmCpuCores: only an instance of INSTANCE_KIND_VM has that"):
        Instance(os=os, host=host, vm_cpu_cores=4).ask()
    metal = an_instance("SN00002")
    for change in ({"kind": "INSTANCE_KIND_VM"}, {"vm_cpu_cores": 1}):
        with pytest.raises(IntegrityError), transaction.atomic():
            models.QuerySet.update(Instance.objects.filter(pk=metal.pk), **change)


def test_what_is_given_once_is_not_written_again(acme):
    account = made(LocalAccount(username="ada", ssh_key="ssh-ed25519 AAAA"))
    instance = an_instance()
    instance.security_feature, instance.local_account, instance.name = "SECURITY_FEATURE_UNSPECIFIED", account, "new"
    instance.save()
    instance.refresh_from_db()
    assert (instance.name, instance.local_account, instance.security_feature) == ("new", None, "SECURITY_FEATURE_NONE")
    os = an_os("other")
    os.sha256, os.name = "b" * 64, "renamed"
    os.ask()
    os.refresh_from_db()
    assert (os.sha256, os.name) == ("a" * 64, "renamed")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "a JSON object of texts"),
        ("{", "a JSON object of texts"),
        ('{"a":1}', "the value of 'a' is not a text"),
        ('{"a":"b","a":"c"}', "metadata key 'a' is there twice"),
        ('{"A":"b"}', "only lower-case letters"),
        ("[" * 400, "a JSON object of texts"),
    ],
)
def test_metadata_of_an_operating_system_is_a_flat_object(acme, text, why):
    os = an_os()
    os.metadata = text
    with pytest.raises(ValidationError, match=why):
        os.save()
    os.metadata = '{"edition":"server"}'
    os.save()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"os_type": "OS_TYPE_UNSPECIFIED"}, "osType is"),
        ({"os_provider": "OS_PROVIDER_KIND_UNSPECIFIED"}, "osProvider is"),
        ({"sha256": "A" * 64}, "64 lower-case hexadecimal digits"),
        ({"tls_ca_cert": "no base64"}, "base64 is needed"),
        ({"description": "ä"}, "only letters"),
    ],
)
def test_an_operating_system_that_breaks_a_rule_is_refused(acme, change, why):
    image = {"sha256": "a" * 64, "os_type": "OS_TYPE_MUTABLE", "os_provider": "OS_PROVIDER_KIND_INFRA"}
    with pytest.raises(ValidationError, match=why):
        OperatingSystem(name="x", **{**image, **change}).ask()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"provider_kind": "PROVIDER_KIND_UNSPECIFIED"}, "providerKind is PROVIDER_KIND_BAREMETAL"),
        ({"config": "not JSON"}, "config is a JSON object"),
        ({"config": '{"autoProvision":"yes"}'}, "config.autoProvision: 'yes' is not of type 'boolean'"),
    ],
)
def test_a_provider_that_breaks_a_rule_is_refused(acme, change, why):
    said = {"name": "loca", "provider_kind": "PROVIDER_KIND_BAREMETAL", "api_endpoint": "https://loca.example"}
    with pytest.raises(ValidationError, match=why):
        Provider(**{**said, **change}).ask()


def test_a_provider_in_use_stays_whoever_uses_it(acme):
    said = {"name": "loca", "provider_kind": "PROVIDER_KIND_BAREMETAL", "api_endpoint": "https://loca.example"}
    provider = made(Provider(**said))
    instance = an_instance(site=made(Site(name="Berlin", provider=provider)))
    with pytest.raises(errors.InUse, match=f"{provider} is in use by site-"):
        provider.delete()
    Site.objects.update(provider=None)
    instance.provider = provider
    instance.save()
    with pytest.raises(errors.InUse, match=f"{provider} is in use by {instance}"):
        provider.delete()


def test_units_nest_as_regions_do_and_stay_while_they_are_used(acme):
    units = [made(Ou(name="1"))]
    for name in "2345":
        units.append(made(Ou(name=name, parent_ou=units[-1])))
    with pytest.raises(errors.TransitionNotAllowed, match="Units nest at most 5 levels deep"):
        Ou(name="6", parent_ou=units[-1]).ask()
    units[0].parent_ou = units[2]
    with pytest.raises(errors.TransitionNotAllowed):
        units[0].save()
    site = made(Site(name="s", ou=units[-1]))
    with pytest.raises(errors.InUse, match=f"{units[-1]} is in use by {site}"):
        units[-1].delete()
    with pytest.raises(errors.InUse, match=f"{units[3]} is in use by {units[4]}"):
        units[3].delete()


def test_a_region_moved_by_whoever_stays_in_its_tree(acme):
    outer = made(Region(name="outer"))
    inner = made(Region(name="inner", parent_region=outer))
    outer.parent_region = inner
    with pytest.raises(errors.TransitionNotAllowed, match="never in a circle"):
        outer.save()


@pytest.mark.parametrize("servers", [["10.0.0.1", "::1"], ["10.0.0.1/24"], "10.0.0.1", [None]])
def test_dns_servers_are_addresses(acme, servers):
    site = Site(name="s", dns_servers=servers)
    if servers == ["10.0.0.1", "::1"]:
        assert made(site).dns_servers == servers
    else:
        with pytest.raises(ValidationError):
            site.ask()


def test_a_rule_that_came_later_keeps_nothing_from_being_deleted_or_wished_for(acme):
    host = made(Host(serial_number="SN00001"), state=HostState.REGISTERED)
    models.QuerySet.update(Host.objects.all(), name="a name of before, with | in it")
    host = Host.objects.get()
    host.ask(state=HostState.ONBOARDED)
    host.note = "and it changes"
    for write in (host.save, lambda: host.ask(state=HostState.ONBOARDED)):
        with pytest.raises(ValidationError, match="only letters"):
            write()
    Host.objects.get().ask(state=HostState.DELETED)
    assert not Host.objects.exists()


@pytest.mark.parametrize("seconds", [-1, 599, 24 * 3600 + 60])
def test_a_remote_access_is_for_a_while_that_lies_ahead(acme, seconds):
    access = RemoteAccess(instance=an_instance(), expiration_timestamp=int(time.time()) + seconds)
    with pytest.raises(ValidationError, match="between 10 minutes and 24 hours"):
        access.ask(state=RemoteAccessState.ENABLED)


def test_a_host_has_one_instance(acme):
    instance = an_instance()
    with pytest.raises(errors.Duplicate, match=f"{instance.host} has an instance already"):
        Instance(host=instance.host, os=instance.os).ask(state=InstanceState.RUNNING)


@pytest.mark.parametrize(
    "resource",
    [
        Region(name="Europe\n"),
        Region(name="Europe", metadata=[{"key": "city\n", "value": "berlin"}]),
        Region(name="Europe", metadata=[{"key": "city", "value": "berlin\n"}]),
        OperatingSystem(name="debian", sha256="a" * 64 + "\n", os_type="OS_TYPE_MUTABLE"),
        LocalAccount(username="ada\n", ssh_key="ssh-ed25519 AAAA"),
    ],
)
def test_no_newline_hides_behind_what_is_allowed(acme, resource):
    with pytest.raises(ValidationError):
        resource.ask()
