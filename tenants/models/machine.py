"""Which tenant a machine belongs to, and the credentials of its agents."""

from django.db import models

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
    """The client id and secret of one edge node, valid until it is revoked. The secret is sealed, not hashed,

    because it is written into the installed system a while after it was handed out for the first time.
    """

    schema = models.CharField(max_length=63)
    host_uuid = models.UUIDField()
    client_id = models.CharField(max_length=64, unique=True)
    secret_sealed = SealedField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["schema", "host_uuid"], name="credential_by_host")]

    def __str__(self):
        return self.client_id
