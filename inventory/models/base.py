"""What the inventory's resources are made of: the resource of tenants/resource.py, and names."""

from django.core.validators import RegexValidator
from django.db import models

from tenants.resource import EpochField, Indicator, Resource, Resources, Status, fence, in_transaction, status, wish

__all__ = [
    "EpochField", "Indicator", "Resource", "Resources", "Status", "fence", "in_transaction", "name_field", "status",
    "wish",
]  # fmt: skip


def name_field(max_length: int = 50, **kwargs) -> models.CharField:
    """A name as operators give it, in the letters that the API has always allowed."""
    letters = RegexValidator(r"^[a-zA-Z0-9\-_./: ()]*\Z", "only letters, digits, spaces and - _ . / : ( )")
    return models.CharField(**{"max_length": max_length, "blank": True, "validators": [letters], **kwargs})
