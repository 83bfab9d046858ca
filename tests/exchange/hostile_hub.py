"""Lies on the line between real nodes and a real hub: what is dropped, altered, swapped, repeated, invented.

Whether the hub tells them or somebody before it makes no difference to a node. May import the histories;
`test_hostile_hub` plays each.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from schemas.errors import Problem
from schemas.problems import MEDIA_TYPE, to_document
from tests.exchange.histories import Forward, Lie

Edit = Callable[[Any], Any]

INBOX: Final = "/v1/desks/tn/main/inbox"
STATUS: Final = "/status"
SUBMIT: Final = "/v1/envelopes"
ANSWER: Final = "/v1/acknowledgements"
OPENINGS: Final = "/v1/log/exchange/openings"

SENDER, RECIPIENT = "ly", "tn"


@dataclass(frozen=True)
class Told:
    """A lie, and what must come of it.

    Args:
        name: of the case.
        lie: as it is told.
        noticed_by: the member whose node must raise an alarm; empty where nothing is lost by the lie.
        alarm: its kind.
        word: what its text holds.
        hours: that pass before somebody must notice.
    """

    name: str
    lie: Lie
    noticed_by: str = ""
    alarm: str = ""
    word: str = ""
    hours: int = 0


def _is(request: httpx.Request, method: str, path: str) -> bool:
    return request.method == method and (
        request.url.path == path or (path == STATUS and request.url.path.endswith(STATUS))
    )


def edited(method: str, path: str, edit: Edit) -> Lie:
    """The answer's JSON is another."""

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        answer = await forward(request)
        await answer.aread()
        if not (_is(request, method, path) and answer.is_success):
            return answer
        headers = {"content-type": "application/json"}
        changed = json.dumps(edit(json.loads(answer.content))).encode()
        return httpx.Response(answer.status_code, content=changed, headers=headers)

    return lie


def items(edit: Edit) -> Lie:
    """The inbox lists other items; those of an empty page stay as they are."""

    def change(page: Any) -> Any:
        return page | {"items": edit(page["items"])} if page["items"] else page

    return edited("GET", INBOX, change)


def first(edit: Edit) -> Lie:
    """The first item of the inbox is another."""
    return items(lambda listed: [edit(listed[0]), *listed[1:]])


def swallowed(method: str, path: str, answer: Callable[[], httpx.Response]) -> Lie:
    """The call never reaches the hub; something answers for it."""

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        return answer() if _is(request, method, path) else await forward(request)

    return lie


def refused(word: str, **extensions: Any) -> httpx.Response:
    """A problem document that the hub did not mean."""
    problem = Problem(word, **extensions)
    headers = {"content-type": MEDIA_TYPE}
    content = json.dumps(to_document(problem)).encode()
    return httpx.Response(problem.type.status, content=content, headers=headers)


def nothing() -> httpx.Response:
    """No answer at all."""
    raise httpx.ReadTimeout("silence")


def twice(method: str, path: str) -> Lie:
    """The call reaches the hub twice; the second answer comes back."""

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        if _is(request, method, path):
            await (await forward(request)).aread()
        return await forward(request)

    return lie


def unheard(method: str, path: str, times: int = 2) -> Lie:
    """The hub does its work, and its answer is lost so many times."""
    left = times

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        nonlocal left
        answer = await forward(request)
        if _is(request, method, path) and left > 0:
            left -= 1
            raise httpx.ReadError("lost")
        return answer

    return lie


def replayed(method: str, path: str) -> Lie:
    """Once the hub has answered, the same answer comes for ever."""
    kept: list[tuple[int, bytes, str]] = []

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        if not _is(request, method, path):
            return await forward(request)
        if not kept:
            answer = await forward(request)
            kept.append((answer.status_code, await answer.aread(), answer.headers["content-type"]))
        status, content, kind = kept[0]
        return httpx.Response(status, content=content, headers={"content-type": kind})

    return lie


def flip(text: str) -> str:
    """Base64 with one bit of its first byte changed."""
    return ("B" if text[0] != "B" else "C") + text[1:]


def at(path: str, change: Callable[[Any], Any]) -> Edit:
    """What stands at a path (`receipt.index`) is another."""

    def edit(whole: Any) -> Any:
        place = whole
        *steps, last = path.split(".")
        for step in steps:
            place = place[int(step)] if isinstance(place, list) else place[step]
        key = int(last) if isinstance(place, list) else last
        place[key] = change(place[key])
        return whole

    return edit


def _swapped(name: str) -> Edit:
    """The first two items have each other's member."""

    def edit(listed: Any) -> Any:
        one, two, *others = listed
        return [one | {name: two[name]}, two | {name: one[name]}, *others]

    return edit


def _buried(page: Any) -> Any:
    """What waits is said to have expired; no entry says so."""
    tombs = [
        {"statement": i["statement"], "receipt": i["receipt"], "expired": i["receipt"]}
        for i in page["items"]
    ]
    return {"items": [], "tombstones": tombs}


def _busy() -> httpx.Response:
    return refused("busy")


def _forbidden() -> httpx.Response:
    return refused("access-denied", desk="tn/main", policies=["no-permit"])


def _none_opened(page: Any) -> Any:
    return page | {"openings": []}


def _no_answers(status: Any) -> Any:
    return status | {"recipients": [r | {"acknowledgements": []} for r in status["recipients"]]}


def _each_answer(edit: Edit) -> Edit:
    def change(status: Any) -> Any:
        for recipient in status["recipients"]:
            recipient["acknowledgements"] = [edit(a) for a in recipient["acknowledgements"]]
        return status

    return change


def _rewritten(payload: str) -> str:
    said = json.loads(base64.b64decode(payload)) | {"result": "rejected", "reason": "not-released"}
    return base64.b64encode(json.dumps(said).encode()).decode()


def _hub_fault(name: str, lie: Lie, word: str) -> Told:
    return Told(name, lie, RECIPIENT, "hub-fault", word)


def _late(name: str, lie: Lie, alarm: str = "unanswered") -> Told:
    """Nothing false is said, and nothing comes: the sender misses it by its deadline."""
    return Told(name, lie, SENDER, alarm, hours=25)


def _submit_fault(name: str, edit: Edit, word: str) -> Told:
    return Told(name, edited("POST", SUBMIT, edit), SENDER, "hub-fault", word)


def _status_fault(name: str, edit: Edit, word: str) -> Told:
    return Told(name, edited("GET", STATUS, _each_answer(edit)), SENDER, "hub-fault", word)


INBOX_LIES: Final = (
    Told("an envelope is kept back", items(lambda listed: listed[1:]), RECIPIENT, "gap"),
    _late("the newest envelopes are kept back", items(lambda _l: [])),
    Told("another order", items(lambda listed: listed[::-1])),
    Told("everything twice", items(lambda listed: listed * 2)),
    _late("the same page for ever", replayed("GET", INBOX)),
    Told("marked as withdrawn", first(lambda item: item | {"withdrawn": True})),
    _hub_fault("said to have expired", edited("GET", INBOX, _buried), "entry-invalid"),
    _hub_fault("a bit of the slot", first(at("slot", flip)), "slot-hash"),
    _hub_fault("a bit of the body", first(at("body", flip)), "body-hash"),
    _hub_fault("the body cut", first(at("body", lambda body: body[:-4])), "body-hash"),
    _hub_fault("a bit of the signature", first(at("statement.signatures.0.sig", flip)), "entry-invalid"),
    _hub_fault("a bit of the entry", first(at("receipt.entry", flip)), "entry-invalid"),
    _hub_fault("another salt", first(at("receipt.salt", flip)), "inclusion"),
    _hub_fault("another index", first(at("receipt.index", lambda index: index + 1)), "inclusion"),
    _hub_fault("another place", first(at("receipt.places.0.n", lambda n: n + 1)), "place"),
    _hub_fault("no place", first(at("receipt.places", lambda _p: [])), "place"),
    _hub_fault("the slot of another envelope", items(_swapped("slot")), "slot-hash"),
    _hub_fault("the body of another envelope", items(_swapped("body")), "body-hash"),
    _hub_fault("the receipt of another envelope", items(_swapped("receipt")), "entry-invalid"),
    _hub_fault("another header", items(_swapped("statement")), "entry-invalid"),
)  # fmt: skip
"""Told to the recipient."""

SUBMIT_LIES: Final = (
    _late("no line for submissions", swallowed("POST", SUBMIT, nothing), "not-accepted"),
    _late("busy for ever", swallowed("POST", SUBMIT, _busy), "not-accepted"),
    _late("refused without proof", swallowed("POST", SUBMIT, _forbidden), "not-accepted"),
    Told("receipts are lost", unheard("POST", SUBMIT)),
    Told("submitted twice", twice("POST", SUBMIT)),
    Told("another's receipt", replayed("POST", SUBMIT), SENDER, "hub-fault", "entry-invalid"),
    _submit_fault("a receipt with another salt", at("salt", flip), "inclusion"),
    _submit_fault("a receipt with another place", at("places.0.n", lambda n: n + 1), "place"),
    _submit_fault("a receipt without places", at("places", lambda _p: []), "place"),
)
"""Told to the sender when it submits."""

STATUS_LIES: Final = (
    _late("answers are kept back", edited("GET", STATUS, _no_answers)),
    Told("answers are kept out of sight", edited("GET", OPENINGS, _none_opened)),
    # Its one acknowledgement names all of them, so that it answers for all.
    Told("one status for all", replayed("GET", STATUS)),
    _status_fault("rejected for delivered", at("statement.payload", _rewritten), "entry-invalid"),
    _status_fault("a bit of a signature", at("statement.signatures.0.sig", flip), "entry-invalid"),
    _status_fault("an answer with another salt", at("receipt.salt", flip), "inclusion"),
)
"""Told to the sender about its recipients."""

ANSWER_LIES: Final = (
    _late("no line for answers", swallowed("POST", ANSWER, nothing)),
    Told("answers' receipts are lost", unheard("POST", ANSWER)),
    Told("answered twice", twice("POST", ANSWER)),
    _hub_fault("its receipt has another salt", edited("POST", ANSWER, at("salt", flip)), "inclusion"),
)  # fmt: skip
"""Told to the recipient when it answers."""

LIES: Final = (*INBOX_LIES, *SUBMIT_LIES, *STATUS_LIES, *ANSWER_LIES)
