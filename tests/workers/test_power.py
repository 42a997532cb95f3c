"""Power: what is wished of it happens to the machine, what happens to it is seen, and what can go wrong is told."""

import io
import threading
import time
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from sushy_tools.emulator import main as sushy_tools

from eim_project import tls
from inventory.models import Host, Indicator, Provider
from tests.chaos.waiting import until
from tests.conftest import settle
from tests.workers import controllers
from workers import bmc, power, tasks
from workers.bmc import Watcher
from workers.models import Watch, Work

ON, OFF = "POWER_STATE_ON", "POWER_STATE_OFF"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    with controllers.emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def allowed(settings):
    """Test servers are on the loopback."""
    import ipaddress

    settings.BMC_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    settings.BMC_TIMEOUT = 5


@pytest.fixture
def watcher():
    watcher = Watcher(slots=4, doubtful=2)
    yield watcher
    watcher.close()


def provider(endpoint: str, config: str = "") -> Provider:
    made = Provider(
        name=f"p{uuid4().hex[:8]}", provider_kind="PROVIDER_KIND_BAREMETAL", provider_vendor="PROVIDER_VENDOR_REDFISH",
        api_endpoint=endpoint, config=config, credentials=["admin", "hunter2"],
    )  # fmt: skip
    made.ask()
    return made


def host(endpoint: str, config: str = "", *, wish: str | None = None, uuid: UUID | None = None) -> Host:
    made = Host(uuid=uuid or uuid4(), serial_number="SN00001", power_provider=provider(endpoint, config))
    made.ask(**({"power_state": wish} if wish else {}))
    return made


def machine(emulator, power: str = "Off", **more) -> Host:
    uuid = uuid4()
    emulator.add(uuid, power)
    return host(emulator.url, uuid=uuid, **more)


def pass_time() -> None:
    """Whatever waits is due."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workers_work SET due_at = now() - interval '1 second'")
        cursor.execute("UPDATE workers_watch SET due_at = now() - interval '1 second'")


def work() -> None:
    """Everybody has their turn, twice: once to tell the machine, once to see that it followed."""
    for _ in range(2):
        settle()
        pass_time()
    settle()


def watch(watcher: Watcher) -> None:
    """All that is due is looked at, and written down."""
    full = dict(watcher.free)
    deadline = time.monotonic() + 20
    watcher.step()
    while watcher.free != full or not watcher._seen.empty():
        assert time.monotonic() < deadline, "a look doesn't end"
        time.sleep(0.01)
        while not watcher._seen.empty():
            watcher._write_down(watcher._seen.get())


def status(host: Host) -> tuple[str, str, str]:
    host.refresh_from_db()
    return host.current_power_state, host.power_status, host.power_status_indicator


# What is wished for ---------------------------------------------------------------------------------------------------


def test_a_wish_over_the_api_switches_the_machine_and_each_step_can_be_read(api, emulator):
    one = machine(emulator)
    emulator.is_deaf = True
    body = {"desiredPowerState": ON, "name": "rack-7"}
    assert api.patch(f"{api.base}/compute/hosts/{one}", body).status_code == 200
    settle()
    assert status(one)[1:] == ("Powering on", Indicator.IN_PROGRESS) and emulator.told[str(one.uuid)] == ["On"]
    emulator.is_deaf = False
    emulator.switch(one.uuid, "On")
    pass_time()
    settle()
    assert status(one) == (ON, "Powered on", Indicator.IDLE) and emulator.power(one.uuid) == "On"
    shown = api.get(f"{api.base}/compute/hosts/{one}").json()
    assert abs(shown["powerOnTime"] - time.time()) < 60 and shown["powerProviderId"] == str(one.power_provider)
    assert not Work.objects.exists()


@pytest.mark.parametrize(
    ("policy", "told"), [("IMMEDIATE", "ForceOff"), ("ORDERED", "GracefulShutdown")]
)
def test_the_policy_says_whether_the_operating_system_ends_first(acme, emulator, policy, told):
    one = machine(emulator, "On", wish=OFF)
    one.power_command_policy = f"POWER_COMMAND_POLICY_{policy}"
    one.save()
    work()
    assert status(one) == (OFF, "Powered off", Indicator.IDLE) and emulator.told[str(one.uuid)] == [told]


def test_each_reset_that_is_asked_for_is_done_once(acme, emulator):
    one = machine(emulator, "On", wish=ON)
    work()
    for times, state in enumerate(["RESET", "RESET_REPEAT", "RESET"], start=1):
        one.ask(power_state="POWER_STATE_RESET")
        work()
        assert emulator.told[str(one.uuid)] == ["ForceRestart"] * times
        assert status(one) == (f"POWER_STATE_{state}", "Reset successful", Indicator.IDLE)
    one.ask(power_state=ON)
    work()
    one.ask(power_state="POWER_STATE_RESET")
    work()
    assert len(emulator.told[str(one.uuid)]) == 4


def test_a_machine_that_is_off_is_not_reset_and_the_reason_is_shown(acme, emulator):
    one = machine(emulator, "Off", wish="POWER_STATE_RESET")
    settle()
    assert status(one)[1:] == ("Device must be powered on first", Indicator.ERROR)
    emulator.switch(one.uuid, "On")
    pass_time()
    Watch.objects.update(failures=0)  # the watch has seen it answer
    work()
    assert status(one)[1] == "Reset successful"


def test_a_state_that_the_machine_can_not_reach_is_refused_with_the_reason(acme, emulator):
    one = machine(emulator, "On", wish="POWER_STATE_HIBERNATE")
    work()
    assert status(one)[1].startswith(f"The controller at {emulator.url} can't be set to POWER_STATE_HIBERNATE")
    assert status(one)[2] == Indicator.ERROR and not emulator.told[str(one.uuid)]
    one.ask(power_state=OFF)
    work()
    assert status(one)[:2] == (OFF, "Powered off")


def test_a_machine_that_does_not_follow_has_its_time_and_is_told_again(acme, emulator, settings):
    one = machine(emulator, "Off", wish=ON)
    emulator.is_deaf = True
    try:
        work()
        assert status(one)[1] == "Powering on" and emulator.told[str(one.uuid)] == ["On"]
        settings.POWER_GRACE = 0
        pass_time()
        settle()
        assert status(one)[1:] == (power.MISMATCH, Indicator.ERROR) and len(emulator.told[str(one.uuid)]) > 1
    finally:
        emulator.is_deaf = False
    work()
    assert status(one) == (ON, "Powered on", Indicator.IDLE)


def test_hosts_that_nobody_can_switch_cost_nothing(acme):
    Host(serial_number="SN00001").ask(power_state=ON)
    settle()
    assert not Work.objects.exists() and not Watch.objects.exists()


def test_one_provider_installs_and_another_one_switches(api, acme, emulator):
    one = machine(emulator, "Off")
    installs = Provider(name="infra_onboarding", provider_kind="PROVIDER_KIND_BAREMETAL", api_endpoint="null")
    installs.ask()
    one.provider = installs
    one.save()
    one.ask(power_state=ON)
    work()
    assert emulator.power(one.uuid) == "On"
    in_use = api.delete(f"{api.base}/providers/{one.power_provider}")
    assert in_use.status_code == 400 and str(one) in in_use.json()["message"]
    refused = api.patch(f"{api.base}/compute/hosts/{one}", {"powerProviderId": str(installs), "name": "x"})
    assert refused.status_code == 400 and "can't switch power" in refused.json()["message"]


# What is seen ---------------------------------------------------------------------------------------------------------


def test_what_somebody_else_switched_is_seen_and_switched_back(acme, emulator, watcher, settings):
    one = machine(emulator, "Off", wish=ON)
    work()
    pass_time()
    watch(watcher)
    assert Watch.objects.get().seen == ON
    settings.POWER_GRACE = 0  # it was told long ago
    emulator.switch(one.uuid, "Off")
    pass_time()
    watch(watcher)
    assert status(one) == (OFF, "Powered off", Indicator.IDLE)
    work()
    assert status(one) == (ON, "Powered on", Indicator.IDLE) and emulator.told[str(one.uuid)] == ["On", "On"]


def test_a_host_without_a_wish_is_watched_and_a_look_that_sees_nothing_new_writes_nothing(
    acme, emulator, watcher, django_assert_max_num_queries
):
    one = machine(emulator, "On")
    settle()
    pass_time()
    watch(watcher)
    assert status(one) == (ON, "Powered on", Indicator.IDLE)
    changed = one.updated_at
    pass_time()
    with django_assert_max_num_queries(8):  # two claims, whether the schema is there, the host, its tenant, the way in
        watch(watcher)
    one.refresh_from_db()
    assert one.updated_at == changed


def test_a_host_that_is_gone_is_watched_no_more(acme, emulator, watcher):
    machine(emulator, "On")
    settle()
    Host.objects.get().delete()
    pass_time()
    watch(watcher)
    assert not Watch.objects.exists()


def test_a_controller_that_is_gone_is_asked_less_and_less_and_comes_back_without_a_hand(acme, emulator, watcher):
    one = machine(emulator, "On", wish=ON)
    work()
    right = one.power_provider.api_endpoint
    with controllers.silent() as dead:
        pass  # nobody listens there any more
    Provider.objects.update(api_endpoint=dead)
    pauses = []
    for _ in range(6):
        pass_time()
        watch(watcher)
        with connection.cursor() as cursor:
            cursor.execute("SELECT round(extract(epoch FROM due_at - now())) FROM workers_watch")
            pauses.append(int(cursor.fetchone()[0]))
    assert pauses == [10, 20, 40, 80, 160, 300]
    assert "doesn't answer" in status(one)[1] and status(one)[2] == Indicator.ERROR and status(one)[0] == ON
    one.ask(power_state=OFF)
    settle()  # nobody but the watch asks it
    assert "doesn't answer" in Work.objects.get().why
    Provider.objects.update(api_endpoint=right)
    pass_time()
    watch(watcher)
    work()
    assert status(one) == (OFF, "Powered off", Indicator.IDLE)


def test_those_that_hang_delay_none_of_the_others(there, emulator, settings):
    """Two hang, and there are four slots: the others are all seen before the first hanging one is given up."""
    settings.BMC_TIMEOUT = 20
    with controllers.silent() as hanging:
        for _ in range(2):
            host(hanging)
        well = [machine(emulator, "On") for _ in range(10)]
        settle()
        pass_time()
        watcher = Watcher(slots=4, doubtful=2)
        began = time.monotonic()
        while not all(status(one)[1] == "Powered on" for one in well):
            watcher.step()
            assert time.monotonic() - began < 15, "the hanging ones hold all up"
            time.sleep(0.02)
        assert watcher.free[False] == 2  # of them two hang yet
        watcher.close()


def test_the_process_does_what_is_wished_and_sees_what_happens(there, emulator):
    """As `manage.py bmc`: nobody else takes from its queue."""
    one = machine(emulator, "Off", wish=ON)
    stop = threading.Event()
    process = threading.Thread(target=bmc.run, args=[stop])
    process.start()
    try:
        until(lambda: (tasks.hear(), status(one)[1] == "Powered on")[1], "it is powered on")
        emulator.switch(one.uuid, "Off")
        pass_time()
        until(lambda: status(one)[1] == "Powered off", "that it is off is seen")
    finally:
        stop.set()
        process.join(20)
    assert not process.is_alive()


# What is wrong --------------------------------------------------------------------------------------------------------


def reason(one: Host) -> str:
    """What the operator reads, after the wish was worked on. The loop has gone on."""
    settle()
    text, indicator = status(one)[1:]
    assert indicator == Indicator.ERROR
    assert Watch.objects.get().failures == 1
    settle()  # nobody hammers: it waits
    assert Watch.objects.get().failures == 1 and Work.objects.get().why == text
    return text


@pytest.mark.parametrize(
    ("misbehaviour", "said"),
    [
        (controllers.html, "answers what is no Redfish"),
        (controllers.nonsense, "answers what is no Redfish"),
        (controllers.refuses, "refuses the credentials"),
        (controllers.endless, "an answer of over 1 MB is not read"),
        (controllers.dripping, "doesn't answer within 1 s"),
        (controllers.packed, "answers packed, which nobody asked for"),
        (controllers.elsewhere, "sends us elsewhere, to http://169.254.169.254"),
        (lambda *_: (500, {"error": {"message": "out of order"}}), "answered 500: out of order"),
        (lambda *_: (302, b""), "doesn't speak Redfish as it should"),
    ],
)
def test_what_a_controller_does_wrong_is_told_at_its_host(acme, settings, misbehaviour, said):
    settings.BMC_TIMEOUT = 1
    with controllers.serving(misbehaviour) as url:
        assert said in reason(host(url, wish=ON))


def test_a_controller_that_says_nothing_is_given_up(acme, settings):
    settings.BMC_TIMEOUT = 0.5
    with controllers.silent() as url:
        assert "doesn't answer within" in reason(host(url, wish=ON))


def test_a_power_state_that_there_is_not_is_told(acme):
    with controllers.redfish(power="Sideways") as url:
        assert "says that its power is 'Sideways', which is no state" in reason(host(url, wish=ON))


def test_the_power_of_another_machine_is_not_switched(acme):
    other = uuid4()
    with controllers.redfish(uuid=other) as url:
        one = host(url, wish=OFF)
        assert reason(one) == f"The controller at {url} has the machine {other}, and this host is {one.uuid}"


def test_a_controller_that_turns_the_first_bytes_of_a_uuid_around_is_known_all_the_same(acme):
    uuid = uuid4()
    with controllers.redfish(uuid=UUID(bytes_le=uuid.bytes)) as url:
        one = host(url, uuid=uuid, wish=ON)
        work()
        assert status(one)[:2] == (ON, "Powered on")


OURS = ["127.0.0.1", "[::1]", "localhost", "169.254.169.254", "0.0.0.0", "[::ffff:7f00:1]"]


@pytest.mark.parametrize("address", OURS)
def test_our_own_machine_and_the_link_are_no_endpoints(acme, settings, address):
    settings.BMC_NETWORKS = []
    assert "is no management controller's" in reason(host(f"http://{address}:9", wish=ON))


@pytest.fixture
def certificate(tmp_path):
    """(certificate, key) of 127.0.0.1, by an authority of its own, whose PEM is the third."""
    tls.ensure(tmp_path, ["localhost", "127.0.0.1"])
    return tmp_path / "server.crt", tmp_path / "server.key", (tmp_path / "ca.crt").read_text()


def test_a_certificate_of_nobody_known_is_not_trusted(acme, certificate):
    with controllers.redfish(tls=certificate[:2]) as url:
        assert "can't be trusted" in reason(host(url, wish=ON))


@pytest.mark.parametrize("how", ["ca", "fingerprint"])
def test_a_pinned_authority_or_certificate_is_trusted_and_another_one_is_not(acme, certificate, tmp_path, how):
    from cryptography.hazmat.primitives.hashes import SHA256

    crt, key, ca = certificate
    tls.ensure(tmp_path / "other", ["127.0.0.1"])
    pinned = {
        "ca": "".join(line for line in ca.splitlines() if "-----" not in line).translate(str.maketrans("+/", "-_")),
        "fingerprint": x509.load_pem_x509_certificate(crt.read_bytes()).fingerprint(SHA256()).hex(),
    }
    with controllers.redfish(tls=(crt, key)) as url:
        one = host(url, f'{{"{how}":"{pinned[how]}"}}', wish=ON)
        work()
        assert status(one)[:2] == (ON, "Powered on")
    one.delete()
    Watch.objects.all().delete()
    with controllers.redfish(tls=(tmp_path / "other/server.crt", tmp_path / "other/server.key")) as url:
        assert "can't be trusted" in reason(host(url, f'{{"{how}":"{pinned[how]}"}}', wish=ON))


@pytest.mark.parametrize(
    ("endpoint", "config", "why"),
    [
        ("no url", "", "is no URL"),
        ("ftp://bmc.example", "", "is no URL"),
        ("https://", "", "is no URL"),
        ("https://bmc:99999", "", "is no URL"),
        ("https://user:pw@bmc.example", "", "who logs in is said by apiCredentials"),
        ("https://bmc.example", "no JSON", "config is a JSON object"),
        ("https://bmc.example", '{"colour":"red"}', "It may have system, network, ca, fingerprint"),
        ("https://bmc.example", '{"fingerprint":"AB"}', "config.fingerprint: 'AB' does not match"),
        ("https://<bmcIp>", "", "config.network says which addresses <bmcIp> may be"),
    ],
)
def test_a_provider_that_can_not_be_right_is_refused(acme, endpoint, config, why):
    with pytest.raises(ValidationError, match=why.replace("<", "<")):
        provider(endpoint, config)


def test_a_machine_has_the_credentials_sent_nowhere_but_into_the_providers_network(acme, emulator):
    port = emulator.url.rpartition(":")[2]
    uuid = uuid4()
    emulator.add(uuid, "Off")
    one = host(f"http://<bmcIp>:{port}", '{"network":"127.0.0.0/30"}', uuid=uuid, wish=ON)
    assert "bmcIp" in reason(one) and "isn't known yet" in reason(one)
    one.observe(bmc_ip="127.0.0.9")
    pass_time()
    Watch.objects.update(failures=0)
    settle()
    assert status(one)[1].startswith("bmcIp 127.0.0.9 is not in 127.0.0.0/30, the network of")
    one.observe(bmc_ip="127.0.0.1")
    pass_time()
    Watch.objects.update(failures=0)
    work()
    assert status(one)[:2] == (ON, "Powered on")


# Secrets --------------------------------------------------------------------------------------------------------------


def test_credentials_are_sealed_and_never_shown_sorted_or_searched(api, acme):
    body = {
        "name": "bmc", "providerKind": "PROVIDER_KIND_BAREMETAL", "providerVendor": "PROVIDER_VENDOR_REDFISH",
        "apiEndpoint": "https://bmc.example", "apiCredentials": ["admin", "hunter2$"],
    }  # fmt: skip
    made = api.post(f"{api.base}/providers", body)
    assert made.status_code == 200 and made.json()["apiCredentials"] == []
    assert Provider.objects.get().credentials == ["admin", "hunter2$"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(p)::text FROM inventory_provider p")
        assert "hunter2" not in cursor.fetchone()[0]
    sealed = Provider.objects.get().credentials_sealed
    for query in ("", "?orderBy=credentialsSealed", "?filter=credentialsSealed=x", "?filter=apiCredentials=x"):
        answer = api.get(f"{api.base}/providers{query}")
        assert "hunter2" not in answer.content.decode() and sealed not in answer.content.decode()
        assert answer.status_code == (400 if query else 200), query
    one_only = api.post(f"{api.base}/providers", body | {"name": "other", "apiCredentials": ["admin"]})
    assert one_only.status_code == 400 and "user name and password, in this order" in one_only.json()["message"]


def test_credentials_that_lay_in_plain_text_are_sealed_by_the_migration(acme):
    from importlib import import_module

    from django.db.migrations.executor import MigrationExecutor

    made = provider("https://bmc.example")
    with connection.cursor() as cursor:
        plain = '["old", "secret"]'
        cursor.execute("UPDATE inventory_provider SET api_credentials = %s, credentials_sealed = ''", [plain])
    before = ("inventory", "0010_what_power_is_switched_through")
    state = MigrationExecutor(connection).loader.project_state(before)
    import_module("inventory.migrations.0011_credentials_of_providers_are_sealed").seal_them(state.apps, None)
    made.refresh_from_db()
    assert made.credentials == ["old", "secret"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT api_credentials::text FROM inventory_provider")
        assert cursor.fetchone() == ("[]",)




# Commands -------------------------------------------------------------------------------------------------------------


def said_by(command: str, *arguments: str) -> str:
    told = io.StringIO()
    try:
        call_command(command, *arguments, project="acme", stdout=told)
    except CommandError as problem:
        told.write(str(problem))
    return told.getvalue()


def test_a_provider_says_what_it_can_and_what_of_it_works(acme, emulator):
    one = machine(emulator, "On")
    name = one.power_provider.name
    told = said_by("provider", "check", name)
    assert "it can: choose the boot device, insert virtual media, switch power" in told
    assert "credentials: 2, sealed" in told and "hunter2" not in told and "plain text" in told
    assert f"ok   {one}: at {emulator.url}: POWER_STATE_ON; it can become OFF, ON" in told
    with controllers.serving(controllers.refuses) as url:
        Provider.objects.update(api_endpoint=url)
        told = said_by("provider", "check", name)
    assert f"no   {one}: The controller at {url} refuses the credentials" in told and "doesn't work" in told
    assert f"there are: {name}" in said_by("provider", "check", "nobody")
    assert "no   management presence server (MPS): There is no" in said_by("provider", "check", "amt")


def test_a_machine_starts_once_from_the_network_or_from_an_image(acme, emulator, tmp_path):
    one = machine(emulator, "Off")
    assert "starts from network" in said_by("boot_from", "network", str(one))
    assert sushy_tools.app.systems.get_boot_device(str(one.uuid)) == "Pxe"
    with controllers.serving(lambda *_: (200, b"an image")) as images:
        told = said_by("boot_from", "media", str(one), "--image", f"{images}/boot.iso")
    assert "starts from http" in told, told
    assert sushy_tools.app.systems.get_boot_device(str(one.uuid)) == "Cd"
    assert "media needs it" in said_by("boot_from", "media", str(one))
    with controllers.redfish() as url:
        Provider.objects.update(api_endpoint=url)
        assert "no virtual media" in said_by("boot_from", "media", str(one), "--image", f"{images}/boot.iso")
