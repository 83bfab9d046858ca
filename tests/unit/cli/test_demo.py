"""The parts of the demonstration that need no exchange: processes, checks, what is sent, what is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from rich.console import Console

from broker.cli.demo.bulletins import DATA_VARIABLE, communique, exercise, sample, sighting
from broker.cli.demo.keeping import KEPT_FILE, Kept
from broker.cli.demo.processes import Processes, end_process, free_ports
from broker.cli.demo.telling import Teller
from broker.cli.demo.world import STATES
from broker.cli.exits import DemoFailure, Exit
from schemas.bulletin import parse_bulletin
from schemas.bulletin.vocabularies import Kind, Status
from schemas.loader import dump_json
from tests.unit.cli.conftest import Barid

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PASSPHRASE = b"a passphrase of tests"
SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


def test_claim_that_does_not_hold_ends_the_story() -> None:
    """A step that ended otherwise says what was expected, and what was found."""
    teller = Teller(Console(quiet=True))
    teller.check("one is one", expected=1, found=1)
    with pytest.raises(DemoFailure, match="three arrived: expected 3, found 2"):
        teller.check("three arrived", expected=3, found=2)
    assert teller.checked == 1


def test_communique_is_read_from_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the data folder has the communiqué, its text is sent, as a test."""
    paragraphs = ["التاريخ", "عنوان البيان", "فقرة أولى من البيان", "فقرة ثانية"]
    text = "\n\n".join(paragraphs)
    (tmp_path / "tripoli-communique.ar.txt").write_text(text, encoding="utf-8")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    story = communique("ly/main", NOW)
    bulletin = parse_bulletin(story.document)
    assert (bulletin.id, bulletin.status) == (story.id, Status.TEST)
    assert (story.title, bulletin.text) == ("عنوان البيان", {"ar": text})
    assert {"عنوان", "البيان", "فقرة"} <= story.words()


def test_without_the_communique_a_sample_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone without the data folder sends the project's own sample."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    story = communique("ly/main", NOW)
    assert story.source == "the project's own sample"
    assert len(story.words()) > 10


def test_words_are_those_of_the_texts() -> None:
    """Arabic words of four letters or more; vocabulary and ids are none."""
    words = sample(Kind.JUDICIAL_REQUEST, "ne/judicial", NOW).words()
    assert "أسلحة" in words
    assert [word for word in words if len(word) < 4 or word.isascii()] == []


def test_nothing_that_is_sent_looks_real() -> None:
    """A sighting is a test, an exercise names itself; both are bulletins that any node takes."""
    flash = parse_bulletin(sighting("ne/main", NOW).document)
    assert (flash.kind, flash.status) == (Kind.INCIDENT_REPORT, Status.TEST)
    story = exercise("ma/main", "Ténéré 2026", NOW)
    played = parse_bulletin(story.document)
    assert (played.status, played.exercise) == (Status.EXERCISE, "Ténéré 2026")
    assert (story.desk, story.id) == ("ma/main", played.id)


def test_nine_states_of_the_communique_take_part() -> None:
    """Those whose ministers signed in Tripoli, which are those of the default council."""
    signed = {"dz", "eg", "ly", "ma", "ml", "mr", "ne", "td", "tn"}
    council = json.loads(files("keys").joinpath("data", "council.json").read_text("utf-8"))
    states = {name for name, each in council["members"].items() if each["kind"] == "state"}
    assert (set(STATES), states) == (signed, signed)


def test_command_that_ends_otherwise_is_a_failure(tmp_path: Path) -> None:
    """Each command's code is compared with the one expected, and its words are in the failure."""
    with Processes(tmp_path, PASSPHRASE) as processes:
        done = processes.run("--version")
        assert (done.code, done.printed[:6], done.complained) == (0, "barid ", "")
        refused = processes.run("hub", "health", "--data", "/nowhere", expected=Exit.CONFIGURATION)
        assert "/nowhere/config.json does not exist" in refused.complained
        with pytest.raises(DemoFailure, match="ended with 5, expected 0; it said: barid: /nowhere"):
            processes.run("hub", "health", "--data", "/nowhere")


def test_settings_of_this_shell_stay_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who has a real node in the environment plays with the demonstration's alone."""
    monkeypatch.setenv("BARID_DATA", "/elsewhere")
    with Processes(tmp_path, PASSPHRASE) as processes:
        done = processes.run("hub", "health", expected=Exit.USAGE)
        assert "--data" in done.complained
        own = processes.run(
            "hub", "health", environment={"BARID_DATA": "/own"}, expected=Exit.CONFIGURATION
        )
        assert "/own/config.json" in own.complained


@pytest.fixture
def sleeper(tmp_path: Path) -> tuple[str, ...]:
    """A command that waits for ever, as a server does: for somebody to write into a pipe."""
    pipe = tmp_path / "invitation.json"
    os.mkfifo(pipe)
    return ("node", "join", "--data", str(tmp_path), str(pipe))


def test_servers_end_with_the_block(tmp_path: Path, sleeper: tuple[str, ...]) -> None:
    """Whatever goes wrong inside, no server outlives the demonstration."""
    started: list[int] = []
    with pytest.raises(RuntimeError, match="inside"):
        _fail_inside(Processes(tmp_path, PASSPHRASE), sleeper, started, keep=False)
    assert len(started) == 2
    assert _left(started) == []


def test_kept_servers_are_stopped_by_a_failure(tmp_path: Path, sleeper: tuple[str, ...]) -> None:
    """Only a story that was told to its end leaves something running."""
    started: list[int] = []
    with pytest.raises(RuntimeError, match="inside"):
        _fail_inside(Processes(tmp_path, PASSPHRASE), sleeper, started, keep=True)
    assert _left(started) == []


def test_server_is_a_process_of_its_own(tmp_path: Path, sleeper: tuple[str, ...]) -> None:
    """With a name, a folder and a session that tell it from others; frozen, killed and stopped by its id."""
    with Processes(tmp_path, PASSPHRASE) as processes:
        ids = [processes.start(name, *sleeper) for name in ("node-ly", "node-tn")]
        processes.wait_until("both have their names", lambda: _are_named(ids), 20)
        folders = [Path(f"/proc/{each}/cwd").readlink() for each in ids]
        assert folders == [tmp_path.resolve()] * 2
        assert [os.getsid(each) for each in ids] == ids
        with processes.frozen("node-ly"):
            # The signal is on its way to another core.
            processes.wait_until("it stands", lambda: _state(ids[0]) == "T" or None, 20)
        assert _state(ids[0]) != "T"
        assert processes.kill("node-ly") == ids[0]
        processes.stop("node-tn")
        assert _left(ids) == []


def test_server_that_ends_by_itself_is_a_failure(tmp_path: Path) -> None:
    """Nobody waits for what a dead server would have done; its last words are told."""
    with Processes(tmp_path, PASSPHRASE) as processes:
        processes.start("hub", "hub", "serve", "--data", "/nowhere")
        said = "the process `hub` ended with 5; its log ends: barid: /nowhere"
        with pytest.raises(DemoFailure, match=said):
            processes.wait_until("nothing", lambda: None, 20)


def test_waiting_ends(tmp_path: Path) -> None:
    """What does not come in time is a failure that names it."""
    with (
        Processes(tmp_path, PASSPHRASE) as processes,
        pytest.raises(DemoFailure, match="expected within 0 s: a letter"),
    ):
        processes.wait_until("a letter", lambda: None, 0.2)


def test_ports_are_free_and_differ() -> None:
    """No two servers get one port."""
    assert len(set(free_ports(5))) == 5


def test_stop_ends_its_own_processes_only(barid: Barid, tmp_path: Path) -> None:
    """A process id that now belongs to something else is left alone."""
    with (
        subprocess.Popen(SLEEP, start_new_session=True, cwd=tmp_path) as own,
        subprocess.Popen(SLEEP, start_new_session=True) as other,
    ):
        try:
            kept = Kept(processes={"hub": own.pid, "node-ly": other.pid})
            (tmp_path / KEPT_FILE).write_bytes(dump_json(kept))
            # As after `init` has taken it over: a child of ours would stay as a zombie.
            signal.signal(signal.SIGCHLD, lambda *_: own.poll())
            result = barid("demo", "--stop", tmp_path)
            assert result.exit_code == 0
            assert f"hub: process {own.pid} is stopped" in result.stdout
            assert f"node-ly: process {other.pid} had ended before" in result.stdout
            assert (own.wait(5), other.poll()) == (-signal.SIGTERM, None)
        finally:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            own.kill()
            other.kill()


def test_nothing_is_stopped_where_nothing_was_kept(barid: Barid, tmp_path: Path) -> None:
    """A folder without a note of processes is a wrong folder."""
    result = barid("demo", "--stop", tmp_path)
    assert (result.exit_code, result.stdout) == (Exit.CONFIGURATION, "")


def test_folder_in_use_is_refused(barid: Barid, tmp_path: Path) -> None:
    """The demonstration writes into an empty folder only."""
    (tmp_path / "something").touch()
    result = barid("demo", "--directory", tmp_path)
    assert (result.exit_code, "not empty" in result.stderr) == (Exit.CONFIGURATION, True)


def test_ending_a_process_that_is_gone() -> None:
    """A process that has ended needs no ending."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert end_process(gone.pid)


def _fail_inside(
    processes: Processes, sleeper: tuple[str, ...], started: list[int], *, keep: bool
) -> None:
    with processes:
        started += [processes.start(name, *sleeper) for name in ("one", "two")]
        if keep:
            processes.keep()
        raise RuntimeError("inside")


def _are_named(ids: list[int]) -> bool | None:
    names = [Path(f"/proc/{each}/comm").read_text().strip() for each in ids]
    return True if names == ["barid-node-ly", "barid-node-tn"] else None


def _state(process_id: int) -> str:
    """The letter of a process's state, as `ps` shows it."""
    time.sleep(0.05)
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]


def _left(started: list[int]) -> list[int]:
    """Those that still run; they are ended here, for the test's own process would wait for them."""
    running = [each for each in started if _runs(each)]
    for each in running:
        os.kill(each, signal.SIGKILL)
    return running


def _runs(process_id: int) -> bool:
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True
