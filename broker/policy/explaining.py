"""What each rule says in words: the comment that stands directly above it in `policy.cedar`.

May import `broker.policy.loading`; `barid policy explain` and the report of a change show it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from broker.policy.loading import EVALUATION_ERROR, NO_PERMIT

_ID_LINE: Final = re.compile(r'\s*@id\("([^"]*)"\)')
_COMMENT_LINE: Final = re.compile(r"\s*//\s?(.*)")

_BUILT_IN: Final = {
    NO_PERMIT: "No rule permits it: nothing is sent that a rule does not permit.",
    EVALUATION_ERROR: "A rule cannot be evaluated for it; that counts as a refusal.",
}
"""The two answers that name no rule."""


def explanations(policy_text: str) -> Mapping[str, str]:
    """Read what the rules' authors say of them.

    Args:
        policy_text: `policy.cedar`. The lines of comment directly above a line that begins with `@id`, with
            no other line between, are that rule's explanation.

    Returns:
        @id → the explanation as one text, empty where there is none; and the words for the two answers that
        name no rule.
    """
    found = dict(_BUILT_IN)
    comment: list[str] = []
    for line in policy_text.splitlines():
        if match := _COMMENT_LINE.fullmatch(line):
            comment.append(match[1].strip())
            continue
        if match := _ID_LINE.match(line):
            found[match[1]] = " ".join(comment)
        comment = []
    return found
