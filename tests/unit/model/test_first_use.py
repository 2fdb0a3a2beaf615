"""Threads may come to a message at the same moment, also when it is the first of the process."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources

ATTEMPTS = 8
"""Before the types were described at import, four of ten attempts ended in a segmentation fault."""

PROGRAM = """
import json, sys, threading
import msgspec
from almenara.model.messages import Message

fields = json.load(sys.stdin)
sys.setswitchinterval(1e-6)
together = threading.Barrier(4)

def convert():
    together.wait()
    msgspec.convert(fields, Message)

threads = [threading.Thread(target=convert) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_first_messages_of_a_process_may_come_in_several_threads() -> None:
    line = resources.files("almenara.demo.samples").joinpath("PE.jsonl").read_bytes().splitlines()[0]
    fields = json.loads(line)["message"]
    fields |= {
        "message_id": "01936e5c-0000-7000-8000-000000000001",
        "issued_at": "2026-11-24T09:30:00Z",
        "body": {"kind": fields.pop("kind"), **fields["body"]},
    }
    for _ in range(ATTEMPTS):
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=json.dumps(fields),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
