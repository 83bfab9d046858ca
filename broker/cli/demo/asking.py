"""What the nodes tell their agencies during the demonstration, asked again until it is there.

May import `broker.cli`; `story` watches through it. The visible steps are commands; this is only the waiting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from broker.cli.demo.bulletins import Story
from broker.cli.demo.world import World
from broker.cli.node_client import ANSWER_BYTES_MAX, NodeClient
from schemas.errors import BaridError
from schemas.loader import load_json

PATIENCE_SECONDS: Final = 30.0
"""How long something may take that takes a second or two: this machine may be busy."""

_NULLABLE: Final = frozenset({"release"})


@dataclass(frozen=True, slots=True)
class Agencies:
    """The agencies of all desks that have a token in this world."""

    world: World

    def inbox(self, desk: str) -> list[str]:
        """The ids in a desk's inbox."""
        listed = self._get(desk, f"/desks/{desk}/inbox") or {"bulletins": []}
        return [each["id"] for each in listed["bulletins"]]

    def wait_for(self, desk: str, bulletin_id: str) -> None:
        """Wait until a bulletin lies in an inbox. Raises DemoFailure."""
        self.world.processes.wait_until(
            f"bulletin {bulletin_id} in the inbox of {desk}",
            lambda: True if bulletin_id in self.inbox(desk) else None,
            PATIENCE_SECONDS,
        )

    def wait_for_keys(self, desk: str, recipients: set[str]) -> None:
        """Wait until a desk's node has verified the sealing keys of others. Raises DemoFailure."""

        def look() -> bool | None:
            directory = self._get(desk, "/directory") or {"desks": []}
            receiving = {each["desk"] for each in directory["desks"] if each["receives"]}
            return True if recipients <= receiving else None

        what = f"{desk} sees the sealing keys of {', '.join(sorted(recipients))}"
        self.world.processes.wait_until(what, look, PATIENCE_SECONDS)

    def wait_for_readers(self, desk: str, bulletin_id: str, readers: set[str]) -> set[str]:
        """Wait until a sender has proof that these desks have read a bulletin; gives those with proof.

        Raises:
            DemoFailure: the proofs did not come.
        """

        def look() -> set[str] | None:
            sent = self._get(desk, f"/desks/{desk}/bulletins/{bulletin_id}") or {"recipients": []}
            proven = {
                each["desk"]
                for each in sent["recipients"]
                if each["state"] == "read" and "proof" in each["steps"][-1]
            }
            return proven if proven >= readers else None

        what = f"the answer `read` of {' and '.join(sorted(readers))}"
        return self.world.processes.wait_until(what, look, PATIENCE_SECONDS)

    def send_all(self, desk: str, to: str, stories: Iterable[Story]) -> None:
        """Hand in bulletins one after the other, as fast as the node takes them."""
        client = self._client(desk)
        for story in stories:
            client.post(f"/desks/{desk}/bulletins", (("to", to),), story.document)

    def _client(self, desk: str) -> NodeClient:
        world = self.world
        return NodeClient(world.url(desk), world.token(desk), world.certificate(desk))

    def _get(self, desk: str, path: str) -> Any:
        """An answer of a desk's node, or None while it does not give one."""
        try:
            return load_json(self._client(desk).get(path), ANSWER_BYTES_MAX, nullable=_NULLABLE)
        except BaridError:
            return None
