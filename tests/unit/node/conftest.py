"""A world with a sender's node (ly) and a recipient's (tn), made once and copied for every test."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.node.home import Home
from tests.unit.node.agency import Agency
from tests.unit.node.reader import Reader
from tests.unit.node.world import NodeWorld, copy_home


@functools.cache
def _bare() -> NodeWorld:
    world = NodeWorld()
    world.announce_for_all_but("ly/main", "tn/judicial", "tn/main", "ne/main")
    return world


@functools.cache
def _founded() -> tuple[NodeWorld, Home, Home]:
    folder = Path(tempfile.mkdtemp(prefix="barid-nodes-"))
    atexit.register(shutil.rmtree, folder)
    world = _bare().copy()
    ly, tn = world.home(folder, "ly", "main"), world.home(folder, "tn", "judicial", "main")
    for home in (ly, tn):
        world.announce_for(home)
        home.close()
    return world, ly, tn


@pytest.fixture
def bare() -> NodeWorld:
    """An exchange in which the desks of ly and tn, and ne/main, have no sealing key yet."""
    return _bare().copy()


@pytest.fixture
def world() -> NodeWorld:
    """An exchange in which every desk but ne/main has a sealing key, and nothing was sent."""
    return _founded()[0].copy()


@pytest.fixture
def ly(tmp_path: Path) -> Iterator[Home]:
    """The node of ly, with the desk ly/main."""
    home = copy_home(_founded()[1], tmp_path)
    yield home
    home.close()


@pytest.fixture
def tn(tmp_path: Path) -> Iterator[Home]:
    """The node of tn, with the desks tn/judicial and tn/main."""
    home = copy_home(_founded()[2], tmp_path)
    yield home
    home.close()


@pytest.fixture
def agency(world: NodeWorld, tn: Home) -> Agency:
    """An agency of tn/main."""
    return Agency(world, tn)


@pytest.fixture
def reader(world: NodeWorld, tn: Home) -> Reader:
    """tn/main's inbox."""
    return Reader(world, tn)
