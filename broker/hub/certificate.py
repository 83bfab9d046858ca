"""Renewing the hub's TLS certificate: the pair itself, and the files that tell members what to trust.

May import `broker.certificates`, `schemas` and the hub's setup; the command line calls it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from broker.certificates import Pair, renew, trusted_together
from broker.hub.generations import DESCRIPTION_FILE, read_description
from broker.hub.setup import ROOT_FILE
from broker.settings import load_hub, write_whole
from schemas.directory import Invitation
from schemas.loader import dump_json

INVITATION_FILE: Final = "invitation.json"


def renew_hub(data: Path, given: Pair | None, trust_pem: str | None, now: datetime) -> Path | None:
    """Renew the hub's certificate; what it serves changes with its next start.

    The description for the governors, and an invitation for members, name the new trust and the old one:
    who has taken the invitation can call the hub before that start and after it.

    Args:
        data: the hub's directory.
        given: from one's own CA; None: one is made.
        trust_pem: the CA's certificate.
        now: UTC, whole seconds.

    Returns:
        The invitation, to be handed over in person; None where no directory is loaded yet.

    Raises:
        ConfigurationError: members would refuse it; nothing was changed.
    """
    settings = load_hub(data)
    described = data / DESCRIPTION_FILE
    description = read_description(described)
    host = settings.authority.partition(":")[0]
    names = tuple(dict.fromkeys((*settings.names, host)))
    trust = renew(data, given, trust_pem, names, now)
    address = description.hub.model_copy(
        update={"tls_trust": trusted_together(trust, description.hub.tls_trust, now)}
    )
    description = description.model_copy(update={"hub": address})
    write_whole(described, dump_json(description))
    root = data / ROOT_FILE
    if not root.exists():
        return None
    invitation = Invitation(
        v=1,
        exchange=settings.exchange,
        hub=address,
        logs=description.logs,
        root=root.read_bytes(),
    )
    write_whole(data / INVITATION_FILE, dump_json(invitation))
    return data / INVITATION_FILE
