"""How do all keys of a member get another passphrase, or none?

All files change together with member.toml, which names the passphrase's file (trust/replacement.py);
after a crash the next reader of the settings finds all old or makes all new. The TLS key stays in
clear, mode 0600: it opens connections for 90 days and proves nothing that is said (docs/adr/0013).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.errors import Code, Misconfigured
from almenara.node.keyring import key_files
from almenara.node.settings_file import with_setting
from almenara.trust.keyfile import rewrapped
from almenara.trust.replacement import Content, replace_together
from almenara.trust.secretfile import SECRET_MODE, read_secret

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.node.settings import MemberSettings

_PUBLIC_MODE = 0o644


def protect(
    settings: MemberSettings, *, passphrase: bytes | None, new: bytes | None, passphrase_file: Path | None
) -> int:
    """Give every key file another passphrase, None for none; return how many there are.

    `passphrase_file` is what member.toml is to name. To be done while no node runs. Raises
    Misconfigured if a key does not open, or a file cannot be written.
    """
    keys = key_files(settings)
    files = {
        path: Content(rewrapped(path, read_secret(path), passphrase=passphrase, new=new), SECRET_MODE)
        for path in keys
    }
    named = None if passphrase_file is None else str(passphrase_file.absolute())
    try:
        text = with_setting(settings.file.read_text(), "passphrase_file", named)
        files[settings.file] = Content(text.encode(), _PUBLIC_MODE)
        replace_together(settings.replacement_plan, files)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{exc.filename or settings.folder}: cannot be written ({exc.strerror}); correct its owner or "
            "free space, then give the command again",
        ) from exc
    return len(keys)
