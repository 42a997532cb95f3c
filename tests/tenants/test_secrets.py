"""Secrets at rest: what seals them, what opens them, and how a key is thrown away."""

import io

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import models
from django_tenants.utils import schema_context

from tenants import credentials, rotation, secrets
from tenants import keys as signing_keys
from tenants.errors import SealedByAnotherKey
from tenants.models import EdgeCredential, SigningKey
from tenants.secrets import SealedField, seal, unseal

pytestmark = pytest.mark.django_db
UUIDS = [f"00000000-0000-0000-0000-0000000000{n:02x}" for n in range(20)]


@pytest.fixture(autouse=True)
def data(public, settings, tmp_path):
    """A data folder without a ring, so that SECRET_KEY seals, as it did before there were rings."""
    settings.EIM_DATA = tmp_path


def rotated(**options) -> str:
    said = io.StringIO()
    call_command("rotate_secrets", stdout=said, **options)
    return said.getvalue()


def test_what_secret_key_sealed_opens_with_every_later_ring(settings):
    sealed = seal("hunter2")
    assert "hunter2" not in sealed and unseal(sealed) == "hunter2"
    settings.SECRET_KEYS = ["new", "newer still"]
    assert unseal(sealed) == "hunter2"


def test_the_newest_key_seals_and_older_ones_open(settings):
    settings.SECRET_KEYS = ["old"]
    sealed = seal("hunter2")
    settings.SECRET_KEYS = ["new", "old"]
    assert unseal(sealed) == "hunter2" and not secrets.is_sealed_by_the_newest(sealed)
    assert secrets.is_sealed_by_the_newest(seal("hunter2"))


def test_secret_key_can_be_changed_while_the_old_one_is_a_fallback(settings):
    sealed = seal("hunter2")
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    with pytest.raises(SealedByAnotherKey, match="any of the 1 keys"):
        unseal(sealed)
    settings.SECRET_KEY_FALLBACKS = [old]
    assert unseal(sealed) == "hunter2"


def test_a_wrong_key_is_a_clear_error_without_the_secret(settings):
    sealed = seal("hunter2")
    settings.SECRET_KEY = "another"
    with pytest.raises(SealedByAnotherKey, match="EIM_SECRET_KEYS") as problem:
        unseal(sealed)
    assert "hunter2" not in str(problem.value) and sealed not in str(problem.value)


def test_a_column_of_secrets_takes_nothing_that_is_not_sealed(acme):
    with pytest.raises(ValueError, match="seal"):
        EdgeCredential.objects.create(
            schema=acme.schema_name, host_uuid=UUIDS[0], client_id="x", secret_sealed="hunter2"
        )


def test_every_column_whose_name_says_sealed_is_found_by_rotation():
    columns = [
        column
        for model in apps.get_models()
        for column in model._meta.local_fields
        if isinstance(column, models.TextField)
    ]
    assert {c for c in columns if "sealed" in c.name} == {c for c in columns if isinstance(c, SealedField)}


def test_rotation_seals_all_anew_in_every_schema_and_then_the_old_key_can_go(acme, beta, settings):
    for uuid in UUIDS:
        credentials.issue(uuid)
    given = {uuid: credentials.secret_of(uuid) for uuid in UUIDS}
    with schema_context(beta.schema_name):
        credentials.issue("00000000-0000-0000-0001-000000000000")
    settings.SECRET_KEYS = ["new"]
    said = rotated()
    assert f"{2 * 21 + SigningKey.objects.count()} secrets sealed anew, 0 were so already" in said
    settings.SECRET_KEY = "gone"
    with schema_context(acme.schema_name):
        assert {uuid: credentials.secret_of(uuid) for uuid in UUIDS} == given
    signing_keys._opened.cache_clear()
    assert signing_keys.signing()
    assert "0 secrets sealed anew" in rotated()


def test_rotation_goes_on_where_it_was_cut_short(acme, settings, monkeypatch):
    for uuid in UUIDS:
        credentials.issue(uuid)
    settings.SECRET_KEYS = ["new"]
    monkeypatch.setattr(rotation, "BATCH", 5)
    column = next(c for c in rotation.columns() if c.model is EdgeCredential)
    batches = []

    def cut() -> None:
        batches.append(1)
        if len(batches) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotation.rotate(column, rotation.Rotated(), cut)
    rest = rotation.Rotated()
    rotation.rotate(column, rest)
    assert (rest.already, rest.anew) == (10, 10)


def test_a_secret_that_is_written_meanwhile_is_left_alone(acme, settings):
    credentials.issue(UUIDS[0])
    settings.SECRET_KEYS = ["new"]
    stale = EdgeCredential.objects.get(host_uuid=UUIDS[0])
    EdgeCredential.objects.update(secret_sealed=seal("written meanwhile"))
    column = next(c for c in rotation.columns() if c.model is EdgeCredential)
    rotation._seal_anew(column, stale.pk, stale.secret_sealed, rotation.Rotated())
    assert credentials.is_secret_of(EdgeCredential.objects.get(), "written meanwhile")


def test_rotation_names_the_rows_that_no_key_opens_and_does_the_rest(acme, settings):
    for uuid in UUIDS[:3]:
        credentials.issue(uuid)
    lost = EdgeCredential.objects.get(host_uuid=UUIDS[1])
    ours, settings.SECRET_KEY = settings.SECRET_KEY, "of another installation"
    EdgeCredential.objects.filter(pk=lost.pk).update(secret_sealed=seal("x"))
    settings.SECRET_KEY, settings.SECRET_KEYS = ours, ["new"]
    with pytest.raises(CommandError, match=f"(?s)1 can't be opened .* row {lost.pk}"):
        rotated()
    assert credentials.secret_of(UUIDS[0]) and credentials.secret_of(UUIDS[2])


def test_a_new_key_is_put_into_the_ring_on_disk_and_seen_at_once(acme, settings):
    credentials.issue(UUIDS[0])
    before = credentials.secret_of(UUIDS[0])
    for keys in (1, 2):
        assert "No secret needs any key but the newest." in rotated(new_key=True)
        ring = secrets.ring_file()
        assert len(ring.read_text().split()) == keys and ring.stat().st_mode & 0o777 == 0o600
    ring.write_text(ring.read_text().split()[0])
    settings.SECRET_KEY = "gone"
    assert credentials.secret_of(UUIDS[0]) == before


def test_keys_of_the_environment_are_not_added_to_by_command(settings):
    settings.SECRET_KEYS = ["one"]
    with pytest.raises(CommandError, match="EIM_SECRET_KEYS"):
        rotated(new_key=True)
