"""`manage.py provider check NAME`: what of a provider works and what doesn't, asked of the provider itself."""

from contextlib import closing
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django_tenants.utils import schema_context

from inventory.models import Host, Provider
from inventory.vendors import Can
from tenants.errors import SealedByAnotherKey
from tenants.management.people import find_ready_project
from workers import power
from workers.drivers.amt import Mps, Rps
from workers.drivers.base import Fault, Machine, Unable, drivers

AMT = "amt"  # the name of what no project has a provider for: the two servers are the administrator's


class Command(BaseCommand):
    help = "Ask a provider what it can do, whether it lets us in, and about the machines that are managed through it."

    def add_arguments(self, parser):
        parser.add_argument("verb", choices=["check"])
        parser.add_argument("name", help=f"the provider's, or {AMT}: what Intel AMT is spoken to by")
        parser.add_argument("--project", default="demo")
        parser.add_argument("--hosts", type=int, default=5, metavar="N", help="ask about so many of its hosts (5)")

    def handle(self, *, name, project, hosts, **_):
        tenant = find_ready_project(project)
        self.wrong = 0
        with schema_context(tenant.schema_name):
            if name == AMT:
                self.check_amt(tenant.uuid)
            else:
                self.check_provider(name, tenant.uuid, hosts)
        if self.wrong:
            raise CommandError(f"{self.wrong} of this doesn't work")

    def check_provider(self, name: str, tenant: UUID, most: int) -> None:
        provider = Provider.objects.filter(name=name).first()
        if provider is None:
            known = ", ".join(Provider.objects.values_list("name", flat=True)) or "none"
            raise CommandError(f"there is no provider {name!r} in this project; there are: {known}")
        declaration = provider.declaration
        if declaration is None:
            raise CommandError(f"nobody here serves {provider.provider_kind}, {provider.provider_vendor}")
        self.tell("it can", ", ".join(sorted(declaration.can)))
        try:
            provider.clean()
            self.tell("config", provider.config or "none, and none is needed")
            self.tell("credentials", f"{len(provider.credentials)}, sealed" if provider.credentials else "none")
        except (ValidationError, SealedByAnotherKey) as wrong:
            self.fail("config and credentials", "; ".join(getattr(wrong, "messages", [str(wrong)])))
            return
        if provider.api_endpoint.startswith("http://") and provider.credentials:
            self.tell("beware", "credentials travel in plain text, where all on the way can read them")
        if not provider.can(Can.POWER):
            return
        managed = Host.objects.filter(power_provider=provider) | Host.objects.filter(provider=provider)
        rows = managed.select_related("power_provider", "provider")[:most]
        for host in rows:
            self.ask(str(host), lambda host=host: power.driver_for(host, tenant))
        if not rows:
            endpoint = (provider.api_endpoint, tuple(provider.credentials), provider.config)
            machine = Machine("", None, "", tenant, *endpoint)
            self.ask(provider.api_endpoint, lambda: (
                drivers[provider.provider_kind, provider.provider_vendor], machine,
            ))  # fmt: skip

    def ask(self, called: str, of) -> None:
        try:
            kind, machine = of()
            with closing(kind(machine)) as driver:
                driver.validate()
                knows = ", ".join(sorted(state.removeprefix("POWER_STATE_") for state in driver.can()))
                self.tell(called, f"at {machine.endpoint}: {driver.get()}; it can become {knows}")
        except (Fault, Unable) as why:
            self.fail(called, str(why))

    def check_amt(self, tenant: UUID) -> None:
        self.tell("it can", f"{Can.ACTIVATE}, {Can.CONSOLE}, {Can.POWER}")
        for server in (Mps(tenant), Rps(tenant)):
            try:
                answer = server.call("GET", "version" if isinstance(server, Mps) else "admin/version")
                said = f"{server.url} answers {answer.status_code}"
                self.tell(server.name, said) if answer.status_code < 400 else self.fail(server.name, said)
            except (Fault, Unable) as why:
                self.fail(server.name, str(why))
        self.tell("machines call home", f"to {settings.MPS_HOST}")

    def tell(self, what: str, how: str) -> None:
        self.stdout.write(f"  ok   {what}: {how}")

    def fail(self, what: str, how: str) -> None:
        self.wrong += 1
        self.stdout.write(f"  no   {what}: {how}")
