"""What the governors' commands read: governors' keys, members' requests, and the edited draft.

May import `keys` and `broker.policy`, within functions; `broker.cli.trust` calls it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from broker.cli.directories import read_file
from broker.cli.options import utc_now
from broker.cli.output import say
from broker.cli.witnessing import key_id
from schemas.directory import Council, HubDescription, Witnesses, WitnessKeyFile
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, load_json, parse, to_plain
from schemas.scalars import MEMBER_PATTERN

if TYPE_CHECKING:
    from keys.ceremony import MemberRequest
    from keys.proposals import Governors
    from keys.repository import CouncilFiles

COUNCIL, POLICY, SCHEMA, CASES = (
    "council.json",
    "policy.cedar",
    "policy.cedarschema",
    "policy.cases.toml",
)


def shipped(description: HubDescription) -> CouncilFiles:
    """The council, rules and table that Barid ships, for one hub."""
    from broker.policy.rules import default_cases, default_texts
    from keys.default_council import default_council
    from keys.repository import CouncilFiles

    council = default_council(description.exchange, description.hub, description.logs)
    return CouncilFiles(council, *default_texts(), default_cases())


def read_governors(
    files: Iterable[str], threshold: int | None, exchange: str
) -> tuple[Governors, dict[str, str]]:
    """Read `MEMBER=FILE`: the governors' public keys, and which member holds which (keyid → member).

    Raises:
        typer.BadParameter: not of this form, a member twice, or no threshold that can be met.
        ConfigurationError: a file is no trust key of this exchange.
    """
    from keys.proposals import Governors
    from keys.trust_keys import read_trust_key_file

    holders: dict[str, str] = {}
    keys = []
    for text in files:
        member, _, path = text.partition("=")
        if not re.fullmatch(MEMBER_PATTERN, member, re.ASCII) or not Path(path).is_file():
            raise typer.BadParameter(
                f"{text!r} is not MEMBER=FILE with a file that is there", param_hint="--governor"
            )
        if member in holders.values():
            raise typer.BadParameter(
                f"{member} has two governors: each state holds one key", param_hint="--governor"
            )
        name, key = read_trust_key_file(Path(path).read_bytes(), exchange)
        say(f"Governor of {member}: {key.keyid} ({name})")
        keys.append(key)
        holders[key.keyid] = member
    if threshold is None or not 1 <= threshold <= len(keys):
        raise typer.BadParameter(
            f"{threshold} of {len(keys)} governors cannot sign", param_hint="--threshold"
        )
    return Governors(tuple(keys), threshold), holders


def with_witnesses(council: Council, files: Iterable[Path], quorum: int | None) -> Council:
    """Put witnesses into a council, each in place of an earlier one of its member.

    Args:
        council: as it was.
        files: `witness-public.json` of members' nodes.
        quorum: how many must cosign; None for more than half, or for as many as before.

    Raises:
        ConfigurationError: a file is no witness key of this exchange, or they make no quorum.
    """
    before = council.witnesses if isinstance(council.witnesses, Witnesses) else None
    keys = dict(before.keys) if before else {}
    for path in files:
        try:
            read = parse(WitnessKeyFile, read_file(path), TRUST_FILE_BYTES_MAX)
        except ParseError as error:
            raise ConfigurationError(f"{path} is no witness key: {error}") from error
        if read.exchange != council.exchange:
            raise ConfigurationError(f"{path} is of {read.exchange}, not of {council.exchange}")
        say(f"Witness of {read.member}: {read.key.name}, key id {key_id(read.key)}")
        keys[read.member] = read.key
    if not keys:
        return council
    needed = quorum or (before.quorum if before else len(keys) // 2 + 1)
    witnesses = {"quorum": needed, "keys": {m: to_plain(key) for m, key in keys.items()}}
    test = council.test and before is not None
    plain = to_plain(council) | {"witnesses": witnesses, "test": test}
    try:
        return parse(Council, dump_json(plain), TRUST_FILE_BYTES_MAX)
    except ParseError as error:
        raise ConfigurationError(f"these witnesses do not fit: {error}") from error


def with_new_logs(council: Council, path: Path) -> Council:
    """Put the logs that a hub is to begin into a council; its own are closed.

    Args:
        council: as it was.
        path: `new-origins.json`, as `barid hub new-origins` wrote it.

    Raises:
        ConfigurationError: it is none of this exchange, or does not follow the council's logs.
    """
    try:
        read = parse(HubDescription, read_file(path), TRUST_FILE_BYTES_MAX)
    except ParseError as error:
        raise ConfigurationError(
            f"{path} is not what `barid hub new-origins` writes: {error}"
        ) from error
    if read.exchange != council.exchange:
        raise ConfigurationError(f"{path} is of {read.exchange}, not of {council.exchange}")
    if read.logs.previous[:-1] != council.logs.previous or not read.logs.previous:
        raise ConfigurationError(f"{path} does not follow the logs of this council: make it anew")
    return council.model_copy(update={"logs": read.logs})


def read_requests(
    paths: Iterable[Path], versions: dict[str, int] | None = None
) -> list[MemberRequest]:
    """Read members' requests.

    Args:
        versions: member → the version that its file has now.

    Raises:
        ParseError, VerificationError, ConfigurationError: as `read_member_request`, naming the file.
    """
    from keys.ceremony import REQUEST_BYTES_MAX, read_member_request

    found = []
    for path in paths:
        try:
            read = read_member_request(read_file(path, REQUEST_BYTES_MAX), versions)
        except (ParseError, VerificationError) as error:
            raise type(error)(f"{path}: {error}") from error
        read.check_in_time(utc_now())
        found.append(read)
    return found


def read_draft(folder: Path) -> CouncilFiles:
    """Read what `draft` wrote, and somebody edited.

    Raises:
        ConfigurationError: a file is missing, or council.json is not one; names path and rule.
    """
    from keys.repository import CouncilFiles

    missing = [name for name in (COUNCIL, POLICY, SCHEMA) if not (folder / name).is_file()]
    if missing:
        raise ConfigurationError(f"{folder} holds no {missing[0]}: `barid trust draft` writes it")
    try:
        council = parse(
            Council,
            dump_json(load_json(read_file(folder / COUNCIL), TRUST_FILE_BYTES_MAX)),
            TRUST_FILE_BYTES_MAX,
        )
        policy_text = (folder / POLICY).read_text("utf-8")
        schema_text = (folder / SCHEMA).read_text("utf-8")
        cases = (folder / CASES).read_text("utf-8") if (folder / CASES).exists() else ""
    except ParseError as error:
        raise ConfigurationError(f"{folder / COUNCIL} is not right: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"a file in {folder} is not UTF-8") from error
    return CouncilFiles(council, policy_text, schema_text, cases)
