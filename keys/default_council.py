"""The council to begin with: nine states of North Africa and the Sahel, and the African Union Commission.

May import `schemas` and the standard library; reads the package's own data file. `barid trust init` and the
demonstration take it where the governors bring none of their own.
"""

from __future__ import annotations

from importlib.resources import files

from schemas.directory import Council, HubAddress, Logs
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, load_json, parse


def default_council(exchange: str, hub: HubAddress, logs: Logs, *, test: bool = True) -> Council:
    """Fill in the default council for one hub.

    Names are the states' short names in ar, fr, en; each grouping has its members among the nine
    (Algeria is no member of CEN-SAD; Chad, Mali and Niger are not in the League of Arab States).
    States receive everything, the observer what is green and unclassified; deadlines and grace are the
    protocol's.

    Args:
        exchange: the exchange's name.
        hub: where the hub answers.
        logs: the hub's log keys.
        test: without witnesses an exchange is a test exchange.

    Raises:
        ParseError: not a council, as where `test` is false.
    """
    data = files("keys").joinpath("data", "council.json").read_bytes()
    content = load_json(data, TRUST_FILE_BYTES_MAX)
    fixed = {
        "v": 1,
        "exchange": exchange,
        "test": test,
        "witnesses": "none",
        "hub": hub.model_dump(mode="json"),
        "logs": logs.model_dump(mode="json"),
    }
    return parse(Council, dump_json(content | fixed), TRUST_FILE_BYTES_MAX)
