"""The systemd units run commands that exist, and keep the hardening that their comments promise."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import click
import pytest

from almenara.cli.__main__ import almenara
from almenara.errors import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

UNITS = ("almenara-node@.service", "almenara-coordinator.service", "almenara-broker.service")

PROMISED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "CapabilityBoundingSet": "",
    "UMask": "0077",
    "LimitCORE": "0",
    "SystemCallArchitectures": "native",
    "RestartPreventExitStatus": str(Misconfigured.exit_status),
}

EXPLAINED = ("NoNewPrivileges", "ProtectSystem", "ReadWritePaths", "PrivateDevices", "SystemCallFilter")


def settings(unit: Path) -> list[tuple[str, str]]:
    lines = (line for line in unit.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest, repository: Path) -> Path:
    found: Path = repository / "deploy" / "systemd" / request.param
    return found


def test_a_unit_starts_a_command_that_exists_with_options_that_it_takes(unit: Path) -> None:
    (line,) = [value for name, value in settings(unit) if name == "ExecStart"]
    program, *arguments = shlex.split(line)
    assert program == "/opt/almenara/bin/almenara"
    group, command, *options = arguments
    with click.Context(almenara) as context:
        found = almenara.get_command(context, group)
        assert isinstance(found, click.Group)
        called = found.get_command(context, command)
    assert called is not None
    called.make_context(command, [option.replace("%i", "PE") for option in options])


def test_a_unit_keeps_its_promises(unit: Path) -> None:
    said = dict(settings(unit))
    assert {name: said.get(name) for name in PROMISED} == PROMISED
    assert said["User"] != "root"


def test_every_restriction_has_its_reason(unit: Path) -> None:
    """A setting stands below a comment, alone or in one block with others."""
    blocks = unit.read_text().partition("[Service]")[2].partition("[Install]")[0].split("\n\n")
    for block in blocks[1:]:
        for name in (
            "NoNewPrivileges",
            "ProtectSystem",
            "ReadWritePaths",
            "PrivateDevices",
            "SystemCallFilter",
        ):
            if f"\n{name}=" in block:
                before = block.partition(f"\n{name}=")[0].splitlines()[-1]
                assert before.startswith("#"), f"{name} without a reason"


@pytest.mark.systemd
def test_systemd_understands_a_unit(unit: Path, tmp_path: Path) -> None:
    # The program is not installed on the machine that tests, so another stands in for it.
    copy = tmp_path / unit.name.replace("@", "@PE")
    copy.write_text(unit.read_text().replace("/opt/almenara/bin/almenara", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False
    )
    assert not [line for line in done.stderr.splitlines() if copy.name in line]
