"""Evidence that an author or a reader exports is verified by a stranger without store, folder or network."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from alerts import new_alert
from almenara.trust.refresh import root_fingerprint
from buses import connected, view
from patience import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from node_site import NodeSite

pytestmark = pytest.mark.integration

STRANGER = """
import sys

def deny(event, arguments):
    if event.startswith("socket."):
        raise AssertionError(f"{event}: a verifier needs no network")

sys.addaudithook(deny)
from almenara.cli.__main__ import main

main()
"""


def verified(file: Path, fingerprint: str, empty: Path) -> dict[str, Any]:
    """Return what a machine that has nothing but the program says of the file."""
    arguments = ["evidence", "verify", file.name, "--root-fingerprint", fingerprint, "-o", "json"]
    (empty / file.name).write_bytes(file.read_bytes())
    shown = subprocess.run(
        [sys.executable, "-c", STRANGER, *arguments],
        cwd=empty,
        env={"PYTHONPATH": ":".join(sys.path), "HOME": str(empty), "TMPDIR": str(empty)},
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert shown.returncode == 0, shown.stderr.decode()
    report: dict[str, Any] = json.loads(shown.stdout)
    return report


def exported(site: NodeSite, member: str, message_id: str, file: Path) -> None:
    arguments = ["evidence", "export", message_id, "--output", file, "--config", site[member].file]
    subprocess.run(
        [sys.executable, "-m", "almenara.cli", *map(str, arguments)],
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )


async def test_author_and_reader_prove_the_same_statement_each_with_receipts_of_others(
    trio: NodeSite, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    async with connected(trio, "PE", "AR", "CL") as (author, reader, other):
        handle = await author.publish(new_alert(), audience="trio")
        confirmed = await handle.received(timeout=PATIENCE_S)
        assert not confirmed.waiting
        # What follows makes links, and receipts that name a later statement.
        await (await author.publish(new_alert(), audience="trio")).received(timeout=PATIENCE_S)
        # The author has CL's receipts by now; AR, whose evidence shows them too, gets them when it does.
        said = await view(other, "CL", lambda found: found.own, audience="trio")
        await view(
            reader, "CL", lambda found: (found.epoch, found.seq) >= (said.epoch, said.seq), audience="trio"
        )
    fingerprint = root_fingerprint(trio["PE"].root_path.read_bytes())
    reports = {}
    for member in ("PE", "AR"):
        file = tmp_path / f"{member}.bin"
        exported(trio, member, str(handle.message_id), file)
        reports[member] = verified(file, fingerprint, tmp_path / "empty")
    for report in reports.values():
        assert (report["verdict"], report["author"], report["time"]) == ("PROVEN", "PE", "BOUNDED")
        assert [each["message"]["message_id"] for each in report["messages"]] == [str(handle.message_id)]
        assert report["issued_at"] <= report["existed_by"]
        assert {each["code"] for each in report["receipts"]} == {""}
    assert [each["member"] for each in reports["PE"]["receipts"]] == ["AR", "CL"]
    assert [each["member"] for each in reports["AR"]["receipts"]] == ["CL"]
    assert reports["PE"]["hash"] == reports["AR"]["hash"]
