"""A name, a digest: nothing may follow it, no last newline either."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0006_found_by_a_part_of_their_text"),
    ]

    operations = [
        migrations.AlterField(
            model_name="endpoint",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="host",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="instance",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="netlink",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="networksegment",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="operatingsystem",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=128,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="operatingsystem",
            name="sha256",
            field=models.CharField(
                max_length=64,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-f0-9]{64}\\Z", "sha256 is 64 lower-case hexadecimal digits"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="osupdatepolicy",
            name="name",
            field=models.CharField(
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="ou",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="provider",
            name="name",
            field=models.CharField(
                max_length=40,
                unique=True,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="region",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="repeatedschedule",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="singleschedule",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="site",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="telemetrygroup",
            name="name",
            field=models.CharField(
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="workload",
            name="name",
            field=models.CharField(
                blank=True,
                max_length=50,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9\\-_./: ()]*\\Z", "only letters, digits, spaces and - _ . / : ( )"
                    )
                ],
            ),
        ),
    ]
