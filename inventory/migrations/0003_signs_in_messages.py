"""What a text may have is said without the signs of regular expressions. No column changes."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0002_the_other_resources")]

    operations = [
        migrations.AlterField(
            model_name="operatingsystem",
            name="description",
            field=models.CharField(
                blank=True,
                max_length=1000,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-zA-Z0-9_.:;=@?!#,<>*(){}&%$`^+\\- ]*\\Z",
                        "only letters, digits and _.:;=@?!#,<>*(){}&%%$`^+- ",
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="osupdatepolicy",
            name="update_packages",
            field=models.TextField(
                blank=True,
                max_length=500000,
                validators=[
                    django.core.validators.RegexValidator(
                        '^[a-zA-Z0-9._/:;=@?!#,<>\\-*+~()\\[\\]{}\\" \\n]*\\Z',
                        'only letters, digits and ._/:;=@?!#,<>-*+~()[]{}" ',
                    ),
                    django.core.validators.MaxLengthValidator(500000),
                ],
            ),
        ),
    ]
