"""`almenara key` shows, protects, backs up and restores, and never prints or takes a secret in the open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.store.lease import folder_lease

if TYPE_CHECKING:
    from pathlib import Path

    from unit.cli.member_site import MemberSite


def passphrase(site: MemberSite, name: str, text: str) -> Path:
    path = site.folder / name
    path.touch(mode=0o600)
    path.write_text(f"{text}\n")
    return path


def test_keys_are_shown_protected_backed_up_and_restored(site: MemberSite) -> None:
    before = {row["key_id"] for row in site.almenara("key", "show", "-o", "json").json}
    file = passphrase(site, "p", "of the node")
    done = site.almenara("key", "protect", "--passphrase-file", file)
    assert (done.status, done.out) == (0, "PE: 3 keys under the new passphrase\n")
    shown = site.almenara("key", "show", "-o", "json").json
    assert {row["key_id"] for row in shown} == before
    assert {row["kind"]: row["protection"] for row in shown} == {
        "signing": "scrypt",
        "sealing": "scrypt",
        "checkpoint": "scrypt",
        "tls": "none",
    }

    under, output = passphrase(site, "b", "of the backup"), site.folder / "PE.backup"
    done = site.almenara("key", "backup", "--output", output, "--passphrase-file", under)
    assert done.status == 0, done.err
    new = site.folder / "new"
    done = site.almenara("key", "restore", output, "--state", new, "--passphrase-file", under)
    assert done.status == 0, done.err
    assert "almenara epoch open" in done.out
    shown = site.almenara("key", "show", "--config", new, "-o", "json").json
    assert {row["key_id"] for row in shown} == before
    assert {row["protection"] for row in shown} == {"none"}
    assert site.almenara("publish", "--config", new, "--dry-run", site.folder / "none.json").status == 2

    wrong = site.almenara("key", "restore", output, "--state", site.folder / "w", "--passphrase-file", file)
    assert wrong.status == 2
    assert "wrong passphrase, or damaged" in wrong.fault


def test_a_passphrase_that_no_file_names_is_asked_for(
    site: MemberSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person types it twice for what is new, once for what is known."""
    typed: list[str] = []

    def asked(prompt: str, **_: object) -> str:
        typed.append(prompt)
        return "typed"

    monkeypatch.setattr("click.termui.visible_prompt_func", asked)
    monkeypatch.setattr("click.termui.hidden_prompt_func", asked)
    done = site.almenara("key", "protect", "--passphrase")
    assert "passphrase_file in member.toml" in done.out
    assert len(typed) == 2
    output = site.folder / "PE.backup"
    assert site.almenara("key", "backup", "--output", output).status == 0
    assert len(typed) == 5
    assert site.almenara("key", "restore", output, "--state", site.folder / "new").status == 0
    assert len(typed) == 6
    assert site.almenara("key", "protect", "--remove").status == 0
    assert len(typed) == 7


def test_a_new_member_may_be_asked_for_its_passphrase(
    site: MemberSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda *_, **__: "typed")
    new = site.folder / "BO"
    assert site.almenara("member", "init", "--id", "BO", "--state", new, "--passphrase").status == 0
    shown = site.almenara("key", "show", "--config", new, "-o", "json").json
    assert [row["protection"] for row in shown if row["kind"] != "tls"] == ["scrypt"] * 3
    both = ("--passphrase", "--passphrase-file", passphrase(site, "p", "x"))
    done = site.almenara("member", "init", "--id", "BO", "--state", site.folder / "B", *both)
    assert "not both" in done.fault


@pytest.mark.parametrize("options", [(), ("--passphrase", "--remove")])
def test_how_to_protect_is_said_once(site: MemberSite, options: tuple[str, ...]) -> None:
    done = site.almenara("key", "protect", *options)
    assert done.status == 2
    assert "give one of" in done.fault


def test_keys_do_not_change_under_a_node_that_runs(site: MemberSite) -> None:
    with folder_lease(site.state / "node.lock"):
        done = site.almenara("key", "protect", "--remove")
    assert done.status == 3
    assert "STORE_LOCKED" in done.fault
