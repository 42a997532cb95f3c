"""What clients send: JSON in letters that can be stored. Its size and its bytes, tenants/request.py has seen to."""

import json
import re

from rest_framework import exceptions, parsers

from tenants.errors import TooLarge
from tenants.request import LARGEST_BODY

_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")


class JsonBody(parsers.JSONParser):
    """One JSON document. Raises ParseError, which says what is wrong with it, and TooLarge."""

    def parse(self, stream, media_type=None, parser_context=None):
        return loads(whole_body(stream, parser_context["request"]))


def whole_body(stream, request) -> bytes:
    """Also of a request that doesn't declare its length, whose body Django doesn't read."""
    if "chunked" not in request.META.get("HTTP_TRANSFER_ENCODING", "") or not request.META.get("wsgi.input_terminated"):
        return stream.read()
    body = request.META["wsgi.input"].read(LARGEST_BODY + 1)
    if len(body) > LARGEST_BODY:
        raise TooLarge(f"The body has more than {LARGEST_BODY:,} bytes")
    return body


def loads(body: bytes):
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
    if not isinstance(found, dict):
        raise exceptions.ParseError("a JSON object is needed")
    return found


def _no_number(text: str):
    raise ValueError(f"{text} is no number")
