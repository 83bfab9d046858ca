"""The committed OpenAPI documents: what the routes are, and every reference in them leads somewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.cli.openapi import DIRECTORY, main, rendered
from broker.hub import openapi
from schemas.problems import MEDIA_TYPE


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    """Both, as the routes make them now."""
    return {name: json.loads(text) for name, text in rendered().items()}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_committed_documents_are_up_to_date() -> None:
    """`make check` says the same, with the command that mends it."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in DIRECTORY.iterdir()}
    assert committed == rendered()


def test_what_the_check_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing or stale file is named, and written by the command without `--check`."""
    assert main(["--check"], tmp_path) == 1
    assert "hub.json differs: run python -m broker.cli.openapi" in capsys.readouterr().err
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    (tmp_path / "node.json").write_text("{}")
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path.name}/node.json differs: run python -m broker.cli.openapi"
    ]


def test_every_reference_leads_to_a_published_schema(documents: dict[str, dict[str, Any]]) -> None:
    """The hub's document has no schema of its own; the node's no reference that leads nowhere."""
    references = set(_references(documents["hub.json"]))
    assert references
    assert [each for each in references if not (DIRECTORY / each).is_file()] == []
    schemas = documents["node.json"]["components"]["schemas"]
    prefix = "#/components/schemas/"
    names = {each.removeprefix(prefix) for each in _references(documents["node.json"])}
    assert names - set(schemas) == set()


def test_every_operation_names_its_refusals(documents: dict[str, dict[str, Any]]) -> None:
    """Each has its own name, a description, a success, and problem documents for all the rest."""
    for document in documents.values():
        ids = []
        for where, operation in _operations(document):
            ids.append(operation["operationId"])
            assert operation["description"], where
            assert [status for status in operation["responses"] if status < "300"], where
            refusals = [s for s in operation["responses"] if s >= "400"]
            assert {"400", "401", "500"} <= set(refusals), where
            for status in refusals:
                assert set(operation["responses"][status]["content"]) == {MEDIA_TYPE}, where
        assert len(ids) == len(set(ids))


def test_a_route_that_is_not_described_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document cannot fall behind: without its line the route stops it."""
    described = {name: call for name, call in openapi.CALLS.items() if name != "get_inbox"}
    monkeypatch.setattr(openapi, "CALLS", described)
    with pytest.raises(KeyError, match="get_inbox"):
        openapi.document()
