"""What vouches for the logs that this node follows: noted after each look, for freshness and own bulletins.

May import `keys`, `broker.tlog` and the node's own rooms; `sync` calls it.
"""

from __future__ import annotations

from broker.db import writing
from broker.node.clock import Clock
from broker.node.dating import note_quorum
from broker.node.freshness import SOURCE_OF, freshness_of, note_timestamp, note_vouched
from broker.node.home import Home
from broker.node.line import Line
from broker.node.outbox.witnessed import note_witnessed
from broker.tlog.quorum import Witnessed
from keys.timestamps import TimestampCheck


class Vouching:
    """Notes the hub's timestamp and the witnesses' quorums, each once.

    Args:
        home: the node's home.
        line: to the hub, whose logs it follows.
        clock: the node's own.
    """

    def __init__(self, home: Home, line: Line, clock: Clock) -> None:
        self._home = home
        self._line = line
        self._clock = clock
        self._noted: tuple[TimestampCheck | None, dict[str, Witnessed]] = (None, {})

    def note(self) -> bool:
        """Note what the last look found. Returns whether the outbox, which was held, may send again."""
        follower = self._line.follower
        check, witnessed = found = (follower.timestamp, dict(follower.witnessed))
        directory, now = self._line.state.directory, self._clock()
        if found == self._noted or directory is None:
            return False
        with writing(self._home.engine) as connection:
            was_held = freshness_of(connection, directory, now).over_grace
            if check is not None:
                note_timestamp(connection, check)
            for log, quorum in witnessed.items():
                note_vouched(connection, SOURCE_OF[log], quorum.at)
                if quorum != self._noted[1].get(log):
                    generation = follower.generation if log == "directory" else None
                    note_quorum(connection, quorum, generation, now)
            is_held = freshness_of(connection, directory, now).over_grace
        if "exchange" in witnessed:
            note_witnessed(self._home, witnessed["exchange"])
        self._noted = found
        return was_held and not is_held
