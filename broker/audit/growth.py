"""One log while its tree is rebuilt: at the sizes that somebody signed or named, the root must be theirs.

Pure; may import the auditor's own rooms. `verify` feeds it the leaves, and says beforehand what it expects.
"""

from __future__ import annotations

from collections import defaultdict

from broker.audit.rules import Finding, Findings
from broker.audit.tree import GrowingTree


class Growth:
    """Rebuilds a tree, and reports each expected root that it does not have at that size."""

    def __init__(self, findings: Findings) -> None:
        self.tree = GrowingTree()
        self._findings = findings
        self._expected: defaultdict[int, list[tuple[bytes, Finding]]] = defaultdict(list)

    def expect(self, size: int, root: bytes, otherwise: Finding) -> None:
        """Expect a root (32 bytes) at a size not passed yet; `otherwise` is reported if it differs."""
        self._expected[size].append((root, otherwise))
        if size == self.tree.size:
            self._compare()

    def add(self, leaf: bytes) -> None:
        """Append a leaf hash of 32 bytes."""
        self.tree.add(leaf)
        if self.tree.size in self._expected:
            self._compare()

    def finish(self) -> None:
        """Report every root that was expected at a size that was never reached."""
        for size in sorted(self._expected):
            for _, otherwise in self._expected.pop(size):
                self._report(otherwise)

    def _compare(self) -> None:
        root = self.tree.root()
        for expected, otherwise in self._expected.pop(self.tree.size):
            if expected != root:
                self._report(otherwise)

    def _report(self, finding: Finding) -> None:
        self._findings.add(finding.log, finding.index, finding.rule, finding.detail)
