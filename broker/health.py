"""Asking a server's operator address whether it is ready; light, since a container asks every half minute.

May import `broker.settings` and the standard library; the command line and the doctors ask.
"""

from __future__ import annotations

import http.client
from typing import Final

from broker.settings import Listen

_ASK_SECONDS: Final = 5.0
_SAID_BYTES_MAX: Final = 4096


def ask_ready(operator: Listen) -> tuple[bool, str]:
    """Ask a server whether it is ready, and what it says.

    Raises:
        OSError: it does not answer, or not as such an address would.
    """
    connection = http.client.HTTPConnection(operator.host, operator.port, timeout=_ASK_SECONDS)
    try:
        connection.request("GET", "/readyz")
        with connection.getresponse() as answer:
            said = answer.read(_SAID_BYTES_MAX).decode()
            return answer.status == http.client.OK, said
    except (http.client.HTTPException, UnicodeDecodeError) as error:
        raise OSError(str(error) or type(error).__name__) from error
    finally:
        connection.close()
