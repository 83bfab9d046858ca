"""The story: chapters in their order, each telling what happens and checking that it did.

May import `broker.cli`; `command` plays it. A chapter that finds something else than it expects raises
DemoFailure, which ends the demonstration.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from broker.cli.demo.asking import Agencies
from broker.cli.demo.bulletins import Story, communique, sample
from broker.cli.demo.telling import Teller
from broker.cli.demo.world import (
    EXCHANGE,
    GOVERNORS,
    RUNNING,
    STATES,
    THRESHOLD,
    World,
    files_under,
)
from broker.cli.exits import Exit
from broker.cli.options import utc_now
from schemas.bulletin.vocabularies import Kind
from schemas.loader import load_json

JUDICIAL_RULE: Final = "judicial-requests-to-judicial-desks-only"
UNDER_WAY: Final = 6
"""Bulletins that Libya sends while the hub is killed."""

_ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
_PATIENCE_SECONDS: Final = 30.0


@dataclass
class Play:
    """One performance: the world, the teller, and what was sent so far.

    Args:
        world: with nothing made yet.
        teller: prints.
        agencies: ask the nodes.
    """

    world: World
    teller: Teller
    agencies: Agencies
    sent: list[Story] = field(default_factory=list)
    expected_inboxes: dict[str, list[str]] = field(default_factory=dict)

    def perform(self) -> None:
        """Play all chapters. Raises DemoFailure at the first step that ends otherwise than expected."""
        self.teller.title(
            "Barid: states exchange sealed bulletins through a hub that cannot read them.",
            "All of this is real: separate processes, real keys, TLS 1.3, databases on disk.",
            "Only the distance is missing: everything runs on this machine.",
        )
        self.found_the_exchange()
        self.start()
        self.send_the_communique()
        self.read_it()
        self.request_judicial_help()
        self.kill_the_hub()
        self.look_for_words()
        self.audit()
        self.alter_an_entry()

    def found_the_exchange(self) -> None:
        """Keys, directory, invitations."""
        world, teller = self.world, self.teller
        teller.chapter("Nine states found an exchange")
        world.make_keys()
        teller.tell(
            f"{len(STATES)} states, the auditor of the African Union and the hub each make their own"
            " keys. No private key ever leaves its owner."
        )
        world.sign_directory()
        files = files_under([world.trust / "repository"])
        teller.tell(
            f"{THRESHOLD} of {GOVERNORS} governors sign who belongs to {EXCHANGE} and who may write to"
            f" whom: {len(files)} files. The hub publishes them, and cannot change a word."
        )

    def start(self) -> None:
        """Processes, and sealing keys in the log."""
        world, teller = self.world, self.teller
        teller.chapter("The hub and three nodes start")
        hub = world.start_hub()
        world.join()
        world.start_nodes()
        # All of them start while the tokens are made.
        world.make_tokens()
        world.wait_for_hub()
        names = ", ".join(STATES[member] for member in RUNNING)
        teller.tell(f"The hub is process {hub}. The nodes of {names} run beside it.")
        ready = {"ne/main", "ne/judicial", "tn/main", "tn/judicial"}
        self.agencies.wait_for_keys("ly/main", ready)
        self.agencies.wait_for_keys("ne/judicial", {"tn/main", "tn/judicial"})
        teller.check(
            "each desk's sealing key stands in the hub's log, signed by its own node",
            expected=2 * len(RUNNING),
            found=world.ask_hub("SELECT count(*) FROM sealing_key")[0][0],
        )

    def send_the_communique(self) -> None:
        """One bulletin to three desks, of which one cannot receive yet."""
        world, teller = self.world, self.teller
        story = communique("ly/main", utc_now())
        teller.chapter("Libya sends a bulletin to Niger, Tunisia and Chad")
        teller.tell(f"It is {story.source}, {len(story.document):,} bytes:")
        teller.quote(story.title)
        file = world.directory / "communique.json"
        file.write_bytes(story.document)
        to = [word for desk in ("ne/main", "tn/main", "td/main") for word in ("--to", desk)]
        started = time.monotonic()
        self.world.agency("ly/main", "bulletin", "send", str(file), *to, "--precedence", "priority")
        self.agencies.wait_for("tn/main", story.id)
        arrived = time.monotonic() - started
        self.agencies.wait_for("ne/main", story.id)
        teller.tell(
            f"Libya's agency typed one command. {arrived:.1f} s later the bulletin lay verified in Tunis."
        )
        self._remember(story, "ne/main", "tn/main")
        ((size,),) = world.ask_hub("SELECT length(ciphertext) FROM body")
        teller.tell(
            f"The hub holds {size:,} bytes that it cannot open, once, and 1,168 bytes for each desk: its key."
        )
        status = world.agency(
            "ly/main", "bulletin", "status", story.id, "--desk", "ly/main", "--json"
        )
        states = {each["desk"]: each["state"] for each in status.json()["recipients"]}
        teller.check(
            "for Chad, whose node never started, it waits in Libya, and Libya is told so",
            expected="waiting",
            found=states["td/main"],
        )

    def read_it(self) -> None:
        """In Tunis and Niamey."""
        world, teller = self.world, self.teller
        story = self.sent[0]
        teller.chapter("Tunis and Niamey read it")
        for desk in ("tn/main", "ne/main"):
            shown = world.agency(desk, "inbox", "read", "ly/main", story.id, "--desk", desk)
            lines = shown.printed.strip().splitlines()
            if desk == "tn/main":
                teller.tell("The reader in Tunis sees first, and again at the end:")
                for line in lines[:4]:
                    teller.quote(line)
                teller.check(
                    "the marking stands at the top and at the bottom",
                    expected=lines[:4],
                    found=lines[-4:],
                )
            answer = world.agency(
                desk, "inbox", "read", "ly/main", story.id, "--desk", desk, "--json"
            )
            received = answer.json()
            sent = load_json(
                story.document, _ANSWER_BYTES_MAX, floats_under=frozenset({"coordinates"})
            )
            teller.check(
                f"{desk} reads exactly what Libya wrote, and where it stands in the log:"
                f" entry {received['verified']['index']}",
                expected=(sent["text"], "ly/main"),
                found=(received["bulletin"]["text"], received["verified"]["sender"]),
            )
        readers = {"ne/main", "tn/main"}
        teller.check(
            "Libya learns that both have read it: each answered with a signed statement in the log",
            expected=readers,
            found=self.agencies.wait_for_readers("ly/main", story.id, readers),
        )

    def request_judicial_help(self) -> None:
        """To a judicial desk, and to a main desk."""
        world, teller = self.world, self.teller
        teller.chapter("Niger asks Tunisia to arrest a person (invented)")
        story = sample(Kind.JUDICIAL_REQUEST, "ne/judicial", utc_now())
        file = world.directory / "request.json"
        file.write_bytes(story.document)
        world.agency("ne/judicial", "bulletin", "send", str(file), "--to", "tn/judicial")
        self.agencies.wait_for("tn/judicial", story.id)
        self._remember(story, "tn/judicial")
        teller.check(
            "the request reaches the judges in Tunis",
            expected=[story.id],
            found=self.agencies.inbox("tn/judicial"),
        )
        again = sample(Kind.JUDICIAL_REQUEST, "ne/judicial", utc_now())
        file.write_bytes(again.document)
        refused = world.agency(
            *("ne/judicial", "bulletin", "send", str(file), "--to", "tn/main"),
            expected=Exit.REFUSED,
        )
        teller.tell("Then somebody in Niamey sends such a request to an ordinary desk. The answer:")
        for line in refused.complained.strip().splitlines()[:2]:
            teller.quote(line.strip())
        teller.check(
            f"the refusal names the rule that the states agreed on: {JUDICIAL_RULE}",
            expected=True,
            found=JUDICIAL_RULE in refused.complained,
        )
        teller.check(
            "nothing of it reached Tunis",
            expected=self.expected_inboxes["tn/main"],
            found=self.agencies.inbox("tn/main"),
        )

    def kill_the_hub(self) -> None:
        """With kill -9, while bulletins are under way."""
        world, teller = self.world, self.teller
        teller.chapter("The hub dies while bulletins are under way")
        before = world.ask_hub(_EXCHANGE_LEAVES)
        stories = [sample(Kind.THREAT_BULLETIN, "ly/main", utc_now()) for _ in range(UNDER_WAY)]
        sender = threading.Thread(
            target=self.agencies.send_all, args=("ly/main", "tn/main", stories), daemon=True
        )
        sender.start()
        world.processes.wait_until(
            "the hub accepts a bulletin",
            lambda: True if world.log_size() > len(before) else None,
            _PATIENCE_SECONDS,
        )
        killed = world.processes.kill("hub")
        sender.join(_PATIENCE_SECONDS)
        teller.tell(
            f"Libya hands {UNDER_WAY} bulletins to its node. As soon as the hub has one of them, it is"
            f" killed like a machine whose plug is pulled (kill -9 of process {killed})."
        )
        after = world.ask_hub(_EXCHANGE_LEAVES)
        accepted = world.ask_hub("SELECT count(*) FROM envelope")[0][0] - len(self.sent)
        teller.tell(
            f"By then the hub had accepted {accepted} of them. Libya's node takes all {UNDER_WAY} from its"
            " agency all the same, and keeps trying."
        )
        revived = world.start_hub()
        world.wait_for_hub()
        teller.tell(f"The hub comes back as process {revived}.")
        for story in stories:
            self.agencies.wait_for("tn/main", story.id)
            self._remember(story, "tn/main")
        teller.check(
            f"what the hub had accepted is all still there, unchanged: {len(after)} entries",
            expected=after,
            found=world.ask_hub(_EXCHANGE_LEAVES)[: len(after)],
        )
        teller.check(
            f"all {UNDER_WAY} arrived in Tunis, each exactly once",
            expected=Counter(self.expected_inboxes["tn/main"]),
            found=Counter(self.agencies.inbox("tn/main")),
        )

    def look_for_words(self) -> None:
        """What the hub's disk holds of the bulletins."""
        world, teller = self.world, self.teller
        teller.chapter("What does the hub know?")
        public = b"".join(path.read_bytes() for path in files_under([world.trust / "repository"]))
        words = set().union(*(story.words() for story in self.sent))
        words = {word for word in words if word.encode() not in public}
        files = [*files_under([world.hub]), world.directory / "hub.log"]
        held = b"\0".join(path.read_bytes() for path in files)
        found = sorted(word for word in words if word.encode() in held)
        teller.check(
            f"of {len(words)} Arabic words in the bulletins, none stands in its {len(held):,} bytes of"
            f" database, journal and log ({len(files)} files)",
            expected=[],
            found=found,
        )
        routing = [desk for desk in ("ly/main", "tn/judicial") if desk.encode() in held]
        teller.check(
            "it knows who wrote to whom, and must: it applies the access rules",
            expected=["ly/main", "tn/judicial"],
            found=routing,
        )

    def audit(self) -> None:
        """By someone whom nobody has to trust, and who trusts nobody."""
        teller = self.teller
        teller.chapter("The African Union's auditor checks everything")
        report = self.world.audit()
        counts = report["counts"]
        teller.tell(
            f"It downloads both logs ({report['logs']['directory']['size']} and"
            f" {report['logs']['exchange']['size']} entries), checks every hash and signature, and asks the"
            f" access rules again for each of {counts['recipients']} deliveries: {report['milliseconds']} ms."
        )
        teller.check("it finds nothing wrong", expected=[], found=report["findings"])
        teller.check(
            "its count of accepted envelopes is the number that were sent",
            expected=len(self.sent),
            found=counts["entries"].get("envelope.accepted"),
        )

    def alter_an_entry(self) -> None:
        """In the hub's database, by its operator."""
        world, teller = self.world, self.teller
        teller.chapter("Somebody alters the hub's records")
        world.processes.stop("hub")
        index, entry = world.find_entry("envelope.accepted")
        altered = entry.replace(b'"desk":"ne/main"', b'"desk":"dz/main"')
        teller.check(
            f"in the database, entry {index} now claims that Algeria got the communiqué, not Niger",
            expected=1,
            found=world.write_entry(index, altered) if altered != entry else 0,
        )
        world.start_hub()
        world.wait_for_hub()
        report = world.audit(expected=Exit.FINDINGS)
        world.processes.stop("hub")
        world.write_entry(index, entry)
        findings = report["findings"]
        for finding in findings:
            teller.quote(
                f"{finding['log']} log, entry {finding['index']}, rule {finding['rule']}:"
                f" {finding['detail']}"
            )
        teller.check(
            "the auditor says which entry it is, and which rule it breaks, and nothing else",
            expected=[("exchange", index, "opening")],
            found=[(each["log"], each["index"], each["rule"]) for each in findings],
        )

    def restore(self) -> None:
        """Start the hub again, with its true records, for those who want to look around."""
        self.world.start_hub()
        self.world.wait_for_hub()

    def _remember(self, story: Story, *desks: str) -> None:
        self.sent.append(story)
        for desk in desks:
            self.expected_inboxes.setdefault(desk, []).append(story.id)


_EXCHANGE_LEAVES: Final = (
    "SELECT entry_index, hex(leaf) FROM entry WHERE log = 'exchange' ORDER BY entry_index"
)
