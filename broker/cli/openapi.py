"""The published OpenAPI documents, written from the routes: `python -m broker.cli.openapi [--check]`.

May import hub and node; developers and CI run it in a clone, other implementations read `docs/openapi/`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from broker.hub.openapi import document as hub_document
from broker.node.app import ROUTERS
from broker.node.openapi import document as node_document

DIRECTORY: Final = Path(__file__).parents[2] / "docs" / "openapi"


def rendered() -> dict[str, str]:
    """Write both documents as text: file name → indented JSON with a newline at its end."""
    node = FastAPI(openapi_url=None)
    for router in ROUTERS:
        node.include_router(router)
    documents = {"hub.json": hub_document(), "node.json": node_document(node.routes)}
    return {
        name: json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        for name, document in documents.items()
    }


def main(arguments: Sequence[str] | None = None, directory: Path = DIRECTORY) -> int:
    """Write the files, or with `--check` say which differ; 1 where any does."""
    parser = argparse.ArgumentParser(prog="python -m broker.cli.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a file differs")
    checks = parser.parse_args(arguments).check
    stale = 0
    for name, text in rendered().items():
        path = directory / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if checks:
            sys.stderr.write(f"{directory.name}/{name} differs: run python -m broker.cli.openapi\n")
            stale = 1
        else:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return stale


if __name__ == "__main__":
    raise SystemExit(main())
