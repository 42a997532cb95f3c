"""Which authorities a node says it trusts, so that an old one is taken away only when nobody needs it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0019_when_it_was_rung")]

    operations = [
        migrations.AddField(
            model_name="edgecredential",
            name="trusts",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=64),
        ),
    ]
