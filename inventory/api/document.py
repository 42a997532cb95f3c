"""The OpenAPI document: what the declarations of the endpoints say, in the names that old clients' generators know."""

import re
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

from django.db.models import TextChoices
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers

from inventory import models
from inventory.api import fields
from inventory.api.body import FormBody
from inventory.models import hardware, metadata
from inventory.models.base import Indicator

VERBS = {
    "list": ("List{0}s", "List {1}"),
    "create": ("Create{0}", "Create {2}"),
    "retrieve": ("Get{0}", "Get {2}"),
    "update": ("Update{0}", "Replace {2}: what the body doesn't have is cleared"),
    "partial_update": ("Patch{0}", "Change what the body has of {2}"),
    "destroy": ("Delete{0}", "Delete {2}"),
    "invalidate": ("Invalidate{0}", "Trust {2} no more"),
    "register": ("Register{0}", "Register {2} before its machine was ever seen"),
    "register_again": ("PatchRegister{0}", "Change what {2} was registered with"),
    "onboard": ("Onboard{0}", "Let {2} be onboarded"),
    "summary": ("Get{0}sSummary", "Count {1} by how they are"),
    "seen": ("Get{0}Presence", "Tell when the machine of {2} was last heard from"),
    "rows": ("Get{0}Rows", "What became of each row of {2}"),
}

REFUSALS = {
    400: "The request can't be understood, or what it asks for can't be. The message names the field, the rule and "
         "the value. Duplicates and what is in use are refused with this status too, as they always were: then the "
         "code is FailedPrecondition.",
    401: "There is no token, or it is no good.",
    403: "The token gives no role that allows this in this project, or there is no such project.",
    404: "There is no such resource in this project.",
    409: "Somebody changed the same at the same moment: read it, and try again.",
    412: "The resource has changed since the ETag in If-Match was read.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too many requests: wait a while.",
}  # fmt: skip
# Beside those that anything of its kind can be refused with.
REFUSED = {
    "create": {409}, "register": {409}, "update": {409, 412}, "partial_update": {409, 412},
    "register_again": {409, 412}, "destroy": {409, 412}, "onboard": {409, 412}, "invalidate": {409, 412},
}  # fmt: skip
CHANGES_ONE = {"update", "partial_update", "destroy", "register_again", "onboard", "invalidate"}
HAS_BODY = {"create", "update", "partial_update", "register", "register_again"}
SENDS_THE_SAME = {"update": "create", "register_again": "register"}  # whose example is that of another
CODES = [
    "InvalidArgument", "FailedPrecondition", "OutOfRange", "Unauthenticated", "PermissionDenied", "NotFound",
    "AlreadyExists", "Aborted", "ResourceExhausted", "Canceled", "Internal", "Unknown", "DataLoss", "Unimplemented",
    "Unavailable", "DeadlineExceeded",
]  # fmt: skip


class ErrorSerializer(serializers.Serializer):
    """Why a request was refused."""

    code = fields.Choice(choices=CODES, help_text="The name of a gRPC status code.")
    message = serializers.CharField(help_text="A sentence for the operator.")


class MetadataItemSerializer(serializers.Serializer):
    """A label."""

    key = fields.Pattern(fields.METADATA_KEY, max_length=316)
    value = fields.Pattern(fields.METADATA_VALUE, max_length=63, allow_blank=True)


class Document(AutoSchema):
    """Knows the endpoints of the inventory; of any other it says what drf-spectacular says."""

    @property
    def ours(self) -> bool:
        return hasattr(self.view, "nouns")

    @property
    def action(self) -> str:
        return getattr(self.view, "action", "")

    def get_tags(self):
        return [self.view.service] if self.ours else super().get_tags()

    def get_operation_id(self):
        if not self.ours:
            return super().get_operation_id()
        singular, plural = self.view.nouns
        verb = VERBS[self.action][0].replace("{0}s", plural).replace("{0}", singular)
        return f"{self.view.service}_{verb}{self.view.ending}"

    def get_summary(self):
        if not self.ours:
            return super().get_summary()
        one, many = _words(self.view)
        return VERBS[self.action][1].format("", many, f"{'an' if one[0] in 'aeioAEIO' else 'a'} {one}")

    def get_description(self):
        if not self.ours:
            return super().get_description()
        method = getattr(type(self.view), self.action).__doc__ or ""
        return "\n\n".join(filter(None, (type(self.view).__doc__, method if self._is_own(self.action) else "")))

    def _is_own(self, action: str) -> bool:
        return action in vars(type(self.view))

    def get_override_parameters(self):
        if not self.ours:
            return super().get_override_parameters()
        query = self.view.queries.get(self.action)
        return [query] if query else []

    def _resolve_path_parameters(self, variables):
        if not self.ours:
            return super()._resolve_path_parameters(variables)
        return [self._path_parameter(name) for name in variables]

    def _path_parameter(self, name: str) -> dict:
        schema: dict[str, Any] = {"type": "string"}
        words = getattr(self.view, "ignored", {}).get(name, "")
        if name == "resourceId":
            words = "The resource's id."
            schema["pattern"] = fields.pattern_of_id(self.view.model)
        elif name == "projectName":
            schema |= {"minLength": 1, "maxLength": 100}
            words = "The project's name."
        return {"name": name, "in": "path", "required": True, "schema": schema, "description": words}

    def _get_parameters(self):
        parameters = super()._get_parameters()
        if self.ours and "{projectName}" not in self.path:
            parameters.append({
                "name": "projectName", "in": "query", "schema": {"type": "string", "minLength": 1, "maxLength": 100},
                "description": "Ignored: the project is the one of the token, or of the header ActiveProjectID.",
            })  # fmt: skip
        for name, words in getattr(self.view, "ignored", {}).items() if self.ours else ():
            if f"{{{name}}}" not in self.path:
                parameters.append({"name": name, "in": "query", "schema": {"type": "string"}, "description": words})
        if self.ours and self.action in CHANGES_ONE:
            parameters.append({
                "name": "If-Match", "in": "header", "schema": {"type": "string"},
                "description": "The ETag of what you have read: if the resource has changed since, nothing is done.",
            })  # fmt: skip
        return parameters

    def map_parsers(self):
        if not self.ours:
            return super().map_parsers()
        return [parser.media_type for parser in self.view.parser_classes if parser is not FormBody]  # people's

    def get_request_serializer(self):
        if not self.ours:
            return super().get_request_serializer()
        return self.view.get_serializer() if self.action in HAS_BODY else None

    def get_response_serializers(self):
        if not self.ours:
            return super().get_response_serializers()
        refusals = {
            status: OpenApiResponse(ErrorSerializer, description=REFUSALS[status])
            for status in REFUSED.get(self.action, ())
        }
        media_type = getattr(self.view, "media_types", {}).get(self.action, "application/json")
        return {(200, media_type): self._answer(), **refusals}

    def _get_response_bodies(self, direction="response"):
        """Whatever an endpoint says of its answers, it can refuse."""
        bodies = super()._get_response_bodies(direction)
        refusals = {400, 429}
        if any(self.get_auth()):
            refusals |= {401, 403}
        if "{" in self.path:
            refusals.add(404)
        if self.method in ("POST", "PUT", "PATCH"):
            refusals |= {413, 415}
        for status in sorted(refusals - {*map(int, bodies)}):
            said = OpenApiResponse(ErrorSerializer, description=REFUSALS[status])
            bodies[str(status)] = self._get_response_for_code(said, str(status), direction=direction)
        return bodies

    def _answer(self) -> type:
        own = getattr(self.view, "answers", {}).get(self.action)
        if own:
            return forced_singular_serializer(own)
        singular, plural = self.view.nouns
        match self.action:
            case "list":
                return _envelope(f"List{plural}Response", self.view.collection, self.view.serializer_class)
            case "destroy" | "onboard" | "invalidate":
                return _nothing(VERBS[self.action][0].format(singular) + "Response")
        return self.view.serializer_class

    def _get_response_headers_for_code(self, status_code, direction="response"):
        headers = super()._get_response_headers_for_code(status_code, direction)
        if self.ours and status_code == "200" and self.action in {"retrieve", *HAS_BODY}:
            headers = {**headers, "ETag": {"schema": {"type": "string"}, "description": "For If-Match."}}
        return headers

    def get_examples(self):
        examples = getattr(self.view, "examples", {})
        example = examples.get(self.action) or examples.get(SENDS_THE_SAME.get(self.action, ""))
        if example is None:
            return super().get_examples()
        return [OpenApiExample("Example", value=example, request_only=True)]

    def get_serializer_name(self, serializer, direction):
        model = getattr(getattr(serializer, "Meta", None), "model", None)
        return f"{model.__name__}Resource" if model else super().get_serializer_name(serializer, direction)

    def _postprocess_serializer_schema(self, schema, serializer, direction):
        schema = super()._postprocess_serializer_schema(schema, serializer, direction)
        model = getattr(getattr(serializer, "Meta", None), "model", None)
        if model is not None and "__doc__" in vars(type(serializer)) and not vars(type(serializer))["__doc__"]:
            schema["description"] = model.__doc__
        if schema.get("type") == "object" and not isinstance(serializer, ErrorSerializer):
            schema["additionalProperties"] = False
        return schema

    def _insert_field_validators(self, field, schema):
        super()._insert_field_validators(field, schema)
        if isinstance(field, serializers.CharField) and not (field.allow_blank or field.read_only):
            schema.setdefault("minLength", 1)
        if "oneOf" in schema:  # of a text and the empty text: two that both match one of our patterns, so neither does
            first, _ = schema.pop("oneOf")
            schema.update(first)
            if not re.search(schema.get("pattern", ""), ""):
                schema["pattern"] = f"^$|{schema['pattern']}"

    def component(self, name: str, schema: dict) -> dict:
        """A reference to a schema of this name, which is added unless it is there."""
        found = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, schema=schema, object=name)
        self.registry.register_on_missing(found)
        return found.ref


def _words(view: Any) -> tuple[str, str]:
    model = getattr(getattr(view, "serializer_class", None), "Meta", None)
    if model is None:
        singular, plural = view.nouns
        return singular.lower(), plural.lower()
    return model.model._meta.verbose_name, model.model._meta.verbose_name_plural


@cache
def _envelope(name: str, collection: str, serializer: type) -> type:
    page = {
        collection: serializer(many=True),
        "totalElements": serializers.IntegerField(help_text="How many there are on all pages together."),
        "hasNext": serializers.BooleanField(help_text="If more come after these."),
        "nextPageToken": serializers.CharField(
            required=False, allow_blank=True,
            help_text="If `pageToken` was given: what to give for the next page; empty at the end.",
        ),
    }
    return forced_singular_serializer(type(name, (serializers.Serializer,), page))


@cache
def _nothing(name: str) -> type:
    return forced_singular_serializer(type(name, (serializers.Serializer,), {"__doc__": "Nothing."}))


# Fields -----------------------------------------------------------------------------------------------------------

# Enums that old clients know by another name than ours.
NAMES_OF_ENUMS = {Indicator: "StatusIndication"}
NAMES_OF_PARTS = {
    hardware.Storage: "HoststorageResource", hardware.Nic: "HostnicResource", hardware.Usb: "HostusbResource",
    hardware.Gpu: "HostgpuResource", hardware.IpAddress: "IPAddressResource",
}  # fmt: skip
PLAIN = {
    str: {"type": "string"}, int: {"type": "integer"}, bool: {"type": "boolean"},
    hardware.Uint64: {"type": "string", "description": "A 64-bit number."},
}  # fmt: skip


@cache
def _enums() -> dict[tuple[str, ...], str]:
    """The names of enums by their values."""
    enums = [enum for enum in vars(models).values() if isinstance(enum, type) and issubclass(enum, TextChoices)]
    return {tuple(enum.values): NAMES_OF_ENUMS.get(enum, enum.__name__) for enum in [*enums, Indicator]}


class _OfChoice(OpenApiSerializerFieldExtension):
    target_class = fields.Choice

    def map_serializer_field(self, auto_schema, direction):
        values = [*self.target.choices]
        schema = {"type": "string", "enum": values}
        name = self.target.called or _enums().get(tuple(values))
        return auto_schema.component(name, schema) if name else schema


class _OfNested(OpenApiSerializerFieldExtension):
    target_class = fields.Nested

    def map_serializer_field(self, auto_schema, direction):
        there = auto_schema.resolve_serializer(self.target.serializer, direction).ref
        return {"anyOf": [there, {"type": "null"}]}


class _OfNestedMany(OpenApiSerializerFieldExtension):
    target_class = fields.NestedMany

    def map_serializer_field(self, auto_schema, direction):
        return {"type": "array", "items": auto_schema.resolve_serializer(self.target.serializer, direction).ref}


class _OfMetadata(OpenApiSerializerFieldExtension):
    target_class = fields.Metadata

    def map_serializer_field(self, auto_schema, direction):
        items = auto_schema.resolve_serializer(MetadataItemSerializer, direction).ref
        return {"type": "array", "maxItems": metadata.MOST, "items": items}


class _OfConstant(OpenApiSerializerFieldExtension):
    target_class = fields.Constant
    match_subclasses = True

    def map_serializer_field(self, auto_schema, direction):
        if self.target.field_name == "inheritedMetadata":
            return {"type": "array", "items": auto_schema.resolve_serializer(MetadataItemSerializer, direction).ref}
        if isinstance(self.target.value, int):
            return {"type": "integer", "format": "int32", "minimum": 0}
        return self.target.schema or {}


class _OfTimestamps(OpenApiSerializerFieldExtension):
    target_class = fields.Timestamps

    def map_serializer_field(self, auto_schema, direction):
        return {"anyOf": [auto_schema.resolve_serializer(fields.Timestamps, direction).ref, {"type": "null"}]}


class _OfText(OpenApiSerializerFieldExtension):
    """Of a resource's own id we know how it looks."""

    target_class = fields.Text

    def map_serializer_field(self, auto_schema, direction):
        if self.target.source == "resource_id":
            return _id_schema(self.target.parent.Meta.model, or_none=True)
        return auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)


class _OfSame(OpenApiSerializerFieldExtension):
    target_class = fields.Same

    def map_serializer_field(self, auto_schema, direction):
        return _id_schema(self.target.parent.Meta.model, or_none=True)


class _OfReference(OpenApiSerializerFieldExtension):
    target_class = fields.Reference

    def map_serializer_field(self, auto_schema, direction):
        return _id_schema(self.target.get_queryset().model, or_none=not self.target.required)


class _OfHardwarePart(OpenApiSerializerFieldExtension):
    target_class = fields.HardwarePart

    def map_serializer_field(self, auto_schema, direction):
        return {"type": "array", "items": _part(auto_schema, self.target.shape)}


def _id_schema(model: type, or_none: bool) -> dict:
    """Where there is no resource, its id is empty."""
    pattern = f"{'^$|' if or_none else ''}{fields.pattern_of_id(model)}"
    return {"type": "string", "pattern": pattern, "maxLength": len(model.prefix) + 9}


def _part(auto_schema: Document, shape: type) -> dict:
    times = auto_schema.resolve_serializer(fields.Timestamps, "response").ref
    properties = {name: _kind(auto_schema, kind) for name, kind in get_type_hints(shape).items()}
    if shape is hardware.Nic:
        properties["linkState"] = auto_schema.component("NetworkInterfaceLinkState", _object({
            "type": auto_schema.component("LinkState", {"type": "string", "enum": fields.LINK_STATES}),
            "timestamps": {"anyOf": [times, {"type": "null"}]},
        }))  # fmt: skip
    if shape is hardware.IpAddress:
        properties["resourceId"] = {"type": "string"}
        for name, called, values in (
            ("status", "IPAddressStatus", fields.ADDRESS_STATUSES),
            ("configMethod", "IPAddressConfigMethod", fields.ADDRESS_METHODS),
        ):
            properties[name] = auto_schema.component(called, {"type": "string", "enum": values})
    properties["timestamps"] = {"anyOf": [times, {"type": "null"}]}
    return auto_schema.component(NAMES_OF_PARTS[shape], _object(properties))


def _object(properties: dict) -> dict:
    read = {name: {**schema, "readOnly": True} for name, schema in properties.items()}
    return {"type": "object", "additionalProperties": False, "properties": read}


def _kind(auto_schema: Document, kind: Any) -> dict:
    if get_origin(kind) is list:
        return {"type": "array", "items": _kind(auto_schema, get_args(kind)[0])}
    if isinstance(kind, UnionType):
        return _kind(auto_schema, get_args(kind)[0])
    return _part(auto_schema, kind) if is_typeddict(kind) else dict(PLAIN[kind])


# Hooks ------------------------------------------------------------------------------------------------------------


def names_of_paths(endpoints: list[tuple], **kwargs) -> list[tuple]:
    """Paths as clients know them: no last slash, and ids called resourceId. Paths of rewrites are left out."""
    named = []
    for path, regex, method, callback in endpoints:
        if not callback.initkwargs.get("hidden"):
            if hasattr(callback.cls, "nouns"):
                path = path.rstrip("/").replace("{resource_id}", "{resourceId}")
            named.append((path, regex, method, callback))
    return named
