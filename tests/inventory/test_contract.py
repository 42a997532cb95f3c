"""The contract with the archived system's clients: what its OpenAPI offered, ours offers, under the same names.

contract.json lists its 245 operations and the schemas that they reach. Of what a client may send, every constraint
must be here and mustn't refuse what was accepted; what is only read needs its name and its type.
"""

import json
import re
import string
from pathlib import Path

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

CONTRACT = json.loads((Path(__file__).parent / "contract.json").read_text())
SCHEMAS = CONTRACT["schemas"]
SERVICES = {operation["tag"] for operation in CONTRACT["operations"]}

# Where ours differs on purpose.
DIFFERENT = {
    "query projectName required": "the token and the header ActiveProjectID say which project it is, as always",
    "CustomConfigResource.description minLength": "it is empty in answers that have none, so it may be in requests",
    "query filter pattern": "comparisons and all letters can be asked for now; what could be sent still can",
}


@pytest.fixture(scope="module")
def document():
    return SchemaGenerator().get_schema(request=None, public=True)


def operations(document):
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict)
    }


@pytest.mark.parametrize("expected", CONTRACT["operations"], ids=lambda op: f"{op['method']} {op['path']}")
def test_an_operation_of_the_archived_api_is_here(document, expected):
    ours = operations(document).get((expected["method"], expected["path"]))
    assert ours, "there is no such operation"
    assert ours["operationId"] == expected["operationId"] and ours["tags"] == [expected["tag"]]
    differences = [
        *parameters_differing(document, ours, expected["path_parameters"], "path"),
        *parameters_differing(document, ours, expected["query_parameters"], "query"),
    ]
    if expected["request"]:
        body = ours["requestBody"]["content"]["application/json"]["schema"]
        called = expected["request"]
        differences += differing(document, body, {"ref": called}, called, set(), sent=_how(expected))
    answer = ours["responses"]["200"]["content"]["application/json"]["schema"]
    differences += differing(document, answer, {"ref": expected["response"]}, expected["response"], set(), sent=False)
    assert [difference for difference in differences if difference not in DIFFERENT] == []


def _how(expected):
    """PATCH needs only what it changes; the archived API asked for all that PUT needs."""
    return "a part" if expected["method"] == "PATCH" else "all"


def parameters_differing(document, operation, expected, where):
    found = {p["name"]: p for p in operation.get("parameters", []) if p["in"] == where}
    for parameter in expected:
        ours = found.get(parameter["name"])
        called = f"{where} {parameter['name']}"
        if ours is None:
            yield f"{called} is missing"
        else:
            if ours.get("required", False) != parameter["required"]:
                yield f"{called} required"
            rules = {key: value for key, value in parameter.items() if key not in ("name", "required")}
            yield from differing(document, ours["schema"], rules, called, set(), sent="all")


def resolved(document, schema):
    while schema.keys() & {"$ref", "anyOf", "allOf"}:
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        else:
            [schema] = [one for one in schema.get("anyOf", schema.get("allOf")) if one != {"type": "null"}]
    return schema


def differing(document, ours, theirs, called, seen, sent):
    """What of a schema of theirs ours lacks, by name."""
    if "ref" in theirs:
        if theirs["ref"] in seen:
            return
        seen = seen | {theirs["ref"]}
        called, theirs = theirs["ref"], SCHEMAS[theirs["ref"]]
    ours = resolved(document, ours)
    sent = False if theirs.get("readOnly") else sent
    if ours.get("type") != theirs.get("type"):
        yield f"{called} is {ours.get('type')}, not {theirs.get('type')}"
        return
    if missing := {*theirs.get("enum", [])} - {*ours.get("enum", [])}:
        yield f"{called} lacks {sorted(missing)}"
    needed = {name for name in theirs.get("required", []) if not theirs["properties"][name].get("readOnly")}
    if sent == "all" and needed - {*ours.get("required", [])}:
        yield f"{called}.required"
    for name, schema in theirs.get("properties", {}).items():
        if name not in ours.get("properties", {}):
            yield f"{called}.{name} is missing"
        else:
            own = f"{called}.{name}"
            yield from differing(document, ours["properties"][name], schema, own, seen, sent)
    if "items" in theirs:
        yield from differing(document, ours["items"], theirs["items"], f"{called}[]", seen, sent)
    if sent:
        yield from constraints_differing(ours, theirs, called)


def constraints_differing(ours, theirs, called):
    if theirs["type"] == "array":
        theirs = {key: value for key, value in theirs.items() if key == "maxItems"}  # theirs has rules of texts on one
    for rule in ("minLength", "maxLength", "minimum", "maximum", "maxItems"):
        if rule in theirs and ours.get(rule) != theirs[rule]:
            yield f"{called} {rule}"
    if "pattern" in theirs and "pattern" not in ours:
        yield f"{called} pattern"
    elif "pattern" in theirs and (refused := [*refused_letters(ours["pattern"], theirs["pattern"])]):
        yield f"{called} refuses {refused}"


def refused_letters(ours: str, theirs: str):
    """Which letters, alone or within a word, theirs admits and ours does not."""
    ours, theirs = re.compile(ours), re.compile(theirs.replace(r"\p{L}", "a"))
    for letter in string.printable[:95]:
        for word in (letter, f"a{letter}a"):
            if theirs.search(word) and not ours.search(word):
                yield word


def test_what_is_said_to_be_different_is(document):
    """The list above only holds what it must."""
    differences = set()
    for expected in CONTRACT["operations"]:
        ours = operations(document)[expected["method"], expected["path"]]
        differences |= {*parameters_differing(document, ours, expected["query_parameters"], "query")}
        for way, key in ((_how(expected), "request"), (False, "response")):
            if expected[key]:
                content = ours["requestBody"] if way else ours["responses"]["200"]
                schema = content["content"]["application/json"]["schema"]
                differences |= {*differing(document, schema, {"ref": expected[key]}, expected[key], set(), way)}
    assert DIFFERENT.keys() <= differences


def test_the_document_is_valid_openapi_31_and_nothing_in_it_is_guessed(document):
    assert document["openapi"].startswith("3.1")
    GENERATOR_STATS.reset()
    assert not [*OpenAPIV31SpecValidator(SchemaGenerator().get_schema(request=None, public=True)).iter_errors()]
    assert not GENERATOR_STATS._error_cache | GENERATOR_STATS._warn_cache


def test_operation_ids_are_unique(document):
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(ids) == len({*ids})


def test_every_body_has_an_example_that_is_one(document):
    for (method, path), operation in operations(document).items():
        if "requestBody" in operation and operation["tags"][0] in SERVICES:
            content = operation["requestBody"]["content"]["application/json"]
            [example] = content["examples"].values()
            body = example["value"]
            needed = {} if method == "PATCH" else content["schema"]
            rules = {**needed, "components": document["components"]}
            assert [*Draft202012Validator(rules).iter_errors(body)] == [], (method, path)
            known = resolved(document, content["schema"])["properties"]
            assert body and body.keys() <= known.keys(), (method, path)
            for name, value in body.items():
                rules = {**known[name], "components": document["components"]}
                assert [*Draft202012Validator(rules).iter_errors(value)] == [], (method, path, name)


def test_every_operation_says_what_it_is_who_may_and_how_it_can_fail(document):
    for (method, path), operation in operations(document).items():
        if path.startswith("/v1/projects/{projectName}/") and "Service" in operation["tags"][0]:
            assert operation["summary"] and operation["description"], (method, path)
            assert {"bearer": []} in operation["security"]


def test_every_refusal_is_documented_and_looks_the_same_whoever_refuses(document):
    for (method, path), operation in operations(document).items():
        expected = {"200", "400", "429"}
        expected |= {"401", "403"} if any(operation["security"]) else set()
        expected |= {"404"} if "{" in path else set()
        expected |= {"413", "415"} if method in ("POST", "PUT", "PATCH") else set()
        assert expected <= operation["responses"].keys(), (method, path)
        for status in operation["responses"].keys() - {"200"}:
            [content] = operation["responses"][status]["content"].values()
            assert resolved(document, content["schema"])["properties"].keys() == {"code", "message"}, (method, path)
