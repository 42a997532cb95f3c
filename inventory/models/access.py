"""Who may log in to a machine, what its first start does besides, and how it is reached from afar."""

import time

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction

from inventory.models.base import EpochField, Resource, status, wish
from inventory.models.columns import QUOTED, letters
from tenants import claims
from tenants.models import Port

NEAREST, FARTHEST = 10 * 60, 24 * 60 * 60  # seconds from now until a remote access may expire


class LocalAccount(Resource):
    """A user of the installed system, who logs in by an SSH key. To change one, make another."""

    prefix = "localaccount"
    fixed = {"username", "ssh_key"}

    username = models.CharField(
        max_length=32,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z][a-z0-9-]{0,31}\Z", "a lower-case letter, then lower-case letters, digits and -")
        ],
    )
    ssh_key = models.CharField(
        max_length=800,
        validators=[
            RegexValidator(
                r"^(ssh-ed25519|ecdsa-sha2-nistp521) [A-Za-z0-9+/=]+( .*)?\Z",
                "a public key of kind ssh-ed25519 or ecdsa-sha2-nistp521",
            )
        ],
    )

    class Meta(Resource.Meta):
        verbose_name = "local account"

    def duplicate_sentence(self):
        return f"There is a local account {self.username!r} already"


class CustomConfig(Resource):
    """A piece of cloud-init that the first start of an installed system runs. To change one, make another."""

    prefix = "customconfig"
    fixed = {"name", "description", "config"}

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z][a-z0-9-]{0,31}\Z", "a lower-case letter, then lower-case letters, digits and -")
        ],
    )
    description = models.CharField(max_length=256, blank=True, validators=[letters(QUOTED)])
    config = models.TextField(max_length=16384, validators=[MaxLengthValidator(16384)])

    class Meta(Resource.Meta):
        verbose_name = "custom config"

    def duplicate_sentence(self):
        return f"There is a custom config {self.name!r} already"


class RemoteAccessState(models.TextChoices):
    UNSPECIFIED = "REMOTE_ACCESS_STATE_UNSPECIFIED"
    DELETED = "REMOTE_ACCESS_STATE_DELETED"
    ERROR = "REMOTE_ACCESS_STATE_ERROR"
    ENABLED = "REMOTE_ACCESS_STATE_ENABLED"


class RemoteAccess(Resource):
    """A way, open for a while, to log in to a running machine."""

    prefix = "rmtacconf"
    shared = (Port,)
    wishes = {"state": "configuration_status"}
    observed = {"local_port", "user"}
    fixed = {"instance", "expiration_timestamp"}
    allowed = {"state": {
        current: {RemoteAccessState.DELETED}
        if current == RemoteAccessState.DELETED
        else {RemoteAccessState.ENABLED, RemoteAccessState.DELETED}
        for current in RemoteAccessState
    }}  # fmt: skip

    instance = models.ForeignKey(
        "inventory.Instance", on_delete=models.PROTECT, related_name="remote_accesses", to_field="resource_id"
    )
    expiration_timestamp = EpochField()
    # Where the proxy listens for it, which no two have, of whichever tenants. Null until whoever opens the way chose.
    local_port = models.PositiveIntegerField(
        null=True, editable=False, validators=[MinValueValidator(1024), MaxValueValidator(65535)]
    )
    user = models.CharField(max_length=20, blank=True, editable=False)
    desired_state, current_state = wish(RemoteAccessState)
    configuration_status, configuration_status_indicator, configuration_status_timestamp = status()

    class Meta(Resource.Meta):
        verbose_name = "remote access"
        verbose_name_plural = "remote accesses"

    @transaction.atomic
    def observe(self, *, only_if=None, **facts):
        """Raises AlreadyClaimed if the port is another one's, of whichever tenant."""
        wrote = super().observe(only_if=only_if, **facts)
        if wrote and self.pk and facts.get("local_port"):
            claims.claim_port(self.resource_id, facts["local_port"])
        return wrote

    def must_be_taken_down(self):
        return self.current_state != RemoteAccessState.UNSPECIFIED or self.configuration_status != ""

    def clean(self):
        if self._state.adding and not NEAREST <= self.expiration_timestamp - time.time() <= FARTHEST:
            raise ValidationError("expirationTimestamp lies between 10 minutes and 24 hours from now")
