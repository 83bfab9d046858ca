"""The OpenAPI document of a node's agency interface: the one that it serves, and the one that is published.

May import FastAPI and `schemas`; `app` serves it, `python -m broker.cli.openapi` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

API_VERSION: Final = "1"

_DESCRIPTION: Final = (
    "What a member's agencies call: hand in bulletins, see what became of them, read the inbox."
    " Every answer that is not a success is a problem document (RFC 9457) with a stable `type`."
)


def document(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """Build the document, without FastAPI's own error model, which a node never sends."""
    built = get_openapi(
        title="Barid node", version=API_VERSION, description=_DESCRIPTION, routes=routes
    )
    for methods in built["paths"].values():
        for operation in methods.values():
            answer: dict[str, Any] = operation["responses"].get("422", {})
            if "application/json" in answer.get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        built["components"]["schemas"].pop(name, None)
    return built
