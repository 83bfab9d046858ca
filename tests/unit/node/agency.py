"""An agency that calls the node of tn, with its tokens, the routes and what it reads of an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

import httpx
from fastapi import FastAPI

from broker.db import writing
from broker.node.api.tokens import Action, create_token
from broker.node.app import wire
from broker.node.home import Home
from broker.node.inbox.fetching import Fetcher
from broker.node.pacing import Pace
from broker.node.sending import Sender
from schemas.problems import MEDIA_TYPE, from_document
from tests.unit.node.world import NodeWorld, PaperClient, document, new_id

SENT = "/v1/desks/tn/main/bulletins"
INBOX = "/v1/desks/tn/main/inbox"
RELEASES = "/v1/desks/tn/main/releases"
BULLETIN = new_id()

ROUTES = [
    ("POST", f"{SENT}?to=ly/main", "send"),
    ("POST", f"{SENT}/check?to=ly/main", "send"),
    ("GET", SENT, "send"),
    ("GET", f"{SENT}/{BULLETIN}", "send"),
    ("GET", f"{SENT}/{BULLETIN}/document", "send"),
    ("GET", f"{SENT}/{BULLETIN}/receipts", "send"),
    ("GET", f"{SENT}/{BULLETIN}/bundle", "send"),
    ("POST", f"{SENT}/{BULLETIN}/resend?to=ly/main", "send"),
    ("POST", f"{SENT}/{BULLETIN}/confirm?by=Salma", "send"),
    ("PUT", f"{SENT}/{BULLETIN}/attachments/{BULLETIN}?size=1&sha256={'0' * 64}", "send"),
    ("HEAD", f"{SENT}/{BULLETIN}/attachments/{BULLETIN}?size=1&sha256={'0' * 64}", "send"),
    ("GET", INBOX, "read"),
    ("GET", f"{INBOX}/ly/main/{BULLETIN}/attachments/{BULLETIN}", "read"),
    ("GET", f"{INBOX}/ly/main/{BULLETIN}", "read"),
    ("POST", f"{INBOX}/ly/main/{BULLETIN}/export", "read"),
    ("GET", f"{INBOX}/ly/main/{BULLETIN}/receipts", "read"),
    ("GET", f"{INBOX}/ly/main/{BULLETIN}/bundle", "read"),
    ("GET", f"/v1/desks/tn/main/thread/ly/main/{BULLETIN}", "read"),
    ("GET", RELEASES, "release"),
    ("GET", f"{RELEASES}/{BULLETIN}", "release"),
    ("POST", f"{RELEASES}/{BULLETIN}", "release"),
    ("GET", f"{RELEASES}/{BULLETIN}/attachments/{BULLETIN}", "release"),
    ("GET", "/v1/directory", None),
    ("GET", "/v1/status", None),
    ("GET", "/v1/alarms", None),
    ("POST", "/v1/alarms/gap/acknowledge", "alarms"),
    ("POST", "/v1/alarms/test", "alarms"),
]


class Agency:
    """Calls the node of tn as an agency does, and lets its work with the hub run pass by pass."""

    def __init__(self, world: NodeWorld, home: Home) -> None:
        self.world = world
        self.home = home
        self.line, self.hub = world.line(home)
        self.app: FastAPI = wire(home, self.line, lambda: world.now, Pace())
        self.tokens = {
            "both": self.token("tn/main", Action.SEND, Action.READ),
            "send": self.token("tn/main", Action.SEND),
            "read": self.token("tn/main", Action.READ),
            "alarms": self.token("tn/main", Action.ALARMS),
            "release": self.token("tn/main", Action.RELEASE),
            "judicial": self.token("tn/judicial", Action.SEND, Action.READ),
        }

    def token(self, desk: str, *actions: Action) -> str:
        """A token's text."""
        with writing(self.home.engine) as connection:
            return create_token(connection, desk, actions, "test", self.world.now)[1]

    def call(
        self,
        method: str,
        url: str,
        who: str | None = "both",
        body: bytes | None = None,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> httpx.Response:
        """One request, with more headers."""
        text = self.tokens.get(who or "", who)
        headers = {**more} if text is None else {**more, "Authorization": f"Bearer {text}"}

        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="https://node") as client:
                return await client.request(method, url, content=body, headers=headers)

        return asyncio.run(request())

    def exchange(self) -> PaperClient:
        """One pass of the outbox, the inbox and the answers of tn/main."""
        clock = lambda: self.world.now  # noqa: E731
        sender = Sender(self.home, self.line, "tn/main", clock)
        fetcher = Fetcher(self.home, self.line, "tn/main", clock)

        async def run() -> None:
            await sender.send()
            await sender.ask()
            await fetcher.fetch(0, lambda: None)
            await sender.answer()

        asyncio.run(run())
        return self.hub


def word(answer: httpx.Response) -> str:
    """The problem of an answer."""
    assert answer.headers["content-type"] == MEDIA_TYPE
    return from_document(answer.content).word


def received(agency: Agency) -> tuple[str, bytes]:
    """A bulletin that arrived from ly/main: its id and exact bytes."""
    content = document("ly/main", text={"en": "a secret route"})
    outgoing = agency.world.outgoing("ly/main", content)
    agency.world.accept(agency.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    agency.exchange()
    return outgoing.bulletin_id, content
