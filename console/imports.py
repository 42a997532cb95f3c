"""Hosts from a file: upload it, see what would become of each row, then have it imported and watch it go.

All of it is the bulk import of the API (inventory/bulk/jobs.py): what is uploaded here is tried first.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from django import forms
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.core.paginator import Paginator
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST
from django_tenants.utils import schema_context
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from console.frame import page, part
from inventory.bulk import jobs
from inventory.bulk.sheet import LONG, SHORT, SheetError
from inventory.bulk.wanted import Outcome
from inventory.models import Host, OperatingSystem, Site
from tenants.door import turned_away
from tenants.errors import ResourceError
from tenants.models import BulkImport
from tenants.permissions import WRITERS, name_of, roles_here
from tenants.request import takes_up_to

RECENT = 20  # imports on the first page
PER_PAGE = 100  # rows
OFFERED = 200  # names, of sites and of operating systems, that a field suggests
EVERY = 1  # seconds between looks at an import that isn't done
CSV, XLSX = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Column(forms.CharField):
    """What shall stand in this column of every row, instead of what the file says."""

    def __init__(self, label: str, help_text: str = "", **attrs: str) -> None:
        widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", **attrs})
        super().__init__(label=label, help_text=help_text, required=False, max_length=1000, widget=widget)


class UploadForm(forms.Form):
    file = forms.FileField(
        label="File", help_text="CSV in UTF-8 or Excel (.xlsx), up to 20 MB. Its first line is the header.",
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.xlsx"}),
        error_messages={"empty": "The file is empty: it needs a header, and a line for each host."},
    )  # fmt: skip
    onboard = forms.BooleanField(
        label="Onboard the machines as soon as they show up", required=False, widget=UnfoldBooleanSwitchWidget()
    )
    OSProfile = Column("Operating system", list="systems")
    Site = Column("Site", list="sites")
    RemoteUser = Column("Local account", "User name whose SSH key may sign in.")
    Metadata = Column("Labels", "key=value, several of them joined by &.")
    CloudInitMeta = Column("Custom configs", "Names, several of them joined by &.")

    @property
    def overrides(self) -> dict[str, str]:
        said = ((column, self.cleaned_data[column].strip()) for column in LONG if column in self.fields)
        return {column: cell for column, cell in said if cell}

    @property
    def in_every_row(self) -> list:
        return [self[name] for name, field in self.fields.items() if isinstance(field, Column)]


@takes_up_to(jobs.LARGEST_FILE)
@csrf_exempt  # as Django wants it where upload handlers are chosen: the check follows, in _overview
def overview(request: HttpRequest) -> HttpResponse:
    """The latest imports and, for whoever may write, the form."""
    request.upload_handlers = [TemporaryFileUploadHandler(request)]  # a file, however small, for who reads it twice
    return _overview(request)


@csrf_protect
def _overview(request: HttpRequest) -> HttpResponse:
    may_write = roles_here(request) & WRITERS
    if request.method == "POST" and not may_write:
        return turned_away(request)
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            tried = jobs.begin(
                Path(file.temporary_file_path()), file.name, name_of(request.user),
                onboard=form.cleaned_data["onboard"], dry_run=True, overrides=form.overrides,
            )  # fmt: skip
        except (SheetError, ResourceError) as wrong:
            form.add_error("file", str(wrong))
        else:
            return _to(tried)
    latest = BulkImport.objects.order_by("-pk")[:RECENT]
    suggested = {} if not may_write else {
        "systems": OperatingSystem.objects.order_by("name").values_list("name", flat=True)[:OFFERED],
        "sites": Site.objects.order_by("name").values_list("name", flat=True)[:OFFERED],
    }  # fmt: skip
    status = 400 if form.errors else 200
    return page(request, "console/imports.html", status, title="Import hosts", form=form, latest=latest, **suggested)


def one(request: HttpRequest, resource_id: str) -> HttpResponse:
    bulk = _found(resource_id)
    return page(request, "console/import.html", title=f"Import of {bulk.name}", every=EVERY, **_told(request, bulk))


def progress(request: HttpRequest, resource_id: str) -> HttpResponse:
    """The living part of it."""
    bulk = _found(resource_id)
    answer = part(request, "console/_import.html", **_told(request, bulk))
    if bulk.finished_at:
        answer["X-Live"] = "done"
    return answer


@require_POST
def run(request: HttpRequest, resource_id: str) -> HttpResponse:
    """In earnest, what was tried."""
    tried = _found(resource_id)
    try:
        return _to(jobs.for_real(tried, name_of(request.user)))
    except ResourceError as wrong:
        told = {**_told(request, tried), "refused": str(wrong), "every": EVERY}
        return page(request, "console/import.html", wrong.status, title=f"Import of {tried.name}", **told)


@require_POST
def stop(request: HttpRequest, resource_id: str) -> HttpResponse:
    """Forget it. If it isn't done, it goes no further; hosts that are there stay."""
    _found(resource_id).delete()
    return HttpResponseRedirect(reverse("console:imports"))


def errors(request: HttpRequest, resource_id: str) -> HttpResponse:
    """The rows that failed, with why, as a file to mend and to upload again."""
    bulk = _found(resource_id)
    lines = _as_csv(jobs.error_rows(bulk), connection.schema_name)
    return _download(StreamingHttpResponse(lines, content_type=CSV), f"import_error_{Path(bulk.name).stem}.csv")


def template(request: HttpRequest, kind: str) -> HttpResponse:
    """A file with nothing but the header."""
    if kind == "csv":
        return _download(HttpResponse(",".join(SHORT) + "\n", content_type=CSV), "hosts.csv")
    if kind != "xlsx":
        raise Http404(f"There is no template of the kind {kind}")
    from openpyxl import Workbook  # 8 MB, that a server needs only now and then

    workbook, content = Workbook(), io.BytesIO()
    workbook.active.title = "Hosts"
    workbook.active.append(LONG)
    for column in workbook.active.iter_cols(max_row=1000):
        for cell in column:
            cell.number_format = "@"  # as text, or Excel would round serial numbers
    workbook.save(content)
    return _download(HttpResponse(content.getvalue(), content_type=XLSX), "hosts.xlsx")


def _found(resource_id: str) -> BulkImport:
    """Of this project: row-level security shows no others."""
    if bulk := BulkImport.objects.filter(resource_id=resource_id).first():
        return bulk
    raise Http404(f"There is no import {resource_id}")


def _told(request: HttpRequest, bulk: BulkImport) -> dict:
    chosen = request.GET.get("outcome", "")
    rows = bulk.rows.filter(number__lte=bulk.done).order_by("number")
    if chosen in [*Outcome]:
        rows = rows.filter(outcome=chosen)
    counts = {
        Outcome.IMPORTED: bulk.imported, Outcome.COMPLETED: bulk.completed,
        Outcome.KNOWN: bulk.already_registered, Outcome.FAILED: bulk.failed,
    }  # fmt: skip
    numbered = Paginator(rows, PER_PAGE)
    numbered.count = counts.get(chosen, bulk.done)  # known, so that nobody counts
    some = numbered.get_page(request.GET.get("page"))
    hosts = Host.objects.filter(resource_id__in={row.resource_id for row in some if row.resource_id})
    there = {*hosts.values_list("resource_id", flat=True)}
    return {
        "bulk": bulk, "chosen": chosen, "rows": some, "query": request.GET.urlencode(),
        "good": bulk.imported + bulk.completed, "per_cent": 100 * bulk.done // max(bulk.total, 1),
        "counts": [(outcome, _would(outcome) if bulk.dry_run else outcome, n) for outcome, n in counts.items()],
        "told": [(row, _shown(row.cells, bulk.overrides), row.resource_id in there) for row in some],
    }  # fmt: skip


def _would(outcome: Outcome) -> str:
    return {
        Outcome.IMPORTED: "to be imported",
        Outcome.COMPLETED: "to be completed",
        Outcome.FAILED: "with problems",
    }.get(outcome, str(outcome))


def _shown(cells: dict[str, str], overrides: dict[str, str]) -> list[str]:
    said = {**cells, **overrides}
    return [said.get(column, "") for column in ("Serial", "UUID", "OSProfile", "Site")]


def _to(bulk: BulkImport) -> HttpResponse:
    return HttpResponseRedirect(reverse("console:import", args=[bulk.resource_id]))


def _download(answer: HttpResponse | StreamingHttpResponse, name: str):
    safe = "".join(letter for letter in name if letter.isalnum() or letter in "._- ")
    answer["Content-Disposition"] = f'attachment; filename="{safe}"'
    return answer


def _as_csv(rows: Iterable[list[str]], schema: str) -> Iterator[bytes]:
    """The middleware has left the tenant's schema by the time that a server asks."""
    line = io.StringIO()
    writer = csv.writer(line)
    with schema_context(schema):
        for row in rows:
            writer.writerow(row)
            yield line.getvalue().encode()
            line.seek(0)
            line.truncate()
