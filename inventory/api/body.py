"""What clients send: JSON in letters that can be stored, or a form of the browsable API.

Its size and its bytes, tenants/request.py has seen to.
"""

import json
import re

import orjson
from rest_framework import exceptions, parsers, renderers, serializers
from rest_framework.utils.serializer_helpers import ReturnDict

from tenants.errors import TooLarge
from tenants.request import LARGEST_BODY

_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")


class Json(renderers.JSONRenderer):
    """What we answer is plain already: no encoder of DRF's has to look at it."""

    def render(self, data, accepted_media_type=None, renderer_context=None):
        if indent := self.get_indent(accepted_media_type or "", renderer_context or {}):
            return json.dumps(data, ensure_ascii=False, indent=indent).encode()
        return orjson.dumps(data)


class Browsable(renderers.BrowsableAPIRenderer):
    """Pages whose forms hold what the resource has."""

    def get_rendered_html_form(self, data, view, method, request):
        return super().get_rendered_html_form(self._filled(data, view), view, method, request)

    def get_raw_data_form(self, data, view, method, request):
        return super().get_raw_data_form(self._filled(data, view), view, method, request)

    @staticmethod
    def _filled(data, view):
        shown = getattr(view, "shown_in_forms", lambda: None)()
        return data if shown is None else ReturnDict({}, serializer=view.get_serializer(shown))


class JsonBody(parsers.JSONParser):
    """One JSON document. Raises ParseError, which says what is wrong with it, and TooLarge."""

    def parse(self, stream, media_type=None, parser_context=None):
        return loads(whole_body(stream, parser_context["request"]))


class FormBody(parsers.MultiPartParser):
    """A form of the browsable API, as JSON. What is left empty isn't there, unless it is text."""

    def parse(self, stream, media_type=None, parser_context=None):
        given = super().parse(stream, media_type, parser_context).data
        fields = parser_context["view"].get_serializer().fields
        return {name: _of_form(fields[name], text) if name in fields else text for name, text in given.items()
                if name != "csrfmiddlewaretoken" and (text or _is_text(fields.get(name)))}  # fmt: skip


def _is_text(field) -> bool:
    return isinstance(field, serializers.CharField | serializers.RelatedField) and getattr(field, "allow_blank", True)


def _of_form(field, text: str):
    match field:
        case serializers.BooleanField():
            return text == "true"
        case serializers.IntegerField() if text.lstrip("-").isdecimal():
            return int(text)
        case serializers.ListField() | serializers.JSONField():
            return loads(text.encode(), of=(list, dict))
    return text


def whole_body(stream, request) -> bytes:
    """Also of a request that doesn't declare its length, whose body Django doesn't read."""
    if "chunked" not in request.META.get("HTTP_TRANSFER_ENCODING", "") or not request.META.get("wsgi.input_terminated"):
        return stream.read()
    body = request.META["wsgi.input"].read(LARGEST_BODY + 1)
    if len(body) > LARGEST_BODY:
        raise TooLarge(f"The body has more than {LARGEST_BODY:,} bytes")
    return body


def loads(body: bytes, of: type | tuple = dict):
    try:
        text = body.decode()
    except UnicodeDecodeError as wrong:
        raise exceptions.ParseError(f"the body is not UTF-8: byte {wrong.start}") from None
    if strange := _NUL.search(text):
        raise exceptions.ParseError(f"the body has \\u0000 at {strange.start()}, which can't be stored")
    try:
        found = json.loads(text, parse_constant=_no_number)
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise exceptions.ParseError("the body has half of a letter (a lone surrogate)") from None
    except RecursionError:
        raise exceptions.ParseError("the body is nested too deeply") from None
    except ValueError as wrong:
        raise exceptions.ParseError(f"the body is not JSON: {wrong}") from None
    if not isinstance(found, of):
        raise exceptions.ParseError("a JSON object is needed")
    return found


def _no_number(text: str):
    raise ValueError(f"{text} is no number")
