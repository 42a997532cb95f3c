"""The hosts of a site are found in the order of their ids, and counted, by one index, where there were two for neither."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0013_failures_are_found_by_indexes")]

    operations = [
        migrations.AddIndex("host", models.Index(fields=["site", "resource_id"], name="inventory_host_of_site")),
        migrations.AlterField(
            "host", "site",
            models.ForeignKey(
                "inventory.site", models.PROTECT, related_name="hosts", to_field="resource_id", null=True, blank=True,
                db_index=False,
            ),
        ),
    ]  # fmt: skip
