"""Which tenant a machine belongs to, and the credentials of its agents."""

from uuid import UUID

from django.db import models
from django.utils import timezone

from tenants.secrets import SealedField


class Claim(models.Model):
    """Which tenant's host owns this UUID or serial number: a machine belongs to one tenant, whoever asks."""

    schema = models.CharField(max_length=63)
    resource_id = models.CharField(max_length=24)
    uuid = models.UUIDField(null=True, unique=True)
    serial = models.CharField(max_length=128, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["schema", "resource_id"], name="one_claim_a_host"),
            models.UniqueConstraint(
                fields=["serial"], condition=models.Q(uuid=None), name="serial_unique_among_hosts_without_uuid"
            ),
        ]
        indexes = [models.Index(fields=["serial"], name="claim_by_serial")]

    def __str__(self):
        return f"{self.uuid or self.serial} is {self.resource_id} of {self.schema}"


class Port(models.Model):
    """Which tenant's remote access a port of the proxy is for: all tenants share the proxy."""

    schema = models.CharField(max_length=63)
    resource_id = models.CharField(max_length=24)
    number = models.PositiveIntegerField(unique=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["schema", "resource_id"], name="one_port_an_access")]

    def __str__(self):
        return f"{self.number} is for {self.resource_id} of {self.schema}"


class EdgeCredential(models.Model):
    """The client id and the two secrets of one edge node, valid until they are revoked.

    One is handed out to the machine that calls, a new one each time; the other is for the system that is installed on
    it, so that it needn't be written anew when the machine starts over. Sealed, not hashed: it is written down later.
    """

    schema = models.CharField(max_length=63)
    host_uuid = models.UUIDField()
    client_id = models.CharField(max_length=64, unique=True)
    secret_sealed = SealedField()
    installed_sealed = SealedField(db_default="")  # of rows of before there were two: the same
    # SHA-256 of the authorities' file that the installed machine says it has; empty if it never told.
    trusts = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["schema", "host_uuid"], name="credential_by_host")]

    def __str__(self):
        return self.client_id


class Enrolment(models.Model):
    """That an operator lets the machine of a host have credentials, once, whatever the host's state says.

    With a token: only the machine that shows it, and as long as the host has one of these, no other way is open.
    Without one: whichever has the host's UUID and serial number, as for one that is installed and lost what it had.
    """

    schema = models.CharField(max_length=63)
    resource_id = models.CharField(max_length=24)
    token_hash = models.CharField(max_length=64, blank=True, editable=False)
    made_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.UUIDField(null=True, blank=True)  # of the machine
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["schema", "resource_id"], name="enrolment_by_host")]

    def __str__(self):
        return f"enrolment {self.pk} of {self.resource_id}"

    def lets_in(self, machine: UUID, *, installed: bool) -> bool:
        """One that was used lets the same machine in again until it is installed: it may have to start over."""
        if self.revoked_at:
            return False
        if self.used_at:
            return self.used_by == machine and not installed
        return self.expires_at > timezone.now()
