"""What the guide on mappings shows is true."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from almenara.imports.mapping import parse_mapping
from almenara.imports.rows import Mapped
from almenara.model.json import message_json
from unit.imports.reading import read_rows

if TYPE_CHECKING:
    from pathlib import Path


def test_worked_example_makes_the_message_that_it_shows(repository: Path, tmp_path: Path) -> None:
    guide = (repository / "docs/guides/mapping.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"```(csv|toml|json)\n(.*?)```", guide, re.DOTALL))
    rows = tmp_path / "refused.csv"
    rows.write_text(shown["csv"], encoding="utf-8")
    mapping = parse_mapping(shown["toml"].encode(), source="refused.toml")
    first, second = read_rows(rows, mapping, now=datetime(2026, 11, 24, tzinfo=UTC))
    assert isinstance(first.outcome, Mapped)
    assert isinstance(second.outcome, Mapped)
    assert first.outcome.sender == "PA"
    [message] = first.outcome.messages
    assert json.loads(json.dumps(message_json(message))) == json.loads(shown["json"])
    [message] = second.outcome.messages
    assert (message.recipients, message.actions) == ((), ())
    assert [text.narrative for text in message.texts] == ["Reason: mould."]
