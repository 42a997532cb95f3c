"""What clients send: JSON of a bounded size, in letters that can be stored, or a form of the browsable API."""

import json
import re

from django.conf import settings
from rest_framework import exceptions, parsers, status

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"a body has at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes"


class JsonBody(parsers.JSONParser):
    """One JSON document. Raises ParseError, which says what is wrong with it, and TooLarge."""

    def parse(self, stream, media_type=None, parser_context=None):
        return loads(bounded(stream, parser_context["request"]))


def bounded(stream, request) -> bytes:
    """The body, if it isn't too large; of one that is, hardly more than that is read."""
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if declared.isdecimal() and int(declared) > most:
        raise TooLarge
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "") and request.META.get("wsgi.input_terminated"):
        stream = request.META["wsgi.input"]  # Django reads no body whose length isn't declared
    body = stream.read(most + 1)
    if len(body) > most:
        raise TooLarge
    return body


def loads(body: bytes):
    try:
        text = body.decode()
    except UnicodeDecodeError as wrong:
        raise exceptions.ParseError(f"the body is not UTF-8: byte {wrong.start}") from None
    if strange := _CONTROL.search(text):
        raise exceptions.ParseError(f"the body has {strange[0]!r} at {strange.start()}, which is no letter")
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
    return found


def _no_number(text: str):
    raise ValueError(f"{text} is no number")
