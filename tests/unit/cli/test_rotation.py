"""A member's keys change by its own commands; a lost one is an alarm at the others until they approve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.node.settings import load_settings

if TYPE_CHECKING:
    from unit.cli.member_site import MemberSite


def own_epoch(site: MemberSite) -> int:
    return int(next(r["epoch"] for r in site.almenara("streams", "-o", "json").json if r["own"]))


def finding(site: MemberSite, check: str) -> str:
    return next(
        str(row["verdict"]) for row in site.almenara("doctor", "-o", "json").json if row["check"] == check
    )


def test_new_keys_are_used_once_the_coordinator_has_admitted_them(site: MemberSite) -> None:
    before = own_epoch(site)
    shown = site.almenara("member", "rotate")
    assert shown.status == 0, shown.err
    assert "new signing key" in shown.out
    assert "new sealing key" in shown.out
    assert f"almenara member admit {site.folder / 'PE' / 'enrolment.json'} --federation D" in shown.out
    site.publish()
    assert own_epoch(site) == before, "until then nothing changes"
    assert finding(site, "keys enrolled") == "warn"
    enrolment = site.folder / "PE" / "enrolment.json"
    assert site.almenara("member", "admit", enrolment, "--federation", site.folder / "D").status == 0
    site.publish()
    assert own_epoch(site) > before
    assert finding(site, "keys enrolled") == "ok"


def test_one_kind_of_key_is_changed_alone(site: MemberSite) -> None:
    shown = site.almenara("member", "rotate", "--sealing")
    assert "new sealing key" in shown.out
    assert "signing" not in shown.out


def test_a_lost_signing_key_is_an_alarm_at_the_others_until_they_approve(site: MemberSite) -> None:
    ar = site.folder / "AR"
    message, admit = site.folder / "message.json", ("member", "admit")
    federation = ("--federation", site.folder / "D")
    assert site.almenara(*admit, ar / "enrolment.json", *federation).status == 0  # AR knows PE from now on
    assert site.almenara("publish", message, "--config", ar).status == 0
    before = own_epoch(site)
    settings = load_settings(site.config, environ={})
    assert "almenara member rotate" in site.almenara("member", "recover").fault, "it is not lost"
    assert settings.signing_key_path is not None
    settings.signing_key_path.unlink()
    shown = site.almenara("member", "recover")
    assert shown.status == 0, shown.err
    assert "--key-reset" in shown.out
    assert "almenara member approve PE" in shown.out
    assert "[KEY_RESET]" in site.almenara(*admit, settings.enrolment_path, *federation).fault
    assert site.almenara(*admit, settings.enrolment_path, "--key-reset", *federation).status == 0
    site.publish()
    assert own_epoch(site) > before, "at its own node it needs nobody's approval"

    # AR hears of it with its next admission, since there is no broker here.
    assert site.almenara(*admit, ar / "enrolment.json", *federation).status == 0
    assert site.almenara("publish", message, "--config", ar).status == 0
    (waiting,) = site.almenara("member", "pending", "--config", ar, "-o", "json").json
    assert (waiting["member"], waiting["change"], waiting["approved"]) == ("PE", "KEY_RESET", False)
    assert site.almenara("member", "approve", "PE", "--config", ar).status == 0
    (waiting,) = site.almenara("member", "pending", "--config", ar, "-o", "json").json
    assert waiting["approved"]
