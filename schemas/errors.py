"""Every error that Barid raises on purpose, and every problem type that travels.

`PROBLEMS` is the one table of causes: the hub and the node answer with them (RFC 9457), acknowledgements
and refused entries carry their bare words. May import nothing of Barid; everybody raises from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

TYPE_PREFIX: Final = "https://barid.invalid/problems/"
"""Problem types are identifiers, not addresses: `.invalid` never resolves (RFC 6761)."""


class Fault(StrEnum):
    """Who answers for a problem, as the protocol divides them."""

    CALLER = "caller"
    """The party that made the request or wrote the statement."""
    HUB = "hub"
    """The hub: fetch again, raise an alarm, never acknowledge."""
    SENDER = "sender"
    """The sender, provably: the recipient rejects with this reason."""
    NOBODY = "nobody"
    """Nobody can be blamed."""


class Finality(StrEnum):
    """What trying again is worth."""

    RETRYABLE = "retryable"
    """Nothing was logged; the same submission may pass later or after the advice was followed."""
    FINAL = "final"
    """Logged as `envelope.refused` when an authenticated sender's envelope meets it."""
    UNLOGGED = "unlogged"
    """Trying again is of no use, and nothing was logged."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One stable cause: its word, HTTP status, title, whose fault, whether to retry, what to do."""

    word: str
    status: int
    title: str
    advice: str
    finality: Finality = Finality.UNLOGGED
    fault: Fault = Fault.CALLER

    @property
    def uri(self) -> str:
        """The `type` member of RFC 9457."""
        return TYPE_PREFIX + self.word


_R, _F, _U = Finality.RETRYABLE, Finality.FINAL, Finality.UNLOGGED

_TABLE: Final[tuple[ProblemType, ...]] = (
    # Reading a request.
    ProblemType("malformed-json", 400, "The body is not strict JSON", "Send UTF-8 JSON without double names, floats or trailing bytes."),
    ProblemType("schema-violation", 422, "The body breaks its schema", "Correct the members named in `errors`."),
    ProblemType("too-large", 413, "The body is over its limit", "Send less; the limit is named in the detail."),
    ProblemType("content-digest", 400, "The body does not match its Content-Digest", "Make the digest of the exact bytes that are sent, and sign it.", _R),
    ProblemType("bad-parameter", 400, "A path or query parameter is wrong", "Correct the parameter named in the detail."),
    ProblemType("not-found", 404, "There is no such resource", "Check the id or address that you named; what does not concern you is not shown."),
    ProblemType("method-not-allowed", 405, "This resource does not offer that method", "See the methods in `Allow`."),
    ProblemType("internal", 500, "The server failed", "Nothing was accepted; try again, and tell the operator.", _R, Fault.HUB),
    ProblemType("disk-full", 507, "The server's disk has no room", "Nothing was lost; tell the operator, and go on once there is room.", _R, Fault.HUB),
    ProblemType("busy", 503, "The server has more work than it can queue", "Wait for `Retry-After` seconds and send again.", _R, Fault.HUB),
    ProblemType("hub-halted", 503, "The hub signs nothing", "The operator must restore the log first.", _R, Fault.HUB),
    # Who is calling the hub (RFC 9421).
    ProblemType("signature-missing", 401, "The request is not signed", "Sign it with the desk's request key (RFC 9421, label barid)."),
    ProblemType("signature-components", 401, "The request does not sign exactly the agreed components", "Sign @method, @authority, @path, @query, then content-digest with a body, and upload-offset where it is sent, in this order."),
    ProblemType("signature-parameters", 401, "The signature's parameters are wrong", "Use exactly created, expires, nonce, keyid and tag, in this order."),
    ProblemType("signature-invalid", 401, "The request's signature does not verify", "Check the request key and the authority that was signed."),
    ProblemType("signature-expired", 401, "The signature's times are not around now", "Compare your clock with `hub_time`.", _R),
    ProblemType("nonce-replayed", 401, "This nonce was used before", "Sign each request anew.", _R),
    ProblemType("unknown-key", 401, "No desk in the directory in force has this request key", "Check that the directory with your desk is in force."),
    ProblemType("not-your-desk", 403, "The caller is not the desk concerned", "Call with the request key of that desk."),
    # Who is calling a node's agency interface.
    ProblemType("token-missing", 401, "The request carries no valid bearer token", "Ask the node's administrator for `barid node token create`."),
    ProblemType("token-scope", 403, "The token does not cover this desk or action", "Use a token whose scope names this desk and action."),
    # An envelope at the hub, and again at its recipient.
    ProblemType("wrong-exchange", 422, "The statement belongs to another exchange", "Send it to the exchange that it names.", _F, Fault.SENDER),
    ProblemType("not-sender", 403, "The caller is not the envelope's `from`", "Submit with the request key of the sending desk."),
    ProblemType("statement-signature", 422, "The statement's signature does not verify", "Sign with the desk's node identity in the directory in force.", fault=Fault.HUB),
    ProblemType("id-taken", 409, "Another envelope has this id", "See the receipt or refusal of the earlier one in `earlier`."),
    ProblemType("log-closed", 409, "This envelope was accepted in a log that the council has closed", "Seal the bulletin as a new envelope for the desks that have not answered.", _R, Fault.NOBODY),
    ProblemType("purged", 410, "The opening of this entry was destroyed under an order of the council", "Nothing of it can be shown; `barid audit verify` tells which order it was.", fault=Fault.NOBODY),
    ProblemType("bulletin-differs", 409, "Another content was sent under this bulletin id", "Give a new bulletin a new id; `earlier` holds the receipts.", _F, Fault.SENDER),
    ProblemType("stale-directory", 409, "The envelope names a directory that is not in force", "Refresh the directory and seal again; `in_force` names it.", _R, Fault.HUB),
    ProblemType("stale-key", 409, "A slot is sealed to a key that is not the desk's highest usable one", "Refresh the sealing keys and seal again.", _R, Fault.HUB),
    ProblemType("created-skew", 409, "`created`, or an acknowledgement's `at`, is more than 24 hours away from now", "Correct the clock, and seal or sign again.", _R, Fault.SENDER),
    ProblemType("lifetime", 422, "`expires` is past, or more than 30 days after `created`", "Seal again with another `expires`.", _F, Fault.SENDER),
    ProblemType("unknown-recipient", 422, "A recipient is not a desk of the directory in force", "Remove the desk named in the detail.", _F, Fault.SENDER),
    ProblemType("slots-differ", 422, "The slots are not exactly those of the recipients", "Seal again.", _R, Fault.HUB),
    ProblemType("slot-hash", 422, "A slot does not match its hash in the header", "Send the sealed bytes again.", _R, Fault.HUB),
    ProblemType("body-hash", 422, "The body does not match its hash or size in the header", "Send the sealed bytes again.", _R, Fault.HUB),
    ProblemType("access-denied", 403, "The access rules forbid this", "See `policies`; `barid bulletin check` asks the rules before sending.", _F, Fault.HUB),
    ProblemType("attachments-missing", 409, "An attachment is not stored here", "Upload those named in `missing`, then send again.", _R, Fault.HUB),
    ProblemType("original-unknown", 422, "The bulletin withdrawn or superseded was not sent by this desk", "Name a bulletin that this desk has sent.", _F, Fault.SENDER),
    ProblemType("original-desks", 422, "A recipient was not sent the bulletin withdrawn or superseded", "Send to recipients of the original only.", _F, Fault.SENDER),
    ProblemType("original-withdrawal", 422, "A withdrawal cannot be withdrawn or superseded", "Send a new bulletin instead.", _F, Fault.SENDER),
    ProblemType("withdrawn", 409, "This desk has withdrawn the bulletin", "Send a new bulletin with a new id."),
    ProblemType("refusal-rate", 429, "Too many envelopes of this desk were refused", "Find out why before sending more; `retry_after` says in how many seconds there is room.", _R),
    # Witnesses.
    ProblemType("cosignature", 409, "This is no cosignature of the caller's witness over the checkpoint that is shown", "Fetch the checkpoint that is shown now, and cosign that.", _R),
    # Attachments.
    ProblemType("upload-offset", 409, "The upload goes on at another offset", "Go on at `offset`.", _R),
    ProblemType("attachment-hash", 422, "The bytes are not those that the attachment's SHA-256 names", "Upload it again from its beginning.", fault=Fault.HUB),
    ProblemType("quota", 413, "The desk's quota of attachments is used up", "Wait until older ones have expired, or send less; `used` and `limit` are in bytes."),
    ProblemType("range", 416, "The range lies outside the attachment", "Ask for one range of bytes within `size`."),
    # What only a recipient can see before the slot opens: the hub's fault.
    ProblemType("entry-invalid", 422, "The log entry is not well-formed or not this envelope's", "Fetch again; tell the auditor.", fault=Fault.HUB),
    ProblemType("inclusion", 422, "The entry is not proved to be in the log", "Fetch again; tell the auditor.", fault=Fault.HUB),
    ProblemType("inconsistent-log", 422, "Two checkpoints of the hub do not belong to one log", "Keep both as evidence; tell the auditor.", fault=Fault.HUB),
    ProblemType("place", 422, "The place given is not the one that was logged", "Fetch again; tell the auditor.", fault=Fault.HUB),
    ProblemType("directory-invalid", 422, "The directory does not verify", "Keep the files as evidence; tell the governors.", fault=Fault.HUB),
    ProblemType("not-addressed", 422, "The envelope is not addressed to this desk", "Fetch again; tell the auditor.", fault=Fault.HUB),
    ProblemType("wrong-policies", 422, "The logged policies are not those that permit this", "Tell the auditor.", fault=Fault.HUB),
    # Between slot and commitment: nobody's fault.
    ProblemType("cannot_open", 422, "The slot does not open with the keys at hand", "The sender's node seals again once by itself.", fault=Fault.NOBODY),
    ProblemType("commitment", 422, "The content key is not the committed one", "The recipient answers `cannot_open`.", fault=Fault.NOBODY),
    # After the commitment held: the sender's fault, provable with the content key.
    ProblemType("body-unreadable", 422, "The body does not open with the committed key", "Ask the sender; keep the evidence.", fault=Fault.SENDER),
    ProblemType("padding", 422, "The padding or a length within the body is wrong", "Ask the sender; keep the evidence.", fault=Fault.SENDER),
    ProblemType("sealed-part", 422, "The sealed part is not well-formed", "Ask the sender; keep the evidence.", fault=Fault.SENDER),
    ProblemType("bulletin-invalid", 422, "The bulletin breaks its schema", "Ask the sender to correct it.", fault=Fault.SENDER),
    ProblemType("bulletin-header", 422, "The bulletin disagrees with its header", "Ask the sender; keep the evidence.", fault=Fault.SENDER),
    ProblemType("content-mismatch", 422, "The bulletin is not the content that the header names", "Ask the sender; keep the evidence.", fault=Fault.SENDER),
    ProblemType("not-released", 422, "The desk demands a release, and there is no valid one", "Ask the sender to have it released.", fault=Fault.SENDER),
    ProblemType("release-differs", 422, "The release is for another bulletin, recipient, precedence or time", "Ask the sender to have it released again.", fault=Fault.SENDER),
    ProblemType("attachment-unreadable", 422, "An attachment does not open, or is not the file that the bulletin names", "Ask the sender; keep the evidence.", fault=Fault.SENDER),
    # Acknowledgements, sealing keys, publishing.
    ProblemType("acknowledgement-items", 422, "Some items cannot be acknowledged", "Sign the others anew; the wrong ones are in `items`, each with its `why`."),
    ProblemType("sealing-key-epoch", 409, "The epoch is not the highest logged plus one", "Sign the next epoch."),
    ProblemType("sealing-key-unusable", 422, "The sealing key is weak, or outside its times", "Make a new sealing key."),
    ProblemType("sealing-key-rate", 429, "One sealing key in 24 hours for each identity", "Wait until the time named in the detail.", _R),
    ProblemType("sealing-key-revokes", 422, "A revocation reaches own keys of lower epochs only", "Name only keys of this desk."),
    ProblemType("publication", 409, "The directory to publish is not the successor of the one in force", "Publish each version in its turn."),
    ProblemType("publication-rate", 429, "This member published too many directories", "Wait for `retry_after` seconds.", _R),
    # What a node asks its people before it sends.
    ProblemType("directory-over-grace", 409, "The directory is older than the council's grace allows", "Flash and immediate leave after a person's confirmation; the rest waits for a fresh directory.", _R, Fault.NOBODY),
)  # fmt: skip

PROBLEMS: Final[dict[str, ProblemType]] = {problem.word: problem for problem in _TABLE}
"""Word → problem type: the whole list of causes."""


class BaridError(Exception):
    """Root of everything that Barid raises on purpose."""


class Problem(BaridError):
    """A refusal with a stable cause: what the hub and the node answer, and what verification raises.

    Args:
        word: one of `PROBLEMS`.
        detail: a sentence about this occurrence, for people; never content or keys.
        extensions: further members of the problem document (RFC 9457 section 3.2), JSON values.
    """

    def __init__(self, word: str, detail: str = "", **extensions: Any) -> None:
        self.type = PROBLEMS[word]
        self.detail = detail or self.type.title
        self.extensions = extensions
        super().__init__(f"{word}: {self.detail}")

    @property
    def word(self) -> str:
        """The bare word that entries and acknowledgements carry."""
        return self.type.word


class ParseError(BaridError):
    """Bytes that are not what they claim to be; `errors` lists JSON path, rule and value."""

    def __init__(self, message: str, errors: tuple[FieldError, ...] = ()) -> None:
        self.errors = errors
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule: the JSON path (`$.places[0].country`), the rule in words, the offending value.

    `code` and `context` are the rule's entry in `schemas.rules` and what fills its words.
    """

    path: str
    rule: str
    value: str
    code: str = ""
    context: Mapping[str, str] = field(default_factory=dict, hash=False)


class VerificationError(BaridError):
    """A signature, proof, hash or sealed text that does not verify. The caller names whose fault it is."""


class ConfigurationError(BaridError):
    """The operator's settings, files or arguments are wrong; the message says what to do next."""


class HubUnreachable(BaridError):
    """The hub did not answer, or answered what no hub would: wait and try again."""
