"""What an operator installs: units that systemd finds sound and tight, and a folder for closed networks.

The units are judged by systemd's own tools; nothing is started, and no unit of this machine is touched.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.project import ROOT

SYSTEMD = ROOT / "deploy" / "systemd"
SERVICES = sorted(SYSTEMD.glob("*.service"))
TIMERS = sorted(SYSTEMD.glob("*.timer"))
EXPOSURE_MAX = 2.0
"""What `systemd-analyze security` may say at the most; 10 is a service without any protection."""

BARID = Path(sys.executable).parent / "barid"

pytestmark = pytest.mark.timeout(300)


def systemd_analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run systemd's checker, or skip and say why."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed: `make setup-image-tools` does, as root on Debian")
    command = ["systemd-analyze", "--no-pager", *(str(each) for each in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def settings(unit: Path) -> list[tuple[str, str]]:
    """The settings of a unit's service, in their order."""
    lines = unit.read_text().partition("[Service]\n")[2].partition("\n[")[0].splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return [(name, value) for name, _, value in pairs]


def test_the_units_are_there() -> None:
    """Hub and node each have a service, and a backup with its timer."""
    names = ["barid-hub-backup", "barid-hub", "barid-node-backup", "barid-node"]
    assert [path.stem for path in SERVICES] == names
    assert [path.stem for path in TIMERS] == [name for name in names if "backup" in name]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_a_service_is_exposed_little(unit: Path) -> None:
    """systemd's own measure of what a service could touch stays low."""
    done = systemd_analyze("security", "--offline=true", unit)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert level is not None, done.stderr
    assert float(level[1]) <= EXPOSURE_MAX


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """With the command where it is here, every unit is sound, down to its last setting."""
    for unit in (*SERVICES, *TIMERS):
        text = unit.read_text().replace("/opt/barid/bin/barid", str(BARID))
        (tmp_path / unit.name).write_text(text)
    done = systemd_analyze("verify", "--man=no", *sorted(tmp_path.iterdir()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_wrong_setting_would_be_found(tmp_path: Path) -> None:
    """The check above can fail."""
    text = SERVICES[0].read_text().replace("/opt/barid/bin/barid", str(BARID))
    (tmp_path / "barid-wrong.service").write_text(text.replace("ProtectHome=", "ProtectHomes="))
    done = systemd_analyze("verify", "--man=no", tmp_path / "barid-wrong.service")
    assert "ProtectHomes" in done.stderr


def test_all_services_are_hardened_alike() -> None:
    """What one is denied all are denied; a node may also use sockets of its own machine."""
    common = [
        {each for each in settings(unit) if each[0] not in ("RestrictAddressFamilies", "Nice")}
        for unit in SERVICES
    ]
    shared = set.intersection(*common)
    denied = {name for name, _ in shared}
    assert len(denied) >= 28
    assert ("LimitCORE", "0") in shared
    assert ("MemoryDenyWriteExecute", "yes") in shared
    assert ("UMask", "0077") in shared


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_a_service_runs_what_there_is(unit: Path) -> None:
    """Its command and options exist; its passphrase is a credential, never an argument or a variable."""
    found = dict(settings(unit))
    role = "hub" if "hub" in unit.stem else "node"
    command = found["ExecStart"].split()
    assert command[:2] == ["/opt/barid/bin/barid", role]
    done = subprocess.run(
        [str(BARID), *command[1:3], "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert [each for each in command[3:] if each.startswith("--") and each not in done.stdout] == []
    assert found["User"] == f"barid-{role}"
    assert found["LoadCredentialEncrypted"].startswith("passphrase:")
    assert "Environment" not in found


def test_users_and_folders_are_those_of_the_services() -> None:
    """Each user that a service runs as is made, and each folder that a backup writes to."""
    users = re.findall(r"^u (\S+)", (SYSTEMD / "barid.sysusers.conf").read_text(), re.MULTILINE)
    folders = re.findall(
        r"^d (\S+) 0700 (\S+)", (SYSTEMD / "barid.tmpfiles.conf").read_text(), re.MULTILINE
    )
    assert set(users) == {dict(settings(unit))["User"] for unit in SERVICES}
    written = {
        (each, dict(settings(unit))["User"])
        for unit in SERVICES
        for each in dict(settings(unit)).get("ReadWritePaths", "").split()
        if each.startswith("/var/backups/")
    }
    assert set(folders) == written


@pytest.mark.parametrize("timer", TIMERS, ids=lambda path: path.stem)
def test_a_timer_is_made_up_for(timer: Path) -> None:
    """Each timer starts the service of its name, also after a night in which the machine was off."""
    read = configparser.ConfigParser(interpolation=None, strict=False)
    read.read_string(timer.read_text())
    assert read["Timer"]["Persistent"] == "yes"
    assert timer.with_suffix(".service") in SERVICES
    assert systemd_analyze("calendar", read["Timer"]["OnCalendar"]).returncode == 0


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make wheelhouse` gathers."""
    folder = tmp_path_factory.mktemp("closed") / "wheelhouse"
    # Not its set-up: that is for a person, and here it would change what the tests run with.
    command = ["make", "--old-file=setup", "wheelhouse", f"WHEELHOUSE={folder}"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return folder


def install(wheelhouse: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Run the folder's own script, with no index, no proxy and no settings of this machine."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHON": sys.executable,
        "PIP_CONFIG_FILE": "/dev/null",
    }
    return subprocess.run(
        ["sh", str(wheelhouse / "install.sh"), str(target)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_a_closed_network_needs_nothing_else(wheelhouse: Path, tmp_path: Path) -> None:
    """From that folder alone a new environment is made in which the command runs."""
    done = install(wheelhouse, tmp_path / "barid")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("barid ")
    listing = [str(tmp_path / "barid" / "bin" / "barid"), "node", "doctor", "--help"]
    assert subprocess.run(listing, capture_output=True, check=False, timeout=60).returncode == 0
    pinned = set(re.findall(r"^[\w.-]+==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert len(list(wheelhouse.glob("*.whl"))) == len(pinned) + 1
    assert {path.name for path in wheelhouse.glob("systemd/*")} == {
        path.name for path in SYSTEMD.iterdir()
    }


def test_a_wheel_that_was_altered_is_not_installed(wheelhouse: Path, tmp_path: Path) -> None:
    """Neither where the list of sums is right, nor where whoever altered the wheel wrote that anew."""
    folder = tmp_path / "altered"
    shutil.copytree(wheelhouse, folder)
    own = next(folder.glob("barid_broker-*.whl"))
    own.write_bytes(own.read_bytes() + b"\0")
    done = install(folder, tmp_path / "barid")
    assert done.returncode != 0
    assert own.name in done.stdout + done.stderr
    assert not (tmp_path / "barid").exists()
    (folder / "SHA256SUMS").write_text("")
    script = (folder / "install.sh").read_text()
    (folder / "install.sh").write_text(
        re.sub(r"^\(cd .*sha256sum.*\n", "", script, flags=re.MULTILINE)
    )
    done = install(folder, tmp_path / "barid")
    assert (done.returncode != 0, "HASHES" in done.stderr) == (True, True)
