"""A world with a sender's node (ly) and a recipient's (tn), both with sealing keys, and others without."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.node.home import Home
from tests.unit.node.world import NodeWorld


@functools.cache
def _template() -> NodeWorld:
    world = NodeWorld()
    world.announce_for_all_but("ly/main", "tn/judicial", "tn/main", "ne/main")
    return world


@pytest.fixture
def world() -> NodeWorld:
    """An exchange with a directory and sealing keys (but of ne/main), in which nothing was sent."""
    return _template().copy()


@pytest.fixture
def ly(world: NodeWorld, tmp_path: Path) -> Iterator[Home]:
    """The node of ly, with the desk ly/main and its logged sealing key."""
    home = world.home(tmp_path, "ly", "main")
    world.announce_for(home)
    yield home
    home.close()


@pytest.fixture
def tn(world: NodeWorld, tmp_path: Path) -> Iterator[Home]:
    """The node of tn, with two desks and their logged sealing keys."""
    home = world.home(tmp_path, "tn", "judicial", "main")
    world.announce_for(home)
    yield home
    home.close()
