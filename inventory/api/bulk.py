"""Bulk imports as jobs: a file is uploaded, the loop imports it, and what became of each row can be read."""

from collections.abc import Iterator
from pathlib import Path

import orjson
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.db import connection
from django.http import StreamingHttpResponse
from django_tenants.utils import schema_context
from rest_framework import parsers, serializers

from inventory import errors
from inventory.api.base import CHUNK, ResourceSerializer, ResourceViewSet, by_id
from inventory.api.queries import Number, Query
from inventory.bulk import jobs, options
from inventory.bulk.sheet import SheetError
from inventory.bulk.wanted import Outcome
from inventory.naming import camel
from tenants.models import BulkImport
from tenants.permissions import name_of
from tenants.request import takes_up_to

OVERRIDES = {camel(option.strip("-").replace("-", "_")): column for option, _, column in options.OVERRIDES}


class BulkImportSerializer(ResourceSerializer):
    class Meta(ResourceSerializer.Meta):
        model = BulkImport
        hidden = {"schema"}


class UploadSerializer(serializers.Serializer):
    """A file of hosts, and what shall stand in each of its rows."""

    file = serializers.FileField(help_text="CSV in UTF-8 or .xlsx, with the header of the archived tools; up to 20 MB.")
    onboard = serializers.BooleanField(default=False, help_text="Onboard the machines as soon as they show up.")
    dryRun = serializers.BooleanField(default=False, help_text="Tell what would become of each row, and do nothing.")

    def get_fields(self):
        fields = super().get_fields()
        for name, column in OVERRIDES.items():
            words = f"Stands in the column {column} of every row."
            fields[name] = serializers.CharField(required=False, allow_blank=True, max_length=1000, help_text=words)
        return fields

    def create(self, said):
        file = said["file"]
        return jobs.begin(
            Path(file.temporary_file_path()), file.name, name_of(self.context["request"].user),
            onboard=said["onboard"], dry_run=said["dryRun"],
            overrides={column: said[name].strip() for name, column in OVERRIDES.items() if said.get(name, "").strip()},
        )  # fmt: skip


class RowsQuery(Query):
    outcome = serializers.ChoiceField(
        required=False, choices=[outcome.value for outcome in Outcome], help_text="Only rows of which this became."
    )
    after = Number(
        required=False, min_value=0, max_value=2**31 - 1, help_text="Go on behind this row, as after an interruption."
    )


class BulkRowSerializer(serializers.Serializer):
    """What became of a row. One a line, as NDJSON; rows that nobody has looked at yet aren't there."""

    row = serializers.IntegerField(help_text="Its number, from 1, without the header.")
    outcome = serializers.ChoiceField(choices=[outcome.value for outcome in Outcome])
    hostID = serializers.CharField(help_text="Of the host that it became, or was already; empty if there is none.")
    problems = serializers.ListField(child=serializers.CharField(), help_text="All that is wrong with it.")
    cells = serializers.DictField(child=serializers.CharField(), help_text="As they are in the file, by column.")


@takes_up_to(jobs.LARGEST_FILE)
class BulkImportViewSet(ResourceViewSet):
    """Bulk imports: files of hosts that are imported here. Deleting one that isn't done stops it; hosts stay."""

    serializer_class = BulkImportSerializer
    collection, service, nouns = "bulkImports", "BulkImportService", ("BulkImport", "BulkImports")
    parser_classes = [parsers.MultiPartParser]
    queries = {**ResourceViewSet.queries, "rows": RowsQuery}
    answers = {"rows": BulkRowSerializer}
    media_types = {"rows": "application/x-ndjson"}

    def get_serializer_class(self):
        return UploadSerializer if self.action == "create" else BulkImportSerializer

    def initialize_request(self, request, *args, **kwargs):
        request.upload_handlers = [TemporaryFileUploadHandler(request)]  # a file, however small, for who reads it twice
        return super().initialize_request(request, *args, **kwargs)

    def create(self, request, *args, **kwargs):
        try:
            return super().create(request, *args, **kwargs)
        except SheetError as wrong:
            raise errors.InventoryError(str(wrong)) from wrong

    def rows(self, request, resource_id, *args, **kwargs):
        """What became of each row so far, in their order, sent as it is read."""
        asked = self.asked()
        bulk = by_id(self.get_queryset(), resource_id)
        rows = bulk.rows.filter(number__gt=asked.get("after", 0), number__lte=bulk.done)
        if "outcome" in asked:
            rows = rows.filter(outcome=asked["outcome"])
        return StreamingHttpResponse(_ndjson(rows, connection.schema_name), content_type="application/x-ndjson")


def _ndjson(rows, schema: str) -> Iterator[bytes]:
    """The middleware has left the tenant's schema by the time that a server asks."""
    with schema_context(schema):
        told = rows.order_by("number").values_list("number", "outcome", "resource_id", "problems", "cells")
        for number, outcome, host_id, problems, cells in told.iterator(chunk_size=CHUNK):
            line = {"row": number, "outcome": outcome, "hostID": host_id, "problems": problems, "cells": cells}
            yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
