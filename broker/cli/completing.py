"""Completion in the shell: desks, groups and own bulletins, asked of the node while a person types.

May import `node_client`; options name these functions. Whatever goes wrong, nothing is offered: a shell
has no place for an error.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import typer

from broker.cli.node_client import ANSWER_BYTES_MAX, NodeClient
from schemas.errors import BaridError
from schemas.loader import load_json

_TIMEOUT_SECONDS: Final = 2.0
"""Who presses the key waits no longer than this."""


def complete_desks(ctx: typer.Context) -> list[str]:
    """Desks of the directory; typer keeps those that begin as what was typed."""
    return [each["desk"] for each in _ask(ctx, "/directory").get("desks", ())]


def complete_groups(ctx: typer.Context) -> list[str]:
    """Groups of the council."""
    return [each["group"] for each in _ask(ctx, "/directory").get("groups", ())]


def complete_sent(ctx: typer.Context) -> list[str]:
    """Ids of own bulletins, the newest first."""
    desk = _given(ctx, "desk", "BARID_DESK")
    listed = _ask(ctx, f"/desks/{desk}/bulletins") if desk else {}
    return [each["id"] for each in listed.get("bulletins", ())]


def _ask(ctx: typer.Context, path: str) -> dict[str, Any]:
    """What the node answers to the options typed so far, or nothing."""
    node, token = _given(ctx, "node", "BARID_NODE"), _given(ctx, "token_file", "BARID_TOKEN_FILE")
    trust = _given(ctx, "ca", "BARID_CA")
    if not node or not token:
        return {}
    client = NodeClient(node, Path(token), Path(trust) if trust else None, _TIMEOUT_SECONDS)
    try:
        answer = load_json(client.get(path), ANSWER_BYTES_MAX)
    except (BaridError, OSError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _given(ctx: typer.Context, name: str, variable: str) -> str:
    """An option as it was typed, else from its variable."""
    return str(ctx.params.get(name) or os.environ.get(variable, ""))
