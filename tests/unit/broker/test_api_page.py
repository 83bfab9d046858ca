"""The page of the hub's API is held against its routes."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi.routing import APIRoute

from broker.hub.app import ROUTERS
from broker.hub.openapi import CALLS
from broker.hub.routes import router
from schemas.errors import PROBLEMS

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")


def _calls() -> dict[tuple[str, str], str]:
    """Method and path, as the page writes them, to the name of the route."""
    routes = [route for each in ROUTERS for route in each.routes if isinstance(route, APIRoute)]
    named = {"{envelope_id}": "{id}", ":path}": "}"}
    found: dict[tuple[str, str], str] = {}
    for route in routes:
        path = route.path
        for ours, shown in named.items():
            path = path.replace(ours, shown)
        found |= {(method, path): route.name for method in route.methods or ()}
    return found


def test_every_call_is_documented() -> None:
    """Each route has its heading, and each heading under /v1 its route."""
    headings = re.findall(r"^### `([A-Z]+) (/v1/\S+)`$", TEXT, re.MULTILINE)
    assert set(headings) == set(_calls())


def test_every_refusal_of_the_openapi_document_is_on_the_page() -> None:
    """Both say of each call which problems of its own it may answer with."""
    sections = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]
    for (method, path), name in _calls().items():
        (section,) = [each for each in sections if each.startswith(f"`{method} {path}`")]
        said = set(re.findall(r"`([a-z-]+)`", section.partition("Refusals:")[2])) & set(PROBLEMS)
        # `content-digest` stands on the page once for all calls with a body.
        assert said == set(CALLS[name].problems) - {"content-digest"}, name


def test_every_refusal_named_is_a_problem() -> None:
    """Hyphenated words of the page are problem types; none is misspelt."""
    words = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", TEXT))
    assert words - set(PROBLEMS) == set()


def test_every_parameter_is_documented() -> None:
    """The inbox's table names each parameter with its default."""
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| ([\w,]+) \|", TEXT, re.MULTILINE)
    route = next(r for r in router.routes if isinstance(r, APIRoute) and r.name == "get_inbox")
    wanted = {}
    for parameter in route.dependant.query_params:
        default = parameter.field_info.default
        wanted[parameter.name] = "none" if default is None else f"{default:,}"
    assert dict(rows) == wanted
