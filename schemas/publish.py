"""The published JSON Schemas (2020-12), written from the models: `python -m schemas.publish [--check]`.

May import `schemas` and the standard library; developers and CI run it, other implementations read `json/`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas.acknowledgements import Acknowledgement
from schemas.bulletin import KINDS
from schemas.bulletin.common import BULLETIN_VERSION
from schemas.directory import Council, HubDescription, Invitation, MemberFile
from schemas.entries import DirectoryEntry, ExchangeEntry
from schemas.envelope import Envelope, Header, SealedPart
from schemas.errors import PROBLEMS
from schemas.governance import Publication, Published
from schemas.lost_entries import GivenBack, LostEntries
from schemas.purges import PurgeOrders
from schemas.receipts import (
    EnvelopeStatus,
    InboxPage,
    Opening,
    OpeningsPage,
    Receipt,
    SealingKeyStatements,
)
from schemas.release import Release
from schemas.sealing_keys import SealingKey
from schemas.statements import Statement

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ID_PREFIX: Final = "https://barid.invalid/schemas/"
DIRECTORY: Final = Path(__file__).parent / "json"

PROTOCOL_VERSION: Final = 1

_COMMENT: Final = (
    "What a schema cannot say, a parser checks as well: double names, nulls, numbers, limits in bytes, "
    "canonical base64, order, and rules between members."
)

MESSAGES: Final[dict[str, type[BaseModel]]] = {
    "acknowledgement": Acknowledgement,
    "council": Council,
    "directory_entry": DirectoryEntry,
    "envelope": Envelope,
    "envelope_status": EnvelopeStatus,
    "exchange_entry": ExchangeEntry,
    "given_back": GivenBack,
    "header": Header,
    "hub_description": HubDescription,
    "inbox_page": InboxPage,
    "invitation": Invitation,
    "lost_entries": LostEntries,
    "member": MemberFile,
    "opening": Opening,
    "openings_page": OpeningsPage,
    "publication": Publication,
    "published": Published,
    "purge_orders": PurgeOrders,
    "receipt": Receipt,
    "release": Release,
    "sealed_part": SealedPart,
    "sealing_key": SealingKey,
    "sealing_key_statements": SealingKeyStatements,
    "statement": Statement,
}
"""Name → model: every message of the protocol; the bulletin's kinds come from their own table."""

_PROBLEM: Final[dict[str, Any]] = {
    "description": "An answer that says what went wrong (RFC 9457); further members depend on `type`.",
    "type": "object",
    "properties": {
        "type": {"enum": [problem.uri for problem in PROBLEMS.values()]},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "advice": {"type": "string", "description": "What to do next."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("path", "rule", "value")},
                "required": ["path", "rule", "value"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "advice"],
}


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, as strict as the loader: an optional member is absent, never null."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        result = super().default_schema(schema)
        if "default" in result and result["default"] is None:
            del result["default"]
            choices = [choice for choice in result.pop("anyOf") if choice != {"type": "null"}]
            result |= choices[0] if len(choices) == 1 else {"anyOf": choices}
        return result

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        result = super().dict_schema(schema)
        if "patternProperties" in result:
            result["additionalProperties"] = False
        return result

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        result = super().tagged_union_schema(schema)
        # OpenAPI's keyword, unknown to JSON Schema.
        result.pop("discriminator", None)
        return result

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def schemas() -> dict[str, dict[str, Any]]:
    """Build every published schema: file name → JSON Schema."""
    built = {
        f"{kind.value}.v{BULLETIN_VERSION}.json": _schema_of(model) for kind, model in KINDS.items()
    }
    built |= {
        f"{name}.v{PROTOCOL_VERSION}.json": _schema_of(model) for name, model in MESSAGES.items()
    }
    built[f"problem.v{PROTOCOL_VERSION}.json"] = _PROBLEM
    return {name: _headed(name, built[name]) for name in sorted(built)}


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True, schema_generator=_Generator)


def _headed(file_name: str, schema: dict[str, Any]) -> dict[str, Any]:
    name, version, _ = file_name.split(".")
    head = {
        "$schema": DIALECT,
        "$id": ID_PREFIX + file_name,
        "$comment": _COMMENT,
        "title": f"Barid {name.replace('_', ' ')}, version {version.removeprefix('v')}",
        "description": schema["description"],
    }
    return head | {key: value for key, value in schema.items() if key not in head}


def rendered() -> dict[str, str]:
    """Write every published schema as text: file name → indented JSON with a newline at its end."""
    return {
        name: json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
        for name, schema in schemas().items()
    }


def differing(directory: Path = DIRECTORY) -> list[str]:
    """Name the files that are missing, stale or left over in a directory."""
    wanted = rendered()
    present = {path.name: path.read_text(encoding="utf-8") for path in directory.glob("*.json")}
    return sorted(name for name in wanted | present if wanted.get(name) != present.get(name))


def main(arguments: Sequence[str] | None = None, directory: Path = DIRECTORY) -> int:
    """Write the files, or with `--check` say which differ; 1 where any does."""
    parser = argparse.ArgumentParser(prog="python -m schemas.publish", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a file differs")
    if parser.parse_args(arguments).check:
        stale = differing(directory)
        for name in stale:
            sys.stderr.write(f"{directory.name}/{name} differs: run python -m schemas.publish\n")
        return 1 if stale else 0
    directory.mkdir(exist_ok=True)
    wanted = rendered()
    for path in directory.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (directory / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
