"""Every operation of the document is sent what it says it takes, and what it says it doesn't: did it tell the truth?

Schemathesis makes the requests; the answers come from the real application, with real commits, in a project of its own.
"""

import re

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

from eim_project.wsgi import application
from tests.conftest import client_of, fresh_project
from tests.inventory.test_contract import SERVICES

load_all_checks()


@pytest.fixture(scope="module", autouse=True)
def project(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), fresh_project() as project:
        Door.path = f"/v1/projects/{project.name}"
        Door.token = client_of(project, "im-rw")._credentials["HTTP_AUTHORIZATION"]
        yield project


class Door:
    """The application with the project and the token given: what is sent without them test_operations.py sees."""

    path = token = ""

    def __call__(self, environ, start_response):
        environ |= {"PATH_INFO": f"{self.path}{environ['PATH_INFO']}", "HTTP_AUTHORIZATION": self.token}
        return application(environ, start_response)


def document() -> dict:
    """Of paths with several names, the first: all lead to the same view, see test_operations.py."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    prefix, paths = "/v1/projects/{projectName}", {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            ours = path.startswith(f"{prefix}/") and operation["tags"][0] in SERVICES
            if ours and operation["operationId"][-1].isalpha():
                parameters = [one for one in operation["parameters"] if one["name"] != "projectName"]
                told = {**operation, "parameters": parameters, "security": []}
                paths.setdefault(path.removeprefix(prefix), {})[method] = told
    return {**document, "paths": paths}


schema = schemathesis.openapi.from_dict(document())
schema.app = Door()
schema.config.phases.coverage.enabled = False  # 50 requests an operation: minutes


# What the document can't say, so that a request which keeps to it is refused all the same.
RULES_BEYOND_THE_DOCUMENT = [
    r"^filter: ",  # a grammar
    r"^orderBy: can't order ",  # fields of the resource
    r"^pageToken ",  # tokens that we have given
    r"^fieldMask: there is no field ",  # names of fields
    r"^A host needs a uuid or a serialNumber$",  # the one or the other
    r"^showSites or showRegions must be true|^name is needed: ",
    r"only one can be asked for|needs exactly one of|exactly one of target",  # either this or that
    r"endSeconds \d+ is not after startSeconds",
    r"startSeconds \d+ is in the past",
    r"^metadata: metadata is a JSON object of texts",
    r"metadata key .* is there twice",
    r"^(an )?updatePolicy |targetOsId is of immutable systems",  # what goes together
    r"^(kind|collectorKind|osType|osProvider|providerKind|updatePolicy)(:| is) ",  # an enum's first value is none of it
    r"^config( is|[.:])|^apiEndpoint |^apiCredentials are ",  # what the vendor's declaration says
    r"already",  # duplicates: 400 and not 409, as the archived API had it
]


@pytest.mark.timeout(600)
@schema.parametrize()
@settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
def test_an_operation_keeps_its_word(project, case):
    response = case.call()
    excluded = []
    if response.status_code == 400:
        message = response.json()["message"]
        if any(re.search(rule, message) for rule in RULES_BEYOND_THE_DOCUMENT):
            excluded.append(CHECKS.get_one("positive_data_acceptance"))
    case.validate_response(response, excluded_checks=excluded)
