"""What a node cannot take up changes nothing, and is said once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import structlog
from msgspec.structs import replace

from almenara import clock
from almenara.bus.kafka import Reader
from almenara.coordinator.federation import Federation
from almenara.errors import Code, Unavailable
from almenara.node.identity import open_member, require_certificate
from almenara.node.local import Connected
from almenara.node.member_folder import init_member, write_renewal
from almenara.node.renewal import Renewal
from almenara.node.settings import MemberSettings, load_settings
from almenara.trust.certificates import load_certificate

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from almenara.trust.directory import Directory

NO_BROKER, NOWHERE = "127.0.0.1:1", "127.0.0.1:2"


def founded(folder: Path, now: datetime) -> tuple[Federation, MemberSettings]:
    """Return a federation and the folder of PE, admitted at that time."""
    federation = Federation.init(folder / "D", name="ams", now=now, bootstrap=NO_BROKER)
    init_member(folder / "PE", member="PE", federation="ams", name="Peru", now=now)
    settings = load_settings(folder / "PE", environ={})
    admission = federation.admit(settings.enrolment_path.read_bytes(), now=now)
    settings.admission_path.write_bytes(admission.to_bytes())
    return federation, replace(settings, renewal_poll_s=0.01)


def watching(settings: MemberSettings, directory: Directory | None = None) -> tuple[Renewal, Connected]:
    now = clock.now()
    identity = open_member(settings, now=now)
    connected = Connected(
        bootstrap=NO_BROKER, context=identity.context, certificate=require_certificate(settings, now)
    )
    renewal = Renewal(
        settings,
        connected=connected,
        certificate=identity.certificate,
        clients=[Reader(NO_BROKER, identity.context)],
        directory=lambda: directory,
        installs=True,
    )
    return renewal, connected


async def events(renewal: Renewal) -> list[str]:
    """Return what a node says that looks again and again for a while."""
    stopping = asyncio.Event()
    with structlog.testing.capture_logs() as logs:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(renewal.run(stopping=stopping))
            await asyncio.sleep(0.3)
            stopping.set()
    return [entry["event"] for entry in logs]


async def test_brokers_that_do_not_answer_at_their_new_address_are_not_moved_to(tmp_path: Path) -> None:
    federation, settings = founded(tmp_path, clock.now())
    moved = replace(federation.published(clock.now()).directory, bootstrap=NOWHERE)
    renewal, connected = watching(settings, moved)
    with pytest.raises(Unavailable, match="the old ones stay in use") as caught:
        await renewal.follow()
    assert caught.value.code is Code.BROKER_DOWN
    assert connected.bootstrap == NO_BROKER


async def test_a_renewed_certificate_is_installed_and_waits_for_a_broker_that_takes_it(
    tmp_path: Path,
) -> None:
    federation, settings = founded(tmp_path, clock.now())
    renewal, connected = watching(settings)
    before = connected.certificate
    request = write_renewal(settings, new_key=True, now=clock.now()).read_bytes()
    admission = federation.renew_member(request, now=clock.now() + timedelta(minutes=1))
    settings.admission_path.write_bytes(admission.to_bytes())
    assert await events(renewal) == ["admission.installed", "connection.not_renewed"]
    installed = load_certificate(settings.certificate_path.read_bytes())
    assert installed == load_certificate(admission.certificate.encode())
    assert connected.certificate is before


async def test_an_admission_that_is_half_written_is_said_once_and_changes_nothing(tmp_path: Path) -> None:
    _, settings = founded(tmp_path, clock.now())
    renewal, _ = watching(settings)
    before = settings.certificate_path.read_bytes()
    whole = settings.admission_path.read_bytes()
    settings.admission_path.write_bytes(whole[:1000])
    assert await events(renewal) == ["connection.not_renewed"]
    assert settings.certificate_path.read_bytes() == before
    settings.admission_path.write_bytes(whole)
    assert await events(renewal) == ["admission.installed"]


async def test_a_certificate_that_was_taken_away_is_said_and_the_node_goes_on(tmp_path: Path) -> None:
    _, settings = founded(tmp_path, clock.now())
    renewal, connected = watching(settings)
    settings.certificate_path.unlink()
    assert await events(renewal) == ["connection.not_renewed"]
    assert connected.bootstrap == NO_BROKER


async def test_a_certificate_that_ends_soon_is_said_once_a_day(tmp_path: Path) -> None:
    _, settings = founded(tmp_path, clock.now() - timedelta(days=80))
    renewal, _ = watching(settings)
    assert await events(renewal) == ["certificate.expires_soon"]


async def test_where_nothing_has_changed_nothing_is_said(tmp_path: Path) -> None:
    _, settings = founded(tmp_path, clock.now())
    renewal, _ = watching(settings)
    assert await events(renewal) == []
