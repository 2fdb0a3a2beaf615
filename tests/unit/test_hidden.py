"""No value that holds a key shows it in its text, and no traceback shows what a frame held."""

from __future__ import annotations

import importlib
import io
import logging
import pkgutil
from base64 import b64encode
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from rich.pretty import pretty_repr

import almenara
from almenara import logs
from almenara.hidden import Hiding
from almenara.publisher.sealing import Sealer
from almenara.subscriber.absorb import Absorber
from almenara.trust.certificates import create_ca
from almenara.trust.heldkeys import HeldKeys
from almenara.trust.keys import SealingKey, SigningKey
from almenara.wire.seal import new_sender_key
from unit.subscriber.stream import GAP_WAIT
from unit.trust.federation import AR, NOW, PE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET_FIELDS = {"key", "k_s", "secret", "passphrase", "pin", "seed", "private"}
CANARY = b"CANARY-" + bytes(range(200, 225))
SHORT = b"CANARY-5f3a91"
"""Short, so that nothing cuts it off."""


def forms(secret: bytes) -> list[str]:
    """Return how bytes may be shown: as Python writes them, in hexadecimal, in base64."""
    return [repr(secret)[2:-1], secret.hex(), b64encode(secret).decode().rstrip("="), str(list(secret))[1:-1]]


def texts(value: object) -> str:
    return "\n".join([repr(value), str(value), f"{value}", pretty_repr(value)])


def structs(base: type[msgspec.Struct] = msgspec.Struct) -> Iterator[type[msgspec.Struct]]:
    for each in base.__subclasses__():
        if each.__module__.startswith("almenara."):
            yield each
        yield from structs(each)


def secret_structs() -> dict[str, tuple[type[msgspec.Struct], set[str]]]:
    """Return every struct of ours with bytes under a name that a secret has."""
    for module in pkgutil.walk_packages(almenara.__path__, "almenara."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {}
    for each in structs():
        names = SECRET_FIELDS & set(each.__struct_fields__)
        hints = get_type_hints(each) if names else {}
        names = {name for name in names if hints[name] in {bytes, bytes | None}}
        if names:
            found[f"{each.__module__}.{each.__qualname__}"] = each, names
    return found


SECRET_STRUCTS = secret_structs()


def test_the_structs_that_hold_a_key_are_found() -> None:
    names = {name.rpartition(".")[2] for name in SECRET_STRUCTS}
    assert {"SenderKey", "SenderKeyRow", "OpenedStatement", "_Container", "ExportedRecord"} <= names


@pytest.mark.parametrize("name", SECRET_STRUCTS)
def test_a_struct_that_holds_a_key_does_not_show_it(name: str) -> None:
    kind, secret_names = SECRET_STRUCTS[name]
    values: dict[str, Any] = dict.fromkeys(kind.__struct_fields__, b"")
    made = kind(**values | dict.fromkeys(secret_names, CANARY))
    shown = texts(made)
    assert kind.__name__ in shown
    for form in forms(CANARY):
        assert form not in shown


def test_what_is_not_hidden_is_shown() -> None:
    class Some(Hiding, frozen=True, kw_only=True):
        hidden = frozenset({"key"})
        key: bytes
        place: int

    assert repr(Some(key=CANARY, place=7)) == "Some(place=7)"


SIGNING = Ed25519PrivateKey.generate()
MLKEM, X25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
SECRETS = [SIGNING.private_bytes_raw(), MLKEM.private_bytes_raw(), X25519.private_bytes_raw()]


OBJECTS: dict[str, Callable[[], object]] = {
    "signing key": lambda: SigningKey(SIGNING),
    "held keys": lambda: HeldKeys([SigningKey(SIGNING)]),
    "sealing key": lambda: SealingKey(MLKEM, X25519),
    "sender key": new_sender_key,
    "publisher": lambda: Sealer(federation="ams", member=PE, signing_keys=HeldKeys([SigningKey(SIGNING)])),
    "subscriber": lambda: Absorber(member=AR, sealing_keys=[SealingKey(MLKEM, X25519)], gap_wait=GAP_WAIT),
    "authority": lambda: create_ca("ams", NOW),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_what_works_with_keys_does_not_show_them(name: str) -> None:
    made = OBJECTS[name]()
    secrets = [*SECRETS, *([made.key] if isinstance(getattr(made, "key", None), bytes) else [])]  # type: ignore[attr-defined]
    shown = texts(made)
    assert shown
    for secret in secrets:
        for form in forms(secret):
            assert form not in shown


def _fails(secret: bytes) -> None:
    k_s = secret
    raise ValueError(f"a key of {len(k_s)} bytes")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_value_of_a_frame(*, as_json: bool) -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, as_json=as_json, level="debug")
    try:
        _fails(SHORT)
    except ValueError:
        structlog.get_logger().exception("child.failed")
        logging.root.manager.getLogger("asyncio").exception("Task exception was never retrieved")
    written = stream.getvalue()
    assert written.count("a key of 13 bytes") >= 2
    assert SHORT.decode() not in written
