"""The agency interface documents every route, error and example, and each example is true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from broker.node.api.examples import EXAMPLES, RECEIVED, THREAT_BULLETIN
from broker.node.api.inbox_views import ReceivedView
from schemas.bulletin import parse_bulletin
from schemas.errors import PROBLEMS
from schemas.loader import dump_json
from schemas.problems import MEDIA_TYPE, from_document
from tests.unit.node.agency import ROUTES, Agency


def operations(agency: Agency) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every documented route."""
    document_ = agency.call("GET", "/openapi.json").json()
    for path, methods in document_["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_route_documents_its_errors_and_examples(agency: Agency) -> None:
    """Problem documents by status with an example each; never another error model."""
    found = list(operations(agency))
    assert len(found) == len(ROUTES)
    for path, method, operation in found:
        where = f"{method} {path}"
        success = [s for s in operation["responses"] if s.startswith("2")]
        if method == "put" or "attachments" not in path:
            [content] = [operation["responses"][s]["content"]["application/json"] for s in success]
            assert content["examples"], where
        words: set[str] = set()
        for status, answer in operation["responses"].items():
            if status in success:
                continue
            assert list(answer["content"]) == [MEDIA_TYPE], where
            for name, example in answer["content"][MEDIA_TYPE]["examples"].items():
                assert PROBLEMS[name].status == int(status), where
                assert from_document(dump_json(example["value"])).word == name
                words.add(name)
        needed = {"token-missing", "bad-parameter", "internal"}
        needed |= {"token-scope"} if "/desks/" in path else set()
        takes_bulletin = method == "post" and path.endswith(("/bulletins", "/check"))
        needed |= {"schema-violation", "access-denied"} if takes_bulletin else set()
        if path.endswith("/check"):
            needed -= {"access-denied"}
        assert needed <= words, where
        if takes_bulletin:
            body = operation["requestBody"]["content"]["application/json"]
            assert body["examples"], where


def test_the_document_names_the_bearer_scheme(agency: Agency) -> None:
    """Every route demands it."""
    described = agency.call("GET", "/openapi.json").json()
    assert described["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert all(operation["security"] for _, _, operation in operations(agency))
    assert "HTTPValidationError" not in described["components"]["schemas"]


@pytest.mark.parametrize("view", list(EXAMPLES), ids=lambda view: view.__name__)
def test_every_example_is_what_its_model_says(view: type[BaseModel]) -> None:
    """An example that the model refuses would mislead."""
    assert view.model_validate_json(dump_json(EXAMPLES[view])) is not None


def test_the_examples_of_bulletins_are_valid() -> None:
    """The one to send, and the one received."""
    assert parse_bulletin(dump_json(THREAT_BULLETIN)).originator.desk == "ly/main"
    assert ReceivedView.model_validate_json(dump_json(RECEIVED)).verified.sender == "ly/main"
