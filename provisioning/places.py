"""How many machines are installed at once: in all and of a tenant. Whoever finds no place queues; none is refused.

Places go to the tenants in turn: the next one is for the tenant that has the fewest, so that whoever wishes for
thousands of machines delays their own.
"""

from collections import defaultdict

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Q
from django_tenants.utils import schema_context

from inventory.models import Instance
from provisioning.engines import engine
from provisioning.models import BUSY, Workflow, WorkflowState
from tenants import events

_LOCK = 0x65696D_01  # of the one who gives out places; the number means nothing
_NEXT = """
WITH busy AS (SELECT schema, count(*) AS places FROM provisioning_workflow WHERE state = ANY(%(busy)s) GROUP BY schema),
     waiting AS (
        SELECT id, queued_at,
               COALESCE(places, 0) + row_number() OVER (PARTITION BY schema ORDER BY queued_at, id) AS turn
        FROM provisioning_workflow LEFT JOIN busy USING (schema)
        WHERE state = %(queued)s AND COALESCE(places, 0) < %(of_tenant)s),
     next AS (
        SELECT id FROM waiting WHERE turn <= %(of_tenant)s ORDER BY turn, queued_at, id
        LIMIT GREATEST(0, %(in_all)s - (SELECT COALESCE(sum(places), 0) FROM busy))),
     free AS (  -- whoever holds a row's lock is ending it
        SELECT id FROM provisioning_workflow JOIN next USING (id) WHERE state = %(queued)s FOR UPDATE SKIP LOCKED)
UPDATE provisioning_workflow SET state = %(pending)s, placed_at = now(), outside = outside OR %(outside)s
WHERE id IN (SELECT id FROM free) RETURNING schema, instance_id
"""


@transaction.atomic
def give_out() -> int:
    """Give places to those whose turn it is, as far as there are any. Returns how many got one."""
    with schema_context("public"), connection.cursor() as cursor:  # from where all tenants' runs are seen
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute(_NEXT, {
            "busy": BUSY, "queued": WorkflowState.QUEUED, "pending": WorkflowState.PENDING,
            "in_all": settings.PROVISIONING_LIMIT, "of_tenant": settings.PROVISIONING_LIMIT_TENANT,
            "outside": engine().OUTSIDE,
        })  # fmt: skip
        placed = cursor.fetchall()
    if engine().OUTSIDE:  # it has to make something of it; our own door reads the row
        _ring(placed)
    return len(placed)


def _ring(placed: list[tuple[str, str]]) -> None:
    by_schema = defaultdict(list)
    for schema, instance_id in placed:
        by_schema[schema].append(instance_id)
    for schema, instances in by_schema.items():
        with schema_context(schema):
            events.announce_all([*Instance.objects.filter(resource_id__in=instances)], "workflow")


def why_waiting(run: Workflow) -> str:
    """Why this run has no place yet, in words; of other tenants' it tells only how many there are."""
    with schema_context("public"):
        busy = Workflow.objects.filter(state__in=BUSY)
        count = busy.aggregate(all=Count("pk"), own=Count("pk", filter=Q(schema=run.schema)))
    if count["own"] >= settings.PROVISIONING_LIMIT_TENANT:
        whose = f"{count['own']} machines of this project"
    else:
        whose = f"{count['all']} machines"
    return f"waiting for a place: {whose} are being installed, as many as may be at once"


def before(run: Workflow) -> int:
    """How many runs of its tenant get their place before this one, which queues."""
    waiting = Workflow.objects.filter(schema=run.schema, state=WorkflowState.QUEUED)
    return waiting.filter(Q(queued_at__lt=run.queued_at) | Q(queued_at=run.queued_at, pk__lt=run.pk)).count()
