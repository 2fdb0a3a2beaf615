"""A member's folder as a node has left it, made by the command line alone, without a broker."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from almenara import clock
from almenara.cli.__main__ import almenara
from almenara.cli.app import run
from almenara.clock import to_micros
from almenara.model.ids import AudienceId, MemberId
from almenara.model.json import parse_message
from almenara.node.settings import load_settings
from almenara.store import inbox
from almenara.store.database import Store
from almenara.store.inbox import MessageRow
from almenara.wire.messages import content_hash, encode_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from sqlalchemy import Connection

    from almenara.model.messages import Message

REGION = AudienceId("region")

NO_BROKER = "127.0.0.1:1"


class Shown(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever was written
        return json.loads(self.out)

    @property
    def fault(self) -> str:
        """Return the one line of error, without its label."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return line.removeprefix("error: ")


class MemberSite:
    """PE's folder in a federation with AR and CL; `almenara` runs a command for it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.config = folder / "PE" / "member.toml"
        self.state = folder / "PE" / "state"
        self._capsys = capsys

    def almenara(self, *arguments: object) -> Shown:
        """Run a command in this process."""
        self._capsys.readouterr()
        status = run(almenara, [str(argument) for argument in arguments])
        return Shown(status, *self._capsys.readouterr())

    def publish(self, document: dict[str, Any] | None = None, *options: str) -> str:
        """Publish a message and return its id."""
        file = self.folder / "message.json"
        file.write_text(json.dumps(document or alert()))
        shown = self.almenara("publish", file, "-o", "json", *options)
        assert shown.status == 0, shown.err
        return str(shown.json[0]["message_id"])

    def write(self, work: Callable[[Connection], None]) -> None:
        """Write to the store."""
        store = Store.open(load_settings(self.config, environ={}).store_path)
        try:
            store.write_now(work)
        finally:
            store.close()

    def receive(self, *messages: Message, sender: str = "AR", flags: str = "") -> None:
        """Put messages of another member into the inbox, as the subscriber does."""
        rows = [received(message, MemberId(sender), flags) for message in messages]
        self.write(lambda connection: inbox.insert_messages(connection, rows))


def found(folder: Path) -> None:
    """Make a federation; PE, admitted last, knows the others and has said one thing: its store is there."""
    made = ["federation", "init", "--state", folder / "D", "--name", "ams", "--bootstrap", NO_BROKER]
    assert run(almenara, [str(argument) for argument in made]) == 0
    for member in ("AR", "CL", "PE"):
        assert run(almenara, ["member", "init", "--id", member, "--state", str(folder / member)]) == 0
        enrolment = str(folder / member / "enrolment.json")
        assert run(almenara, ["member", "admit", enrolment, "--federation", str(folder / "D")]) == 0
    (folder / "message.json").write_text(json.dumps(alert()))
    config = ["--config", str(folder / "PE" / "member.toml")]
    assert run(almenara, ["publish", str(folder / "message.json"), *config]) == 0


def alert(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """Return the document of a sound alert."""
    return {
        "kind": "RISK_ALERT",
        "reference": "PE-2026-000123",
        "expires_at": f"{clock.now() + timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}",
        "handling": {"tlp": "GREEN", "purposes": ["RISK_ANALYSIS"]},
        "texts": [{"lang": "es", "title": "Cigarrillos"}, {"lang": "pt", "title": "Cigarros"}],
        "body": {
            "area": "TOBACCO",
            "level": "HIGH",
            "urgency": "PRIORITY",
            "goods": [{"hs": "240220"}],
            "origin": "PY",
        },
        **changes,
    }


def message(**changes: Any) -> Message:  # noqa: ANN401 - any field
    return parse_message(json.dumps(alert(**changes)), now=clock.now())


def received(said: Message, sender: MemberId, flags: str) -> MessageRow:
    item = encode_message(said)
    body: Any = said.body
    return MessageRow(
        publisher=sender,
        message_id=said.message_id.bytes,
        content=content_hash(item, REGION, said.recipients),
        audience=REGION,
        epoch=1,
        seq=0,
        recipients=" ".join(said.recipients),
        flags=flags,
        kind=said.kind,
        area=body.area,
        level=body.level,
        origin=body.origin,
        hs=f" {body.goods[0].hs} ",
        issued_at=to_micros(said.issued_at),
        received_at=to_micros(said.issued_at),
        body=item,
        reference=said.reference,
    )
