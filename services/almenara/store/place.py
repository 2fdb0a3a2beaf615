"""Where does a member's store stand: in a file, or in a PostgreSQL database that a URL names?

    postgresql://almenara_pe@db.example.org:5432/almenara_pe?sslmode=verify-full

One database, or one schema, for each member. A password stands in the file that `passfile=` names, or
in the URL where that comes from the environment. No text of ours ever shows it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from almenara.errors import Code, Misconfigured
from almenara.hidden import Hiding

if TYPE_CHECKING:
    from sqlalchemy import URL

DRIVER = "postgresql+psycopg"

SCHEMES = ("postgresql", "postgres")

_FILES = ("passfile", "sslrootcert", "sslcert", "sslkey")

# What a person mistyped may hold a piece of the password, so a part that looks odd is not shown.
_HOST = re.compile(r"[A-Za-z0-9._:-]*")
_NAME = re.compile(r"[^\s@:/?#%]+")


class Database(Hiding, frozen=True, kw_only=True):
    """A PostgreSQL database by its URL; its text is `name`, without any password."""

    hidden: ClassVar = frozenset({"url"})

    url: str
    name: str

    def __str__(self) -> str:
        return self.name

    def parsed(self) -> URL:
        """Return the URL as SQLAlchemy wants it."""
        from sqlalchemy import make_url

        return make_url(self.url).set(drivername=DRIVER)


Place = Path | Database
"""A SQLite file, or a PostgreSQL database."""


def holds_password(url: str) -> bool:
    """Tell whether a URL holds a password."""
    parsed = _parse(url) if url else None
    return parsed is not None and parsed.password is not None


def database(url: str, folder: Path | None = None) -> Database:
    """Return the place that a URL names, the files in it relative to `folder`.

    Raises Misconfigured CONFIGURATION, whose text shows nothing of it.
    """
    parsed = _parse(url)
    if parsed is None or not _is_plain(parsed):
        raise Misconfigured(
            Code.CONFIGURATION,
            "store: not the URL of a PostgreSQL database; write postgresql://USER@HOST:5432/DATABASE, and a"
            " password, with / and @ in it as %2F and %40, into the file that ?passfile= names",
        )
    files = {key: str((folder or Path()) / _file(parsed, key)) for key in _FILES if _file(parsed, key)}
    absolute = parsed.update_query_dict(files)
    return Database(url=absolute.render_as_string(hide_password=False), name=_name(parsed))


def _parse(url: str) -> URL | None:
    """Return what a URL says, None if it is none; SQLAlchemy is slow to import, and most stores are files."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        return None  # their text may show the password


def _is_plain(url: URL) -> bool:
    """Tell whether it is of a PostgreSQL database, with nothing in it that may be a piece of a password."""
    return (
        url.drivername in SCHEMES
        and url.database is not None
        and "password" not in url.query
        and _HOST.fullmatch(url.host or "") is not None
        and all(_NAME.fullmatch(part) for part in (url.username or "-", url.database))
    )


def _file(url: URL, key: str) -> str:
    value = url.query.get(key, "")
    return value if isinstance(value, str) and value != "system" else ""


def _name(url: URL) -> str:
    """Return the URL of a place without password, and of its options only the host, where it stands there."""
    from sqlalchemy import URL

    host = {key: value for key, value in url.query.items() if key == "host" and not url.host}
    shown = URL.create(
        "postgresql", username=url.username, host=url.host, port=url.port, database=url.database, query=host
    )
    return shown.render_as_string()
