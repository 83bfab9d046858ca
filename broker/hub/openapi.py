"""The OpenAPI document of the hub's API: what each call takes and answers, and every problem it may name.

May import FastAPI and the hub's own rooms; `python -m broker.cli.openapi` writes it, nobody serves it.
A route without its line in `CALLS` cannot be described: the document is never behind the routes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from broker.hub.app import ROUTERS
from schemas.errors import PROBLEMS
from schemas.problems import MEDIA_TYPE
from schemas.scalars import MEMBER_PATTERN, UNIT_PATTERN, Uuid7

SCHEMAS: Final = "../../schemas/json/"
"""Where the published schemas lie, seen from the document."""

_JSON: Final = "application/json"
_BYTES: Final = "application/octet-stream"

ALWAYS: Final = (
    "bad-parameter",
    "signature-missing",
    "signature-components",
    "signature-parameters",
    "signature-invalid",
    "signature-expired",
    "nonce-replayed",
    "unknown-key",
    "not-found",
    "internal",
    "busy",
    "hub-halted",
)
"""What every call may answer."""

WITH_BODY: Final = ("malformed-json", "content-digest", "too-large", "schema-violation")
"""What a call with a JSON body may answer as well."""


@dataclass(frozen=True, slots=True)
class Call:
    """What the routes themselves do not say of a call.

    Args:
        answers: by status, the media type and its published schema, if it is JSON.
        problems: beside `ALWAYS`, and `WITH_BODY` where there is a JSON body.
        body: the published schema of the request's JSON, or the media type of its bytes.
        headers: header parameters that the route reads by itself, beside those of the signature.
    """

    answers: Mapping[int, tuple[str, str]]
    problems: tuple[str, ...] = ()
    body: str = ""
    headers: tuple[Mapping[str, Any], ...] = ()


_OFFSET: Final = {
    "name": "Upload-Offset",
    "in": "header",
    "required": True,
    "description": "Where the piece begins, in bytes; it is signed.",
    "schema": {"type": "integer", "minimum": 0},
}
_RANGE: Final = {
    "name": "Range",
    "in": "header",
    "required": False,
    "description": "One range of bytes (RFC 9110 section 14).",
    "schema": {"type": "string", "pattern": "^bytes=([0-9]{1,16}-[0-9]{0,16}|-[0-9]{1,16})$"},
}

_PATTERNS: Final = {
    "member": f"^{MEMBER_PATTERN}$",
    "unit": f"^{UNIT_PATTERN}$",
    "envelope_id": TypeAdapter(Uuid7).json_schema()["pattern"],
}
"""Of what stands in paths; anything else is not found, or not the caller's desk."""

CALLS: Final[Mapping[str, Call]] = {
    "post_envelope": Call(
        {201: (_JSON, "receipt.v1.json")},
        (
            "not-sender", "access-denied", "id-taken", "log-closed", "bulletin-differs",
            "stale-directory", "stale-key", "created-skew", "attachments-missing", "slots-differ",
            "slot-hash", "body-hash", "statement-signature", "wrong-exchange", "lifetime",
            "unknown-recipient", "original-unknown", "original-withdrawal", "original-desks",
            "directory-invalid", "refusal-rate",
        ),
        "envelope.v1.json",
    ),
    "get_inbox": Call({200: (_JSON, "inbox_page.v1.json")}, ("not-your-desk",)),
    "get_events": Call({200: ("text/event-stream", "")}, ("not-your-desk",)),
    "get_body": Call({200: (_BYTES, "")}),
    "get_status": Call({200: (_JSON, "envelope_status.v1.json")}, ("not-your-desk",)),
    "post_acknowledgement": Call(
        {201: (_JSON, "receipt.v1.json")},
        (
            "not-your-desk", "created-skew", "wrong-exchange", "statement-signature",
            "acknowledgement-items",
        ),
        "statement.v1.json",
    ),
    "post_sealing_key": Call(
        {201: (_JSON, "")},
        (
            "not-your-desk", "sealing-key-epoch", "wrong-exchange", "statement-signature",
            "sealing-key-unusable", "sealing-key-revokes", "sealing-key-rate",
        ),
        "statement.v1.json",
    ),
    "get_sealing_keys": Call({200: (_JSON, "sealing_key_statements.v1.json")}),
    "get_openings": Call({200: (_JSON, "openings_page.v1.json")}),
    "get_checkpoint": Call({200: ("text/plain; charset=utf-8", "")}),
    "get_cosignatures": Call({200: ("text/plain; charset=utf-8", ""), 204: ("", "")}),
    "post_cosignature": Call(
        {204: ("", "")}, ("content-digest", "too-large", "cosignature"), "text/plain"
    ),
    "get_witnessed": Call({200: ("text/plain; charset=utf-8", ""), 204: ("", "")}),
    "get_tile": Call({200: (_BYTES, "")}),
    "put_publication": Call(
        {200: (_JSON, "published.v1.json")},
        ("wrong-exchange", "publication", "publication-rate"),
        "publication.v1.json",
    ),
    "post_lost_entries": Call(
        {200: (_JSON, "given_back.v1.json")},
        (
            "wrong-exchange", "not-sender", "inclusion", "entry-invalid", "directory-invalid", "place",
        ),
        "lost_entries.v1.json",
    ),
    "get_trust_file": Call({200: (_BYTES, "")}),
    "put_attachment": Call(
        {200: ("", ""), 201: (_JSON, "receipt.v1.json")},
        ("content-digest", "too-large", "upload-offset", "attachment-hash", "quota", "disk-full"),
        _BYTES,
        (_OFFSET,),
    ),
    "head_attachment": Call({200: ("", "")}),
    "get_attachment": Call({200: (_BYTES, ""), 206: (_BYTES, "")}, ("range",), headers=(_RANGE,)),
}  # fmt: skip
"""By the name of the route."""

_DESCRIPTION: Final = (
    "What desks call, each signed with the desk's request key: docs/protocol.md says how, docs/api.md what"
    " each call means. Every answer that is not a success is a problem document with a stable `type`."
)


def document() -> dict[str, Any]:
    """Build the document, OpenAPI 3.1.

    Raises:
        KeyError: a route has no line in `CALLS`.
    """
    app = FastAPI(openapi_url=None)
    for router in ROUTERS:
        app.include_router(router)
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    built = get_openapi(title="Barid hub", version="1", description=_DESCRIPTION, routes=app.routes)
    for route in routes:
        for method in route.methods or ():
            _describe(built["paths"][route.path_format][method.lower()], route, CALLS[route.name])
    scheme = {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": "RFC 9421 with `Signature-Input`, and `Content-Digest` (RFC 9530) with a body.",
    }
    built["components"] = {"securitySchemes": {"signature": scheme}}
    built["security"] = [{"signature": []}]
    return built


def _describe(operation: dict[str, Any], route: APIRoute, call: Call) -> None:
    operation["operationId"] = route.name
    has_json = call.body.endswith(".json")
    if call.body:
        content = {_JSON: _schema(call.body)} if has_json else {call.body: {}}
        operation["requestBody"] = {"required": True, "content": content}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in _PATTERNS:
            parameter["schema"]["pattern"] = _PATTERNS[parameter["name"]]
    if call.headers:
        operation["parameters"] = [*operation.get("parameters", ()), *call.headers]
    answers = {str(status): _answer(*told) for status, told in call.answers.items()}
    words = (*ALWAYS, *(WITH_BODY if has_json else ()), *call.problems)
    operation["responses"] = answers | _problems(words)


def _schema(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": SCHEMAS + name}}


def _answer(media_type: str, schema: str) -> dict[str, Any]:
    if not media_type:
        return {"description": "Done; the headers say more."}
    return {"description": "Done.", "content": {media_type: _schema(schema) if schema else {}}}


def _problems(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The refusals of a call by status, each with the words that it may have."""
    by_status: dict[str, list[str]] = {}
    for word in words:
        kind = PROBLEMS[word]
        by_status.setdefault(str(kind.status), []).append(f"`{word}`: {kind.title}.")
    return {
        status: {
            "description": " ".join(told),
            "content": {MEDIA_TYPE: _schema("problem.v1.json")},
        }
        for status, told in sorted(by_status.items())
    }
