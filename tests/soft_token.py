"""A token of SoftHSM in a folder, for tests: keys are made in it, it is taken away and put back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism
from pkcs11.util.ec import encode_named_curve_parameters

PIN = "5678"
CURVES = {KeyType.EC_EDWARDS: "1.3.101.112", KeyType.EC: "secp256r1"}


def module() -> Path:
    """Return SoftHSM's library, which Debian keeps in a folder of the machine's kind."""
    folder = Path("/usr/lib")
    return next(path for place in ("softhsm", "*/softhsm") for path in folder.glob(f"{place}/libsofthsm2.so"))


class SoftToken:
    """One token `almenara`, with a PIN file beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokens = folder / "tokens"
        self.tokens.mkdir()
        settings = folder / "softhsm2.conf"
        settings.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\n")
        # The library reads its environment when it begins, so it begins anew for each token.
        os.environ["SOFTHSM2_CONF"] = str(settings)
        self._pin = PIN
        self.pin = folder / "pin"
        self.pin.touch(mode=0o600)
        self.pin.write_text(f"{PIN}\n")
        subprocess.run(
            [
                "softhsm2-util",
                "--init-token",
                "--free",
                "--label",
                "almenara",
                "--so-pin",
                "0000",
                "--pin",
                PIN,
            ],
            check=True,
            capture_output=True,
        )
        self.library = pkcs11.lib(str(module()))
        self.library.reinitialize()

    def make_key(
        self, label: str, identifier: bytes, *, kind: KeyType = KeyType.EC_EDWARDS, signs: bool = True
    ) -> None:
        """Make a key pair in the token."""
        with self._session() as session:
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(CURVES[kind])}
            generate = {
                KeyType.EC_EDWARDS: Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                KeyType.EC: Mechanism.EC_KEY_PAIR_GEN,
            }
            session.create_domain_parameters(kind, curve, local=True).generate_keypair(
                mechanism=generate[kind],
                store=True,
                label=label,
                id=identifier,
                private_template={Attribute.SIGN: signs},
            )

    def give_public_half(self, label: str, *, of: str) -> None:
        """Put another key's public half in the place of one's own."""
        with self._session() as session:
            session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=label).destroy()
            session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=of)[Attribute.LABEL] = label

    def change_pin(self, pin: str) -> None:
        """Give the token another PIN, and leave what the node reads as it is."""
        with self._session() as session:
            session.set_pin(self._pin, pin)
        self._pin = pin
        self.library.reinitialize()

    def _session(self) -> pkcs11.Session:
        # A login is the process's, so the key under test must not be left with this one.
        self.library.reinitialize()
        session: pkcs11.Session = self.library.get_token(token_label="almenara").open(
            rw=True, user_pin=self._pin
        )
        return session

    def uri(self, label: str = "signing", **changes: str) -> str:
        """Return the URI of a key in the token."""
        token = changes.pop("token", "almenara")
        options = {"module-path": str(module()), "pin-source": f"file:{self.pin}", **changes}
        query = "&".join(f"{name}={value}" for name, value in options.items() if value)
        return f"pkcs11:token={token};object={label}?{query}"

    def pull(self) -> None:
        """Take the token away, while the library is using it."""
        self.tokens.rename(self.folder / "elsewhere")
        self.tokens.mkdir()

    def plug(self) -> None:
        """Put the token back."""
        self.tokens.rmdir()
        (self.folder / "elsewhere").rename(self.tokens)
