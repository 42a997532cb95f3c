"""What there is and what is wanted: the only state. Northbound REST, admin and bulk import."""

from django.apps import AppConfig


class InventoryConfig(AppConfig):
    name = "inventory"
