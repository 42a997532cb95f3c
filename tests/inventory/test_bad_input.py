"""Whatever is sent: an answer that names what is wrong with it, never a 500, and nothing half-written."""

import io
import json

import pytest
from django.test import RequestFactory

from inventory.api.body import JsonBody, loads
from inventory.models import Host, Region
from tenants.errors import TooLarge
from tests.conftest import client_of

pytestmark = pytest.mark.django_db

SHA = "a" * 64


def post(api, path, body, **headers):
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    return api.generic("POST", f"{api.base}/{path}", body, content_type="application/json", **headers)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "name: This field is required."),
        (b"{", "the body is not JSON: "),
        (b"\xff", "the body is not UTF-8: byte 0"),
        (b'{"name":"\x00"}', "The body has characters that aren't printable"),
        (b'{"name":"\x1b"}', "The body has characters that aren't printable"),
        (rb'{"name":"a\u0000"}', "the body has \\u0000 at 10, which can't be stored"),
        (rb'{"name":"\ud800"}', "the body has half of a letter (a lone surrogate)"),
        (rb'{"\ud800":1}', "the body has half of a letter (a lone surrogate)"),
        (b'{"name":NaN}', "the body is not JSON: NaN is no number"),
        (b"[" * 50_000, "the body is nested too deeply"),
        (b'{"userLvmSize":' + b"9" * 5000 + b"}", "the body is not JSON: "),
        (b"[]", "a JSON object is needed"),
        (b'"name"', "a JSON object is needed"),
        (b"null", "a JSON object is needed"),
        ({"name": "x", "colour": 1}, "colour: there is no such field"),
        ({"name": "x", "resourceId": "host-00000000"}, "resourceId: can't be written"),
        ({"name": 7}, "name: this is a text, not 7"),
        ({"name": None}, "name: This field may not be null, not null"),
        ({"name": "a\nb"}, 'name: only letters, digits, spaces and - _ . / : ( ), not "a\\nb"'),
        ({"name": "a\n"}, 'name: only letters, digits, spaces and - _ . / : ( ), not "a\\n"'),
        ({"name": "x" * 51}, "name: Ensure this field has no more than 50 characters, not "),
        ({"name": "x", "metadata": {}}, "metadata: metadata is a list of at most 100 objects with key and value"),
        ({"name": "x", "metadata": [1]}, 'metadata: each item of metadata is {"key": "...", "value": "..."}, not [1]'),
        ({"name": "x", "metadata": [{"key": "a\n", "value": ""}]}, "metadata: metadata key 'a\\n': lower-case"),
        ({"name": "x", "desiredPowerState": "ON"}, "desiredPowerState: this is one of POWER_STATE_UNSPECIFIED, "),
        ({"name": "x", "desiredPowerState": ["ON"]}, "desiredPowerState: this is one of POWER_STATE_UNSPECIFIED, "),
        ({"name": "x", "siteId": 5}, "5 is not the id of a site"),
        ({"name": "x", "uuid": "5"}, 'uuid: this does not match ^$|^[0-9a-fA-F]{8}-'),
    ],
)  # fmt: skip
def test_a_body_that_is_none_is_refused_and_says_why(api, body, said):
    answer = post(api, "compute/hosts", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidArgument")
    assert answer.json()["message"].startswith(said)
    assert not Host.objects.exists()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2**31, "userLvmSize: Ensure this value is less than or equal to 2147483647, not 2147483648"),
        (10**400, "userLvmSize: Ensure this value is less than or equal to 2147483647, not 1000"),
        (-1, "userLvmSize: Ensure this value is greater than or equal to 0, not -1"),
        (1.5, "userLvmSize: this is a whole number, not 1.5"), ("5", 'userLvmSize: this is a whole number, not "5"'),
        (True, "userLvmSize: this is a whole number, not true"), ([], "userLvmSize: this is a whole number, not []"),
    ],
)  # fmt: skip
def test_a_number_that_is_none_is_refused(api, value, said):
    answer = post(api, "compute/hosts/register", {"serialNumber": "SN00001", "userLvmSize": value})
    assert answer.status_code == 400 and answer.json()["message"].startswith(said)


def test_a_site_that_is_not_there_is_404_and_text_that_is_no_id_400(api, beta):
    theirs = client_of(beta, "im-rw")
    site = post(theirs, "sites", {"name": "s"}).json()["resourceId"]
    for id, status in ((site, 404), ("site-00000000", 404), ("site-\n", 404), ("region-00000000", 400), (" ", 400)):
        assert post(api, "compute/hosts", {"name": "x", "siteId": id}).status_code == status
    for id, status in (("host-%00", 400), ("host-1a2b3c4%0A", 404), ("%F0%9F%92%A9", 400), ("host-" + "0" * 3000, 404)):
        assert api.get(f"{api.base}/compute/hosts/{id}").status_code == status


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("pageSize=0", "pageSize is a number from 1 to 100, not '0'"),
        ("pageSize=101", "pageSize is a number from 1 to 100, not '101'"),
        ("pageSize=", "pageSize is a number from 1 to 100, not ''"),
        ("pageSize=%D9%A3", "pageSize is a number from 1 to 100, not '٣'"),
        ("pageSize=1_0", "pageSize is a number from 1 to 100, not '1_0'"),
        ("pageSize=1&pageSize=x", "pageSize is a number from 1 to 100, not 'x'"),
        ("offset=10001", "offset is a number from 0 to 10000, not '10001'"),
        (f"offset={'9' * 500}", "offset is a number from 0 to 10000, not '9999"),
        ("orderBy=name,", "orderBy: can't order hosts by ''"),
        ("orderBy=site", "orderBy: can't order hosts by 'site'"),
        ("orderBy=name sideways", "orderBy: can't order hosts by 'name sideways'"),
        ("orderBy=name%00", "The URL has a null character"),
        ("orderBy=id", "orderBy: can't order hosts by 'id'"),
        ("filter=name%3D%27a%01b%27", "filter: '\\x01' at 7 is not a letter that a filter can have"),
        (f"filter={'(' * 990}", "filter: it ends too early"),
        (f"filter={'NOT (' * 150}", "filter: it ends too early"),
        (f"filter={'x' * 1001}", "filter Ensure this field has no more than 1000 characters., not "),
        ("pageToken=nonsense", "pageToken is none that we have given: begin again with an empty one"),
        ("pageToken=WzEsWyJuYW1lIl0sWzFdXQ==", "pageToken is of a list in another order"),
        ("pageToken=WzEsWyJyZXNvdXJjZV9pZCJdLFt7fV1d", "pageToken is none that we have given"),
        ("pageToken=bnVsbA==", "pageToken is none that we have given"),
    ],
)  # fmt: skip
def test_a_question_that_is_none_is_refused_and_says_why(api, query, said):
    answer = api.get(f"{api.base}/compute/hosts?{query}")
    assert answer.status_code == 400 and answer.json()["code"] == "InvalidArgument"
    assert answer.json()["message"].startswith(said)


def test_a_body_of_more_than_100_kb_is_413(api):
    answer = post(api, "regions", b'{"name":"' + b"x" * 100_001 + b'"}')
    assert answer.status_code == 413
    assert answer.json() == {"code": "InvalidArgument", "message": "The body has more than 100,000 bytes"}
    assert not Region.objects.exists()


def parsed(body):
    """As a server gives a body whose length isn't declared."""
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": body}
    return JsonBody().parse(io.BytesIO(), None, {"request": RequestFactory().post("/", **chunked)})


def test_a_body_whose_length_is_not_declared_is_read_all_the_same():
    assert parsed(io.BytesIO(b'{"name":"Europe"}')) == {"name": "Europe"}


def test_a_body_without_an_end_is_not_read_to_its_end():
    class Endless(io.RawIOBase):
        def read(self, size=-1):
            assert 0 < size < 200_000, "all of it is asked for"
            return b" " * size

    with pytest.raises(TooLarge, match="more than 100,000 bytes"):
        parsed(Endless())


def test_what_is_no_json_is_415_and_what_is_not_there_404(api):
    answer = api.generic("POST", f"{api.base}/regions", b"a=b", content_type="text/plain")
    assert (answer.status_code, answer.json()["code"]) == (415, "InvalidArgument")
    for path in (f"{api.base}/nothing", f"{api.base}/compute/hosts/host-00000000/nothing", "/v1/nothing"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "NotFound")
    assert api.delete(f"{api.base}/regions").status_code == 405


def test_letters_of_all_languages_may_be_written_where_text_is_free(api):
    assert loads('{"a": "日本 \\\\u0000 \\u00e9 🚀"}'.encode()) == {"a": "日本 \\u0000 é 🚀"}


def test_what_goes_wrong_in_the_middle_leaves_nothing_behind(api):
    """Of an instance whose second custom config isn't there, nothing is made."""
    os = {"sha256": SHA, "osType": "OS_TYPE_MUTABLE", "osProvider": "OS_PROVIDER_KIND_INFRA"}
    wanted = {
        "osID": post(api, "compute/os", os).json()["resourceId"],
        "hostID": post(api, "compute/hosts/register", {"serialNumber": "SN00001"}).json()["resourceId"],
        "customConfigID": ["customconfig-00000000"],
    }  # fmt: skip
    answer = post(api, "compute/instances", wanted)
    assert answer.status_code == 404 and answer.json()["message"] == "custom_config_resource not found"
    assert api.get(f"{api.base}/compute/instances").json()["totalElements"] == 0


def test_an_etag_lets_only_one_of_two_writers_win(api):
    region = post(api, "regions", {"name": "Europe"})
    path = f"{api.base}/regions/{region.json()['resourceId']}"
    read = api.get(path)
    assert read.headers["ETag"] == region.headers["ETag"]
    first = api.patch(path, {"name": "Asia"}, HTTP_IF_MATCH=read.headers["ETag"])
    assert first.status_code == 200 and first.headers["ETag"] == api.get(path).headers["ETag"]
    for refused in (
        api.patch(path, {"name": "Africa"}, HTTP_IF_MATCH=read.headers["ETag"]),
        api.put(path, {"name": "Africa"}, HTTP_IF_MATCH='"x", "y"'), api.delete(path, HTTP_IF_MATCH='"x"'),
    ):  # fmt: skip
        assert (refused.status_code, refused.json()["code"]) == (412, "FailedPrecondition")
    assert api.get(path).json()["name"] == "Asia"
    assert api.delete(path, HTTP_IF_MATCH=f'"x", {first.headers["ETag"]}').status_code == 200
