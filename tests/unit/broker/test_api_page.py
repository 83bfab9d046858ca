"""The page of the hub's API is held against its routes."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi.routing import APIRoute

from broker.hub.routes import router
from schemas.errors import PROBLEMS

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")


def _calls() -> set[tuple[str, str]]:
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    named = {"{envelope_id}": "{id}", ":path}": "}"}
    found = set()
    for route in routes:
        path = route.path
        for ours, shown in named.items():
            path = path.replace(ours, shown)
        found |= {(method, path) for method in route.methods or ()}
    return found


def test_every_call_is_documented() -> None:
    """Each route has its heading, and each heading under /v1 its route."""
    headings = re.findall(r"^### `([A-Z]+) (/v1/\S+)`$", TEXT, re.MULTILINE)
    assert set(headings) == _calls()


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
