"""A member's settings come from its file, the environment and flags, in that order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code, Misconfigured
from almenara.node.settings import load_settings
from almenara.node.supervise import Start
from almenara.store.place import Database

if TYPE_CHECKING:
    from pathlib import Path

LEAST = 'federation = "ams"\nmember = "PE"\n'


def write(folder: Path, text: str) -> Path:
    file = folder / "member.toml"
    file.write_text(text)
    return file


def test_two_lines_are_enough(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, LEAST), environ={})
    assert (settings.federation, settings.member, settings.bootstrap) == ("ams", "PE", "")
    assert settings.store_path == tmp_path / "state" / "almenara.db"
    assert settings.socket_path == tmp_path / "state" / "node.sock"
    assert settings.signing_key_uri == f"file:{tmp_path}/keys/signing.json"
    assert settings.passphrase_file is None


def test_a_folder_stands_for_its_file(tmp_path: Path) -> None:
    write(tmp_path, LEAST)
    assert load_settings(tmp_path, environ={}).file == tmp_path / "member.toml"


def test_paths_are_relative_to_the_file_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, LEAST + 'state = "/var/lib/pe"\nkeys = "../k"\nsigning_key = "file:s.json"\n')
    settings = load_settings(tmp_path, environ={})
    assert str(settings.state) == "/var/lib/pe"
    assert settings.tls_key_path.resolve() == tmp_path.parent / "k" / "tls.key"
    assert settings.signing_key_uri == f"file:{tmp_path}/s.json"


def test_a_key_that_is_no_file_is_left_to_the_signer(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, LEAST + 'signing_key = "pkcs11:token=pe"\n'), environ={})
    assert settings.signing_key_uri == "pkcs11:token=pe"


def test_a_flag_outranks_the_environment_which_outranks_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, LEAST + "[publisher]\nretry_s = 1.0\nreceipt_interval_s = 1.0\n")
    settings = load_settings(
        file,
        environ={"ALMENARA_PUBLISHER_RETRY_S": "2", "ALMENARA_BOOTSTRAP": "b:1", "ALMENARA_CACHE": "/c"},
        flags={"publisher.retry_s": "3.5"},
    )
    assert settings.publisher.retry_s == 3.5
    assert settings.publisher.receipt_interval_s == 1.0
    assert settings.bootstrap == "b:1"


def test_a_store_is_a_file_in_the_state_folder_or_a_database(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, LEAST), environ={})
    assert settings.store_place == settings.store_path
    url = "postgresql://almenara_pe@db.example.org/pe?passfile=pgpass"
    settings = load_settings(write(tmp_path, f'{LEAST}store = "{url}"\n'), environ={})
    assert str(settings.store_place) == "postgresql://almenara_pe@db.example.org/pe"
    assert isinstance(settings.store_place, Database)
    assert settings.store_place.parsed().query["passfile"] == str(tmp_path / "pgpass")
    start = Start(settings=settings, term=7)
    assert Start.from_bytes(start.to_bytes()) == start, "a child process gets it whole"


def test_a_password_of_the_store_comes_from_the_environment_or_its_file_and_is_shown_nowhere(
    tmp_path: Path,
) -> None:
    url = "postgresql://pe:hush@db.example.org/pe"
    with pytest.raises(Misconfigured, match="passfile") as refusal:
        load_settings(write(tmp_path, f'{LEAST}store = "{url}"\n'), environ={})
    assert "hush" not in refusal.value.text
    settings = load_settings(write(tmp_path, LEAST), environ={"ALMENARA_STORE": url})
    assert isinstance(settings.store_place, Database)
    assert settings.store_place.parsed().password == "hush"
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (LEAST + "stat = 1\n", "`stat`"),
        (LEAST + "[publisher]\nretry = 1.0\n", "`retry`"),
        (LEAST + '[subscriber]\npoll_s = "fast"\n', "subscriber.poll_s"),
        ('member = "PE"\n', "`federation`"),
        ('federation = "ams"\nmember = "Peru"\n', "Peru"),
        ('federation = "A"\nmember = "PE"\n', "federation name"),
        ("federation\n", "member.toml"),
    ],
    ids=["unknown", "unknown in section", "type", "missing", "member id", "federation name", "not TOML"],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(Misconfigured, match=named) as caught:
        load_settings(write(tmp_path, text), environ={})
    assert caught.value.code is Code.CONFIGURATION
    assert "member.toml" in caught.value.text


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "member.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match=r"member\.toml"):
        load_settings(tmp_path, environ={})


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="ALMENARA_SUBSCRIBER_POLL_S='soon'"):
        load_settings(write(tmp_path, LEAST), environ={"ALMENARA_SUBSCRIBER_POLL_S": "soon"})


def test_an_unknown_flag_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"'poll'.*subscriber\.poll_s"):
        load_settings(write(tmp_path, LEAST), environ={}, flags={"poll": "1"})


def test_a_missing_file_tells_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="almenara member init"):
        load_settings(tmp_path, environ={})
