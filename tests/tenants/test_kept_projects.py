"""Of projects, what a process keeps for seconds: so long they are read, at most, when they are on their way out."""

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants import middleware
from tenants.models import TenantState
from tests.conftest import client_of, remove


def refusal(answer) -> tuple[int, bytes]:
    return answer.status_code, answer.content


def test_a_project_that_is_deleted_is_read_for_seconds_at_most_and_not_written_to(committed, monkeypatch):
    api = client_of(committed, "im-rw")
    assert api.get(f"{api.base}/regions").status_code == 200
    committed.ask(state=TenantState.DELETED)
    refused = api.post(f"{api.base}/regions", {"name": "x"})
    assert refused.status_code == 403 and "is being deleted" in refused.json()["message"]
    assert api.get(f"{api.base}/regions").status_code == 200
    monkeypatch.setattr(middleware, "KEPT", 0)  # seconds
    assert api.get(f"{api.base}/regions").status_code == 403


def test_a_project_whose_tables_went_meanwhile_is_refused_without_a_fault(committed):
    api = client_of(committed, "im-rw")
    assert api.get(f"{api.base}/regions").status_code == 200
    remove(committed)
    for _ in range(2):
        assert refusal(api.get(f"{api.base}/regions")) == refusal(api.get("/v1/projects/nobody/regions"))


def test_a_project_is_looked_up_once_for_many_reads(committed):
    api = client_of(committed, "im-r")
    api.get(f"{api.base}/regions")
    with CaptureQueriesContext(connection) as asked:
        api.get(f"{api.base}/regions")
    assert not [query for query in asked if "tenants_project" in query["sql"]]
