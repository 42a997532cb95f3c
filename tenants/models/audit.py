"""The audit: who did what, from where, and what came of it."""

from django.db import models


class Audit(models.Model):
    """One request that would change something, carried out or refused; a command; a sign-in. Never what it carried.

    Appended, and read; the database itself refuses changes, and deletes only for retention (tenants/audit.py). Lines
    of a project that is gone stay until they are old.
    """

    class Kind(models.TextChoices):
        PERSON = "person", "A person who is logged in"
        TOKEN = "token", "Whoever holds a token"
        NODE = "node", "An edge node"
        COMMAND = "command", "Somebody at the server's command line"
        ANYBODY = "anybody", "Anybody, as authentication was off"
        NOBODY = "nobody", "Somebody unknown"

    outlives_tenant = True  # tenants/shared.py leaves it

    schema = models.CharField(max_length=63)
    at = models.DateTimeField(auto_now_add=True)
    kind = models.CharField(max_length=8, choices=Kind)
    who = models.CharField(max_length=150, blank=True)
    subject = models.CharField(max_length=64, blank=True)  # the token's client, the person's number
    method = models.CharField(max_length=8)
    action = models.CharField(max_length=100)  # the route's name, or the command's
    resource_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=100, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    status = models.PositiveSmallIntegerField()  # as of HTTP; of a command 200 or 500
    code = models.CharField(max_length=32, blank=True)  # of a refusal, "PermissionDenied"

    class Meta:
        verbose_name_plural = "audit"
        indexes = [models.Index(fields=["schema", "-id"], name="audit_newest_of_a_project")]

    def __str__(self):
        return f"{self.at:%F %T} {self.who or self.kind} {self.method} {self.action} {self.resource_id}: {self.status}"
