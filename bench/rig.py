"""What is measured: the servers as `manage.py up` starts them, on data and ports of their own, with a project in them.

start() must come before anything that reads Django's settings: it decides where they point to.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from eim_project import embedded, tls
from eim_project.nursery import Nursery
from eim_project.processes import StackError, adopt_orphans

if TYPE_CHECKING:
    from eim_project.processes import Program
    from eim_project.stack import Stack
    from tenants.models import Project

PROJECT = "bench"
PORTS = ("EIM_HTTP_PORT", "EIM_HTTPS_PORT", "EIM_GRPC_PORT", "EIM_EXPORTER_PORT")
HOSTS = 10_000
QUIET = 10  # seconds
NODES = 1000  # of them, the first ones, whose machines are simulated where a bench needs them


@dataclass(frozen=True)
class Rig:
    stack: "Stack"
    project: "Project"
    data: Path
    token: str  # of somebody who writes in the project
    nursery: Nursery

    @property
    def http_port(self) -> int:
        return int(self.stack.http.rpartition(":")[2])

    @property
    def api(self) -> str:
        return f"/v1/projects/{self.project.name}"

    @staticmethod
    def token_for(projects: "Iterable[Project]") -> str:
        """Of somebody who reads and writes in all these."""
        from tenants import tokens
        from tenants.models import Grant, Role, User

        person, _ = User.objects.get_or_create(username="of-many")
        granted = [Grant(user=person, project=project, role=Role.WRITE) for project in projects]
        Grant.objects.bulk_create(granted, ignore_conflicts=True)
        return tokens.for_person(person, "system-client")

    def cpu(self) -> float:
        """Seconds of CPU that all servers have used, those that ended included."""
        from eim_project.management.commands.memory import family

        ours = os.getpid()
        return sum(ticks(pid) for pid in family(ours) if pid != ours) / os.sysconf("SC_CLK_TCK")

    def has_news(self) -> bool:
        """Something has changed that nobody has looked at yet, or there is work that is due, or being done."""
        from django.utils import timezone

        from tenants.models import Ring
        from workers.models import Work, due_by_queue

        done_now = Work.objects.filter(leased_until__gt=timezone.now())
        return Ring.objects.exists() or bool(due_by_queue()) or done_now.exists()

    def settle(self) -> None:
        """Wait until there has been no news for a while: of what is done comes more to do."""
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < QUIET:
            if self.has_news():
                quiet_since = time.monotonic()
            time.sleep(0.5)

    def tidy(self) -> None:
        """Rid the tables of what the bench before has deleted."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")

    @contextmanager
    def worker(self) -> Iterator[None]:
        """The Celery worker that reconciles, rid of all that was asked for by what was measured before."""
        import redis
        from django.conf import settings

        from tenants.models import Ring
        from workers.models import Work

        redis.Redis.from_url(settings.BROKER_URL).flushdb()
        Ring.objects.all().delete()
        Work.objects.all().delete()
        with self.running("reconcilers"):
            yield

    @contextmanager
    def running(self, *names: str) -> Iterator[None]:
        with ExitStack() as running:
            for program in self._programs(names):
                log = self.data / f"{program.name}.log"
                try:
                    running.enter_context(embedded.run(_that_says_when_ready(program, log), log))
                except StackError as error:  # the log goes with the rig
                    raise StackError("\n".join([str(error), *log.read_text().splitlines()[-20:]])) from error
            yield

    def _programs(self, names: tuple[str, ...]) -> "list[Program]":
        from eim_project.stack import programs

        return [one for one in programs(self.stack, self.nursery) if one.name in names]


@contextmanager
def start() -> Iterator[Rig]:
    home = Path("/var/lib/eim") if os.geteuid() == 0 else Path(tempfile.gettempdir())
    home.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="bench-", dir=home))
    with ExitStack() as rig:
        rig.callback(shutil.rmtree, data, ignore_errors=True)
        for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL"):
            os.environ.pop(name, None)  # nobody's data are measured upon
        urls = rig.enter_context(embedded.services(data))
        ports = {name: str(embedded.free_port()) for name in PORTS}
        os.environ |= ports | {
            "DJANGO_SETTINGS_MODULE": "bench.settings", "EIM_DATA": str(data),
            "DATABASE_URL": urls.database, "REDIS_URL": urls.redis,
            "EIM_LIMIT_ADDRESS": "100000/second", "EIM_LIMIT_TENANT": "100000/second",  # counted, and never reached
        }  # fmt: skip
        tls.ensure(data / "tls", ["localhost", embedded.LOOPBACK])
        ready = _prepare(data, urls)
        adopt_orphans()
        nursery = ready.nursery.program(ready.stack.environment(), Path.cwd())
        rig.enter_context(embedded.run(_that_says_when_ready(nursery, log := data / "nursery.log"), log))
        rig.enter_context(ready.running("web", "southbound"))
        yield ready


def _prepare(data: Path, urls: embedded.Urls) -> Rig:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from bench import rows
    from eim_project.stack import Stack
    from tenants import schema, tokens
    from tenants.models import Grant, Project, Role, User

    with (data / "prepare.log").open("w") as said:
        call_command("migrate_schemas", verbosity=0)
        call_command("create_project", PROJECT, org=PROJECT, stdout=said)
        call_command("create_admin", stdout=said)
    project = Project.objects.get(name=PROJECT)
    with schema.in_schema(project):
        rows.fill(HOSTS)
    stack = Stack(
        http=f"http://{embedded.LOOPBACK}:{settings.EIM_HTTP_PORT}",
        https=f"https://{embedded.LOOPBACK}:{settings.EIM_HTTPS_PORT}",
        grpc=f"{embedded.LOOPBACK}:{settings.EIM_GRPC_PORT}",
        flower=f"http://{embedded.LOOPBACK}:{embedded.free_port()}",
        exporter=f"http://{embedded.LOOPBACK}:{settings.EIM_EXPORTER_PORT}", ca=str(settings.EIM_CA_FILE),
        database_url=urls.database, redis_url=urls.redis, pid=os.getpid(),
    )  # fmt: skip
    person = User.objects.create_user("bench")
    Grant.objects.create(user=person, project=project, role=Role.WRITE)
    return Rig(stack, project, data, tokens.for_person(person, "system-client"), Nursery())


def _that_says_when_ready(program: "Program", log: Path) -> "Program":
    """One that listens nowhere is ready when its log says so."""
    if not program.ready_line:
        return program
    return replace(program, ready=lambda: program.ready_line in log.read_text())


def ticks(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0  # it has ended meanwhile; its parent has its time
    return sum(int(ticks) for ticks in stat.rpartition(")")[2].split()[11:15])  # utime stime cutime cstime
