"""How a tenant's schema is made."""

from django.db import models


class SchemaTemplate(models.Model):
    """The SQL that makes a tenant's schema, for each state of the migrations; whoever replays it needs no pg_dump."""

    head = models.CharField(max_length=64, unique=True)
    sql = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.head
