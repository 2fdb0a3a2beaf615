"""Do the service units start what exists, and does each give up every right it does not need?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from unit.cli.test_help import fault_of

UNITS = sorted((Path(__file__).resolve().parents[3] / "deploy" / "systemd").glob("*.service"))


def settings(unit: Path) -> list[tuple[str, str]]:
    """Return the settings of a unit in order; one may stand more than once."""
    lines = (line for line in unit.read_text("utf-8").splitlines() if re.match(r"\w+=", line))
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def test_there_is_a_unit_for_each_daemon() -> None:
    assert [unit.name for unit in UNITS] == [
        "almenara-broker.service",
        "almenara-coordinator.service",
        "almenara-node@.service",
    ]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_a_unit_starts_can_be_typed(unit: Path) -> None:
    (command,) = (value for name, value in settings(unit) if name == "ExecStart")
    assert fault_of(command.removeprefix("/opt/almenara/bin/").replace("%i", "PE")) == ""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
@pytest.mark.parametrize(
    "wanted",
    [
        ("ProtectSystem", "strict"),
        ("ProtectHome", "true"),
        ("PrivateDevices", "true"),
        ("NoNewPrivileges", "true"),
        ("CapabilityBoundingSet", ""),
        ("RestrictNamespaces", "true"),
        ("SystemCallFilter", "@system-service"),
        ("LimitCORE", "0"),
        ("UMask", "0077"),
        ("RestartPreventExitStatus", "2"),
    ],
    ids=lambda wanted: wanted[0],
)
def test_a_unit_keeps_no_right_it_does_not_need(unit: Path, wanted: tuple[str, str]) -> None:
    assert wanted in settings(unit)
    assert "root" not in [value for name, value in settings(unit) if name == "User"]
