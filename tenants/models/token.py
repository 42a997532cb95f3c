"""What tokens are signed with."""

from django.db import models

from tenants.secrets import SealedField


class SigningKey(models.Model):
    """What the embedded token service signs with. The newest one signs; older ones verify until they are deleted."""

    kid = models.CharField(max_length=32, unique=True)
    private_pem_sealed = SealedField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.kid
