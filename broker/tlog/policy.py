"""Policies (C2SP tlog-policy): which logs are known, which witnesses, and which of them make a quorum.

Pure; may import `schemas` and `broker.tlog`. A policy is all that it takes to verify a receipt without a
network; `barid trust policy` writes the council's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median_low
from typing import Final

from broker.tlog.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint_text
from broker.tlog.cosignature import Ed25519CosignatureVerifier, MlDsa44CosignatureVerifier
from broker.tlog.note import (
    Ed25519NoteVerifier,
    NoteVerifier,
    SignatureType,
    VerifierKey,
    parse_note,
    parse_verifier_key,
)
from schemas.directory import Council, Witnesses
from schemas.errors import ParseError, VerificationError

POLICY_BYTES_MAX: Final = 1024 * 1024
"""Bytes of a policy: a hundred ML-DSA-44 keys take 180 KB."""

NONE: Final = "none"
"""The quorum that is always there."""

_COSIGNATURES: Final = (
    SignatureType.ED25519_COSIGNATURE,
    SignatureType.ML_DSA_44_COSIGNATURE,
)
"""What a witness signs with (C2SP tlog-cosignature)."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SPACE: Final = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Group:
    """So many of these witnesses and groups must have cosigned."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A checkpoint that a policy takes.

    Args:
        witnesses: the policy's names of all those who cosigned it, sorted; a quorum, and maybe more.
        at: UTC: the median time of their cosignatures; None without any.
    """

    checkpoint: Checkpoint
    witnesses: tuple[str, ...]
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Policy:
    """Logs and witnesses by their keys, groups by name, and the name that is the quorum."""

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey]
    groups: Mapping[str, Group]
    quorum: str

    def is_met(self, cosigned: frozenset[str]) -> bool:
        """Whether these witnesses make a quorum."""
        met = set(cosigned)
        # A group names only what stands before it.
        for name, group in self.groups.items():
            if len(met.intersection(group.members)) >= group.threshold:
                met.add(name)
        return self.quorum == NONE or self.quorum in met

    def judge(self, note: str) -> Judged:
        """Verify a checkpoint: a known log signed it, and a quorum of witnesses cosigned it.

        Raises:
            ParseError: it is no checkpoint.
            VerificationError: no known log signed it, a line of a known key is wrong, or there is no quorum.
        """
        parsed = parse_note(note)
        origin = parse_checkpoint_text(parsed.text).origin
        lines = {(line.name, line.key_id) for line in parsed.signatures}
        known = [key for key in self.logs if key.name == origin]
        logs = [key for key in known if (key.name, key.key_id) in lines]
        if not logs:
            raise VerificationError(f"no log of the policy has signed this checkpoint of {origin}")
        verifiers = {name: _verifier(key) for name, key in self.witnesses.items()}
        opened = open_checkpoint(
            note, origin, [_verifier(key) for key in logs], tuple(verifiers.values())
        )
        times = {each.key: each.at for each in opened.signatures if each.at is not None}
        cosigned = {
            name: times[key] for name, key in self.witnesses.items() if times.get(key) is not None
        }
        if not self.is_met(frozenset(cosigned)):
            raise VerificationError(
                f"no quorum: of the policy's witnesses, {', '.join(sorted(cosigned)) or 'none'} cosigned it"
            )
        at = datetime.fromtimestamp(median_low(cosigned.values()), UTC) if cosigned else None
        return Judged(opened.checkpoint, tuple(sorted(cosigned)), at)


def _verifier(key: VerifierKey) -> NoteVerifier:
    if key.type is SignatureType.ML_DSA_44_COSIGNATURE:
        return MlDsa44CosignatureVerifier(key.name, key.public)
    if key.type is SignatureType.ED25519_COSIGNATURE:
        return Ed25519CosignatureVerifier(key.name, key.public)
    return Ed25519NoteVerifier(key.name, key.public)


def policy_text(council: Council, comment: str) -> str:
    """Write the policy of a council: both logs with both keys, its witnesses by member, its quorum.

    Args:
        council: in force.
        comment: a line for people.
    """
    lines = [f"# {comment}"]
    for log in (council.logs.directory, council.logs.exchange):
        for type_, public in (
            (SignatureType.ED25519, log.ed25519),
            (SignatureType.ML_DSA_44_COSIGNATURE, log.ml_dsa_44),
        ):
            lines.append(f"log {VerifierKey(log.origin, type_, public).render()}")
    witnesses = council.witnesses
    if not isinstance(witnesses, Witnesses):
        return "\n".join([*lines, f"quorum {NONE}", ""])
    for member, key in sorted(witnesses.keys.items()):
        vkey = VerifierKey(key.name, SignatureType.ML_DSA_44_COSIGNATURE, key.ml_dsa_44)
        lines.append(f"witness {member} {vkey.render()}")
    members = " ".join(sorted(witnesses.keys))
    return "\n".join([*lines, f"group members {witnesses.quorum} {members}", "quorum members", ""])


def parse_policy(text: str) -> Policy:
    """Read a policy.

    Raises:
        ParseError: a line that is none, a name or key that is there twice or not at all, no quorum, or two.
    """
    if len(text.encode(errors="surrogatepass")) > POLICY_BYTES_MAX:
        raise ParseError(f"a policy has at most {POLICY_BYTES_MAX} bytes")
    if _CONTROL.search(text) or not text.endswith("\n"):
        raise ParseError(
            "a policy is lines that end with a newline, without control characters but tabs"
        )
    reading = _Reading()
    for number, line in enumerate(text.split("\n"), start=1):
        words = [word for word in _SPACE.split(line) if word]
        if words and not words[0].startswith("#"):
            try:
                reading.read(*words)
            except ParseError as error:
                raise ParseError(f"line {number} of the policy: {error}") from error
    if reading.quorum is None:
        raise ParseError("the policy has no quorum")
    return Policy(tuple(reading.logs), reading.witnesses, reading.groups, reading.quorum)


class _Reading:
    """A policy, line by line."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, VerifierKey] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        # Each name is a member of one group at most: else one witness would count twice.
        self.grouped: set[str] = set()

    def read(self, kind: str, *words: str) -> None:
        """Take one line."""
        match kind, words:
            case "log", [vkey, *rest] if len(rest) <= 1:
                self.logs.append(self._new_key(vkey, [key.public for key in self.logs]))
            case "witness", [name, vkey, *rest] if len(rest) <= 1:
                present = [key.public for key in self.witnesses.values()]
                key = self._new_key(vkey, present)
                if key.type not in _COSIGNATURES:
                    raise ParseError(f"the key of witness {name} is of a type that says no time")
                self.witnesses[self._new_name(name)] = key
            case "group", [name, threshold, first, *more]:
                members = (first, *more)
                for member in members:
                    self._known(member)
                    if member in self.grouped:
                        raise ParseError(f"{member} is a member already")
                    self.grouped.add(member)
                count = _threshold(threshold, len(members))
                self.groups[self._new_name(name)] = Group(count, members)
            case "quorum", [name]:
                if self.quorum is not None:
                    raise ParseError("there is one quorum")
                if name != NONE:
                    self._known(name)
                self.quorum = name
            case _:
                raise ParseError(f"it is no line of a policy: {kind}")

    def _new_name(self, name: str) -> str:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise ParseError(f"the name {name} is taken")
        return name

    def _known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise ParseError(f"no witness or group before it is called {name}")

    @staticmethod
    def _new_key(vkey: str, present: list[bytes]) -> VerifierKey:
        key = parse_verifier_key(vkey)
        if key.public in present:
            raise ParseError("this key is there already")
        return key


def _threshold(word: str, count: int) -> int:
    if word in {"any", "all"}:
        return 1 if word == "any" else count
    if not re.fullmatch(r"[1-9][0-9]{0,5}", word) or int(word) > count:
        raise ParseError(f"{word} of {count} is no threshold")
    return int(word)
