"""Role keys as files: the private half is its holder's alone, the public half is what others name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code, Misconfigured
from almenara.trust.keys import create_signing_key
from almenara.trust.rolekeys import (
    Quorum,
    create_role_key,
    keys_at_hand,
    load_role_key,
    next_root,
    protect_role_key,
    public_path,
    read_role_key,
    rotate,
    set_quorum,
)
from unit.trust.federation import DAY, NOW
from unit.trust.holders import ANA, BASE, EVA, LUIS, SOL, TEO

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuf.api.metadata import Root

PASSPHRASE = b"a long sentence that an officer remembers"


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["in clear", "with a passphrase"])
def test_a_role_key_comes_back_from_its_files(tmp_path: Path, passphrase: bytes | None) -> None:
    path = tmp_path / "ana.json"
    created = create_role_key(path, holder="Ana", passphrase=passphrase)
    loaded = load_role_key(path, passphrase=passphrase)
    public = read_role_key(public_path(path))
    assert created.key_id == loaded.key_id == public.keyid
    assert public.holder == "Ana"
    public.verify_signature(loaded.sign(b"a role"), b"a role")
    assert path.stat().st_mode & 0o777 == 0o600
    assert (public_path(path).name, public_path(path).stat().st_mode & 0o777) == ("ana.pub.json", 0o644)


def test_a_role_key_is_put_under_a_passphrase_and_out_of_it(tmp_path: Path) -> None:
    path = tmp_path / "root-1.json"
    created = create_role_key(path, holder="Ana")
    protect_role_key(path, passphrase=None, new=PASSPHRASE)
    assert keys_at_hand(tmp_path) == ()
    assert load_role_key(path, passphrase=PASSPHRASE).key_id == created.key_id
    with pytest.raises(Misconfigured, match="wrong passphrase"):
        protect_role_key(path, passphrase=b"another", new=None)
    protect_role_key(path, passphrase=PASSPHRASE, new=None)
    assert [key.key_id for key in keys_at_hand(tmp_path)] == [created.key_id]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_written_keeps_the_key_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "root-1.json"
    create_role_key(path, holder="Ana")
    before = path.read_bytes()
    # Of a file below /proc the content can be read and nothing made beside it, whoever asks.
    with path.open("rb") as file, pytest.raises(Misconfigured, match="cannot be written"):
        protect_role_key(Path(f"/proc/self/fd/{file.fileno()}"), passphrase=None, new=PASSPHRASE)
    assert path.read_bytes() == before


@pytest.mark.parametrize("holder", ["", "A" * 101, "Ana\n"], ids=["nobody", "too long", "a line feed"])
def test_a_holder_has_a_name_that_a_root_can_bear(tmp_path: Path, holder: str) -> None:
    with pytest.raises(Misconfigured, match="printable characters"):
        create_role_key(tmp_path / "ana.json", holder=holder)
    assert list(tmp_path.iterdir()) == []


def test_keys_at_hand_are_those_that_need_nobody(tmp_path: Path) -> None:
    open_key = create_role_key(tmp_path / "targets-1.json", holder="Ana")
    create_role_key(tmp_path / "targets-2.json", holder="Luis", passphrase=PASSPHRASE)
    assert [key.key_id for key in keys_at_hand(tmp_path)] == [open_key.key_id]
    assert keys_at_hand(tmp_path / "nowhere") == ()


def test_a_member_s_key_is_no_role_key(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "signing.json", passphrase=None)
    with pytest.raises(Misconfigured, match="holds a signing key, not a role key") as caught:
        keys_at_hand(tmp_path)
    assert caught.value.code is Code.KEY_UNREADABLE


def test_a_key_file_under_another_id_gives_no_key(tmp_path: Path) -> None:
    path = tmp_path / "ana.json"
    create_role_key(path, holder="Ana")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "key_id": "00" * 32}))
    with pytest.raises(Misconfigured, match="not the one its key_id names"):
        load_role_key(path)


NO_PUBLIC_HALVES: dict[str, Callable[[dict[str, object]], object]] = {
    "no JSON": lambda _: "x",
    "a list": lambda _: [],
    "another kind": lambda _: {
        "keyid": "00",
        "keytype": "ed25519",
        "scheme": "ed25519",
        "keyval": {"public": "00" * 32},
    },
    "no id": lambda held: {name: value for name, value in held.items() if name != "keyid"},
    "another id": lambda held: {**held, "keyid": "00" * 32},
    "an unknown kind": lambda held: {**held, "keytype": "rot13"},
}


@pytest.mark.parametrize("change", NO_PUBLIC_HALVES.values(), ids=NO_PUBLIC_HALVES.keys())
def test_a_file_that_is_no_public_half_is_named(
    tmp_path: Path, change: Callable[[dict[str, object]], object]
) -> None:
    path = tmp_path / "ana.json"
    create_role_key(path, holder="Ana")
    public = public_path(path)
    public.write_text(json.dumps(change(json.loads(public.read_bytes()))))
    with pytest.raises(Misconfigured, match=r"ana\.pub\.json: not the public half"):
        read_role_key(public)


def test_a_public_half_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="not the public half"):
        read_role_key(tmp_path / "none.pub.json")


def draft() -> Root:
    assert BASE.root is not None
    return next_root(BASE.root, expires=NOW + 300 * DAY)


def test_a_rotation_leaves_the_published_root_as_it_is() -> None:
    root = draft()
    rotate(root, "root", add=[TEO.public, EVA.public], remove=[ANA.key_id], threshold=3)
    assert set(root.roles["root"].keyids) == {key.key_id for key in (LUIS, SOL, TEO, EVA)}
    assert (root.version, root.roles["root"].threshold) == (2, 3)
    assert ANA.key_id not in root.keys
    assert SOL.key_id in root.keys  # of two roles
    assert BASE.root is not None
    assert ANA.key_id in BASE.root.roles["root"].keyids
    assert BASE.root.version == 1


ROTATIONS: dict[str, tuple[Callable[[Root], None], str]] = {
    "a key removed that does not sign": (
        lambda root: rotate(root, "root", add=[], remove=[TEO.key_id], threshold=2),
        "does not sign root",
    ),
    "a key added that signs already": (
        lambda root: rotate(root, "root", add=[ANA.public], remove=[], threshold=2),
        r"Ana \(.*signs root already",
    ),
    "more signatures than keys": (
        lambda root: rotate(root, "root", add=[], remove=[ANA.key_id], threshold=3),
        "3 of 2 with 2 keys",
    ),
    "no signature": (lambda root: rotate(root, "root", add=[], remove=[], threshold=0), "0 of 3"),
    "one key for two": (
        lambda root: set_quorum(root, "root", [ANA.public, ANA.public], Quorum(2, 2)),
        "2 of 2 with 1 keys",
    ),
}


@pytest.mark.parametrize(("attempt", "fault"), ROTATIONS.values(), ids=ROTATIONS.keys())
def test_a_quorum_that_cannot_be_met_is_not_drafted(attempt: Callable[[Root], None], fault: str) -> None:
    with pytest.raises(Misconfigured, match=fault):
        attempt(draft())
