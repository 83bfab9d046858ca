"""Fixtures of a live exchange: one hub for a module, since an exchange costs a second to found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exchange.live import LiveHub, live_hub, run

READY = ("dz/judicial", "ly/main", "ne/main", "ne/judicial", "tn/main", "tn/judicial")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A serving hub; a few desks have announced their sealing keys, the others wait."""
    folder: Path = tmp_path_factory.mktemp("exchange")
    with live_hub(folder / "hub") as serving:
        run(serving.announce(*READY))
        yield serving
