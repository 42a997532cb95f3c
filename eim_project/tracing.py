"""Traces by OpenTelemetry, where a collector is named: requests, machines' calls, tasks, and statements in all of them.

The packages are an extra (requirements-otel.txt). What is sent where, and how much of it, OpenTelemetry's own
variables say: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME.
A change is one trace from its request to the loop that hears of it: Celery's messages carry on whose behalf they are.
"""

import os
from typing import Any
from urllib.parse import urlsplit

from eim_project import environment
from tenants.request import facts

NAMES = {"schema": "eim.tenant", "resource_id": "eim.resource"}  # others are called eim.<name>
WITH_QUERIES = ("http.url", "http.target", "url.full", "url.query")  # a query may have a code in it that signs in


def begin() -> None:
    """For this process, and those that are forked from it. Without the packages nothing starts."""
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.celery import CeleryInstrumentor
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorServer
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as missing:
        environment.leave([
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry isn't installed ({missing}): "
            ".venv/bin/pip install -r requirements-otel.txt, or unset it"
        ])  # fmt: skip

    class Whose(SpanProcessor):
        """Says of each span what lines of the log would say: the tenant, the resource, the request's id."""

        def on_start(self, span: Any, parent_context: Any = None) -> None:
            span.set_attributes(attributes())

    provider = TracerProvider(resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "eim")}))
    provider.add_span_processor(Whose())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument(response_hook=_of_request)
    CeleryInstrumentor().instrument()
    GrpcAioInstrumentorServer().instrument()
    PsycopgInstrumentor().instrument()


def attributes() -> dict[str, str]:
    return {NAMES.get(name, f"eim.{name}"): str(value) for name, value in facts().items()}


def _of_request(span: Any, request: Any, _response: Any) -> None:
    """The outermost middleware has ended by now, and what it had bound."""
    if span is None or not span.is_recording():
        return
    told = {"eim.request_id": getattr(request, "request_id", "")}
    if project := getattr(request, "project", None):
        told["eim.tenant"] = project.schema_name
    if match := request.resolver_match:
        kwargs = match.kwargs
        told["eim.resource"] = next((kwargs[key] for key in ("resource_id", "resourceId") if key in kwargs), "")
    span.set_attributes({name: value for name, value in told.items() if value})
    for name in WITH_QUERIES:
        if said := (getattr(span, "attributes", None) or {}).get(name):
            span.set_attribute(name, "" if name == "url.query" else urlsplit(str(said))._replace(query="").geturl())
