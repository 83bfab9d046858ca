"""The machine that measures: what it is, and what it does by itself while it is measured on.

May import the standard library, psutil and `keys.signing`; every report begins with it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sqlite3
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from keys.signing import SigningIdentity, VerifyingIdentity
from tests.bench import wrk
from tests.bench.figures import Figure, Section

SECONDS: Final = 1.0
_MIB: Final = 1 << 20
_CPUINFO: Final = Path("/proc/cpuinfo")


def rate(work: Callable[[], object], seconds: float = SECONDS) -> float:
    """How often a second `work` can be done."""
    work()
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        work()
        count += 1
    return count / elapsed


def peak_memory_mib() -> float:
    """The most memory that this process had resident; what its parent had when it forked is not counted."""
    status = Path("/proc/self/status").read_text("ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def description() -> str:
    """One sentence: processor, cores, memory, and the versions that matter."""
    memory_gib = psutil.virtual_memory().total / (1 << 30)
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB of memory; "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {ssl.OPENSSL_VERSION.rsplit(' ', 3)[0]}, {wrk.version()}"
    )


def _processor() -> str:
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def calibration(folder: Path, seconds: float = SECONDS) -> Section:
    """What this machine does by itself: absolute figures mean nothing without these."""
    megabyte = bytes(_MIB)
    identity = SigningIdentity.generate()
    message = bytes(1500)
    signature = identity.sign(message)
    verify = VerifyingIdentity.from_key(identity.public).verify
    file = (folder / "calibration").open("wb", buffering=0)

    def sync() -> None:
        file.write(megabyte[:4096])
        os.fdatasync(file.fileno())

    figures = (
        Figure("SHA-256", rate(lambda: hashlib.sha256(megabyte).digest(), seconds), "MiB/s"),
        Figure("fdatasync of 4 KiB", rate(sync, seconds), "/s"),
        Figure(
            "a signature pair verified", rate(lambda: verify(message, signature), seconds), "/s"
        ),
        Figure("others' load, runnable processes of the last minute", os.getloadavg()[0], ""),
    )
    file.close()
    return Section("calibration of the machine", figures)
