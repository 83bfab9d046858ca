"""The ways to a hub: another address where nobody answers, another key where the first is not known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from broker.certificates import self_signed
from broker.client import HubClient
from keys.signing import RequestSigningKey
from schemas.directory import HubAddress
from schemas.errors import ConfigurationError, HubUnreachable, Problem
from tests.exchange.live import EXCHANGE, LiveHub, free_port, run

DESK = "tn/main"


def address(hub: LiveHub, **changed: str) -> HubAddress:
    """The hub's, or another."""
    return hub.invitation.hub.model_copy(update=changed)


def nobody(hub: LiveHub) -> HubAddress:
    """An address of this machine at which nobody answers."""
    port = free_port()
    return address(hub, url=f"https://127.0.0.1:{port}", authority=f"127.0.0.1:{port}")


def stranger_trust() -> str:
    """A certificate that is not the hub's."""
    now = datetime.now(UTC).replace(microsecond=0)
    return self_signed(("127.0.0.1",), now).certificate.decode("ascii")


@asynccontextmanager
async def aimed(
    hub: LiveHub, addresses: Sequence[HubAddress], *keys: RequestSigningKey
) -> AsyncIterator[HubClient]:
    """A client of tn/main; without keys it has the right one."""
    right = hub.desks[DESK].request
    async with HubClient(addresses[0], EXCHANGE, (keys or (right,))[0], hub.now_unix) as client:
        client.aim(addresses, keys or (right,))
        yield client


async def call(client: HubClient) -> None:
    """One call that only a known desk makes."""
    await client.sealing_keys(DESK)


def test_the_next_address_where_nobody_answers(hub: LiveHub) -> None:
    """What comes later begins with the one that answered; a change of the aim begins anew."""

    async def work() -> None:
        first, second = nobody(hub), address(hub)
        async with aimed(hub, (first, second)) as client:
            await call(client)
            assert [way.address for way in client._ways] == [second, first]
            await call(client)
            client.aim((first, second), (hub.desks[DESK].request,))
            assert [way.address for way in client._ways] == [second, first]
            client.aim((first, second), (hub.desks[DESK].request, RequestSigningKey.generate()))
            assert client._ways[0].address == first

    run(work())


def test_nobody_anywhere(hub: LiveHub) -> None:
    """Then the hub is away."""

    async def work() -> None:
        keys = (hub.desks[DESK].request, RequestSigningKey.generate())
        async with aimed(hub, (nobody(hub), nobody(hub)), *keys) as client:
            with pytest.raises(HubUnreachable):
                await call(client)

    run(work())


def test_another_name_of_the_hub(hub: LiveHub) -> None:
    """It answers at both addresses; what is signed is the name that it has now."""

    async def work() -> None:
        renamed = address(hub, authority="hub.elsewhere.example")
        async with aimed(hub, (renamed,)) as client:
            with pytest.raises(Problem, match="signature-invalid"):
                await call(client)
            client.aim((renamed, address(hub)), (hub.desks[DESK].request,))
            await call(client)

    run(work())


def test_another_key(hub: LiveHub) -> None:
    """The hub knows the desk by the second alone; by none, the first refusal is told."""

    async def work() -> None:
        unknown, right = RequestSigningKey.generate(), hub.desks[DESK].request
        async with aimed(hub, (address(hub),), unknown, right) as client:
            await call(client)
            assert client._ways[0].key is right
            client.aim((address(hub),), (unknown,))
            with pytest.raises(Problem, match="unknown-key"):
                await call(client)

    run(work())


def test_a_refusal_of_what_is_asked_is_final(hub: LiveHub) -> None:
    """Who calls is known: no other way is tried, or everything would be asked twice."""

    async def work() -> None:
        unknown, right = RequestSigningKey.generate(), hub.desks[DESK].request
        async with aimed(hub, (address(hub),), right, unknown) as client:
            with pytest.raises(Problem, match="not-your-desk"):
                await client.inbox("dz/main", limit=1)

    run(work())


@pytest.mark.parametrize("is_there", [True, False])
def test_keys_that_were_made_meanwhile(hub: LiveHub, is_there: bool) -> None:
    """Where none is known the client has them looked for, once, and the call goes on."""
    looked = 0

    async def work() -> None:
        unknown, right = RequestSigningKey.generate(), hub.desks[DESK].request
        async with aimed(hub, (address(hub),), unknown) as client:

            async def look() -> None:
                nonlocal looked
                looked += 1
                client.aim((address(hub),), (unknown, right) if is_there else (unknown,))

            client.look_for_keys = look
            if is_there:
                await call(client)
                return
            with pytest.raises(Problem, match="unknown-key"):
                await call(client)

    run(work())
    assert looked == 1


def test_all_certificates_are_trusted_together(hub: LiveHub) -> None:
    """While the hub's certificate changes, clients trust the one before and the one after."""

    async def work() -> None:
        wrong = address(hub, tls_trust=stranger_trust())
        async with aimed(hub, (wrong,)) as client:
            with pytest.raises(HubUnreachable):
                await call(client)
            client.aim((wrong, address(hub, url=nobody(hub).url)), (hub.desks[DESK].request,))
            await call(client)
            # What the council dropped is not trusted any more.
            client.aim((wrong,), (hub.desks[DESK].request,))
            with pytest.raises(HubUnreachable):
                await call(client)

    run(work())


def test_trust_that_is_none(hub: LiveHub) -> None:
    """What cannot be trusted changes nothing."""

    async def work() -> None:
        async with aimed(hub, (address(hub),)) as client:
            before = client._ways
            with pytest.raises(ConfigurationError, match="not PEM"):
                client.aim((address(hub, tls_trust="nothing"),), (hub.desks[DESK].request,))
            assert client._ways == before
            await call(client)

    run(work())


def test_an_answer_that_comes_after_a_change(hub: LiveHub) -> None:
    """A call that began before another aim was given brings back no way that was taken away."""

    async def work() -> None:
        async with aimed(hub, (address(hub),)) as client:
            old = client._ways[0]
            async with client.asked("GET", f"/v1/desks/{DESK}/sealing-keys"):
                client.aim((nobody(hub),), (hub.desks[DESK].request,))
            client._prefer(old)
            assert old not in client._ways

    run(work())


def test_old_connections(hub: LiveHub) -> None:
    """Those that trust what is trusted no more end with their last call, and not in its midst."""

    async def work() -> None:
        async with aimed(hub, (address(hub),)) as client:
            old, closed = client._http, []
            async with client.asked("GET", f"/v1/desks/{DESK}/sealing-keys") as answer:
                client.aim((address(hub, tls_trust=stranger_trust()),), client._aim[1])
                client.aim((address(hub),), client._aim[1])
                await call(client)
                closed.append(old.is_closed)
                assert await answer.aread()
            closed.append(old.is_closed)
            assert (closed, client._retired) == ([False, True], [])

    run(work())
