"""What the nodes tell their agencies during the demonstration, asked again until it is there.

May import `broker.cli`; `story` watches through it. The visible steps are commands; this is only the waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from broker.cli.demo.bulletins import Story
from broker.cli.demo.world import World
from broker.cli.node_client import ANSWER_BYTES_MAX, NodeClient
from schemas.errors import BaridError
from schemas.loader import load_json

PATIENCE_SECONDS: Final = 60.0
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

    def wait_for_answers(
        self, desk: str, bulletin_id: str, expected: Mapping[str, str]
    ) -> dict[str, str]:
        """Wait until recipients have answered with these states, each proved from the log.

        Args:
            desk: the sender.
            bulletin_id: of its bulletin.
            expected: recipient → state.

        Returns:
            recipient → the reason of its answer, or nothing.

        Raises:
            DemoFailure: the answers did not come.
        """

        def look() -> dict[str, str] | None:
            last = {each["desk"]: each["steps"][-1] for each in self._recipients(desk, bulletin_id)}
            proven = {to: step for to, step in last.items() if "proof" in step}
            states = {to: proven[to]["state"] for to in expected if to in proven}
            if states != expected:
                return None
            return {to: proven[to].get("reason", "") for to in expected}

        what = ", ".join(f"the answer `{state}` of {to}" for to, state in expected.items())
        return self.world.processes.wait_until(what, look, PATIENCE_SECONDS)

    def wait_for_state(self, desk: str, bulletin_id: str, recipient: str, state: str) -> None:
        """Wait until a sender's node shows one recipient in a state. Raises DemoFailure."""

        def look() -> bool | None:
            found = self._recipients(desk, bulletin_id)
            return True if (recipient, state) in {(r["desk"], r["state"]) for r in found} else None

        what = f"bulletin {bulletin_id} is {state} for {recipient}"
        self.world.processes.wait_until(what, look, PATIENCE_SECONDS)

    def wait_for_entry(self, desk: str, bulletin_id: str) -> int:
        """Wait until the hub accepted a bulletin; gives the index of its entry. Raises DemoFailure."""

        def look() -> int | None:
            sent = self._get(desk, f"/desks/{desk}/bulletins/{bulletin_id}") or {"envelopes": []}
            found = [each["receipt"]["index"] for each in sent["envelopes"] if "receipt" in each]
            return min(found, default=None)

        what = f"a receipt for bulletin {bulletin_id}"
        return self.world.processes.wait_until(what, look, PATIENCE_SECONDS)

    def wait_for_alarm(self, desk: str, kind: str, about: str) -> None:
        """Wait until a node raises an alarm of a kind whose subject names something. Raises DemoFailure."""

        def look() -> bool | None:
            alarms = (self._get(desk, "/alarms") or {"alarms": []})["alarms"]
            found = [each for each in alarms if each["kind"] == kind and about in each["subject"]]
            return True if found else None

        what = f"the alarm `{kind}` at {desk}"
        self.world.processes.wait_until(what, look, PATIENCE_SECONDS)

    def send_all(self, desk: str, to: Sequence[str], stories: Iterable[Story]) -> None:
        """Hand in bulletins one after the other, as fast as the node takes them."""
        client = self._client(desk)
        for story in stories:
            query = [("to", each) for each in to]
            client.post(f"/desks/{desk}/bulletins", query, story.document)

    def _recipients(self, desk: str, bulletin_id: str) -> list[dict[str, Any]]:
        sent = self._get(desk, f"/desks/{desk}/bulletins/{bulletin_id}") or {"recipients": []}
        found: list[dict[str, Any]] = sent["recipients"]
        return found

    def _client(self, desk: str) -> NodeClient:
        world = self.world
        return NodeClient(world.url(desk), world.token(desk), world.certificate(desk))

    def _get(self, desk: str, path: str) -> Any:
        """An answer of a desk's node, or None while it does not give one."""
        try:
            return load_json(self._client(desk).get(path), ANSWER_BYTES_MAX, nullable=_NULLABLE)
        except BaridError:
            return None
