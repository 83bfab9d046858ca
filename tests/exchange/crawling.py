"""Schemathesis against a served application: calls made up from its document, and what must hold of all.

May import schemathesis; the tests of hub and node give it their document, address and authentication.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from requests.auth import AuthBase
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from schemas.problems import MEDIA_TYPE, from_document

DOCUMENTS = Path(__file__).parents[2] / "docs" / "openapi"
EXAMPLES = 100 if os.environ.get("BARID_SOAK") == "1" else 8
"""Calls of one operation and mode."""

Operation = Any
"""Schemathesis's own type has parameters that are no part of its interface."""

_FRAMING = {"content-length", "transfer-encoding"}

CONFORMANCE = [status_code_conformance, content_type_conformance, response_schema_conformance]


def operations(document: str, leave_out: Mapping[str, str]) -> dict[str, Operation]:
    """Operations of a published document by `METHOD path`.

    Args:
        document: the file's name.
        leave_out: those that are not crawled, each with the reason.
    """
    schema: Any = schemathesis.openapi.from_path(DOCUMENTS / document)
    found = {each.ok().label: each.ok() for each in schema.get_all_operations()}
    assert set(leave_out) <= set(found)
    return {label: each for label, each in found.items() if label not in leave_out}


@dataclass(frozen=True)
class Target:
    """A served application.

    Args:
        url: where it answers.
        certificate: what to trust.
        auth: authenticates each call.
        own: path parameters under which the caller may act; without them strangers' places are tried.
        query: parameters that are not made up.
    """

    url: str
    certificate: Path
    auth: AuthBase
    own: Mapping[str, str]
    query: Mapping[str, Any] = field(default_factory=dict)

    def crawl(self, operation: Operation) -> None:
        """Call one operation with what its document allows and with what it does not, often."""
        named = {
            name: value
            for name, value in self.own.items()
            if name in {each.name for each in operation.path_parameters}
        }
        query = {
            name: value
            for name, value in self.query.items()
            if name in {each.name for each in operation.query}
        }
        with requests.Session() as session:
            session.trust_env = False
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                for places in {tuple(named.items()), ()}:
                    cases = operation.as_strategy(
                        mode, path_parameters=dict(places) or None, query=query or None
                    )
                    self._crawl(session, cases)

    def _crawl(self, session: requests.Session, cases: Any) -> None:
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def each(case: Any) -> None:
            # What frames a request is the server's before it is ours: it answers in plain text.
            assume(not _FRAMING & {str(name).lower() for name in case.headers or {}})
            response = case.call(
                base_url=self.url,
                session=session,
                auth=self.auth,
                verify=str(self.certificate),
                timeout=20,
                allow_redirects=False,
            )
            _check(case, response)

        each()


def _check(case: Any, response: Any) -> None:
    """No failure of the server, problem documents only, and nothing that the document does not say."""
    assert response.status_code < 500, response.content
    if response.status_code >= 400:
        assert response.headers["content-type"] == [MEDIA_TYPE]
        if case.method != "HEAD":
            assert from_document(response.content).type.status == response.status_code
    case.validate_response(response, checks=CONFORMANCE)
