"""What the follower keeps between starts, in the node's encrypted database.

May import `broker.db` and the node's tables; `broker.following` calls it, and verifies again whatever
it reads here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.dialects.sqlite import insert

from broker.db import reading, writing
from broker.node import tables
from schemas.loader import dump_json, parse
from schemas.receipts import Opening

_OPENING_BYTES_MAX: Final = 2 * 1024 * 1024
"""Bytes of one stored opening: an entry and its statement, both in base64."""


def parse_opening(data: bytes) -> Opening:
    """Read an opening as it is kept here."""
    return parse(Opening, data, _OPENING_BYTES_MAX)


class NodeFollowStore:
    """Openings of the directory log, verified checkpoints and trust files.

    Args:
        engine: the node's database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def openings(self) -> Iterable[Opening]:
        """Every stored opening of the directory log, ascending by index."""
        column = tables.follow_opening.c
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(column.opening).order_by(column.generation, column.entry_index)
            ).all()
        return [parse_opening(row.opening) for row in rows]

    def openings_from(self, generation: int, start: int) -> tuple[Opening, ...]:
        """The stored openings of one directory log from an index on."""
        column = tables.follow_opening.c
        query = select(column.opening).where(
            column.generation == generation, column.entry_index >= start
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(column.entry_index)).all()
        return tuple(parse_opening(row.opening) for row in rows)

    def save(
        self, openings: Sequence[Opening], checkpoints: dict[str, str], generation: int = 1
    ) -> None:
        """Keep further openings of a generation, and the newest checkpoints (by log), all or nothing."""
        rows = [
            {
                "generation": generation,
                "entry_index": opening.index,
                "opening": dump_json(opening),
            }
            for opening in openings
        ]
        with writing(self._engine) as connection:
            if rows:
                connection.execute(insert(tables.follow_opening).on_conflict_do_nothing(), rows)
            for log, text in checkpoints.items():
                new = insert(tables.follow_checkpoint).values(log=log, checkpoint=text)
                connection.execute(
                    new.on_conflict_do_update(index_elements=["log"], set_={"checkpoint": text})
                )

    def checkpoint(self, log: str) -> str | None:
        """The newest verified checkpoint of `directory` or `exchange`, as note text."""
        column = tables.follow_checkpoint.c
        with reading(self._engine) as connection:
            found = connection.execute(select(column.checkpoint).where(column.log == log))
            return found.scalar_one_or_none()

    def trust_file(self, name: str) -> bytes | None:
        """A TUF file by its name, if it was kept."""
        column = tables.follow_trust_file.c
        with reading(self._engine) as connection:
            found = connection.execute(select(column.data).where(column.name == name))
            return found.scalar_one_or_none()

    def save_trust_file(self, name: str, data: bytes) -> None:
        """Keep a TUF file in place of one of the same name."""
        new = insert(tables.follow_trust_file).values(name=name, data=data)
        with writing(self._engine) as connection:
            connection.execute(
                new.on_conflict_do_update(index_elements=["name"], set_={"data": data})
            )
