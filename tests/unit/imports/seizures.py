"""A mapping of rows about seizures, written for tests: an alert, and a result where something was seized."""

from __future__ import annotations

from almenara.imports.mapping import parse_mapping

SOUND = """\
name = "seizures"
title = "Seizures"

[row]
identity = { from = ["id"] }
sender = { from = "who", do = ["country"] }
issued_at = { from = "when", do = ["time UTC"] }
recipients = { from = "whom", do = ["split", "country"] }
retention_days = 30

[every]
handling = { tlp = "AMBER" }

[[message]]
name = "alert"
kind = "RISK_ALERT"
valid_days = 10

[[message.fields.actions]]
each.member = { from = "whom", do = ["split", "country"] }
requested = "INFORM"

[message.body]
area = "DRUGS"
level = "HIGH"
urgency = "ROUTINE"
origin = { from = "origin", do = ["country"] }

[[message]]
name = "result"
kind = "CONTROL_RESULT"
when = { column = "outcome", is = ["seized"] }
answers = "alert"

[message.body]
outcome = "SEIZED"

[[message.body.findings]]
area = "DRUGS"
quantity = { from = "kg", do = ["number"] }
unit = "KGM"
"""

MAPPING = parse_mapping(SOUND.encode(), source="seizures.toml")
HEADER = "id,who,when,whom,origin,kg,outcome,remarks"
ROW = '7,Peru,2026-11-01 08:00:00,"Chile,Cuba",Bolivia,0.0,seized,x'
