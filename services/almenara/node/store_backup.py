"""How does a member's store get into one sealed file while its node runs, and back into its place?

    backup:   one read transaction -> pieces (dump.py) -> sealed (sealedstream.py) -> a new file, mode 0600
    restore:  lease -> is the present store newer? -> a new store beside it -> every stream of ours opens an
              epoch with its next statement -> the present one put aside -> the new one in its place

A crash while backing up leaves a `.new-...` file. One while restoring leaves the present store where it
was, and a `.restoring-...` folder; or the restored one in its place. The file is sealed because it holds
what the store holds: alerts in clear and the sender keys of all that is retained.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import msgspec

from almenara.errors import AlmenaraError, Code, Misconfigured
from almenara.node.node import make_state_folder
from almenara.store import dump, outbox, views
from almenara.store.database import Store
from almenara.store.lease import lease
from almenara.store.tables import SCHEMA_VERSION
from almenara.trust.sealedstream import opened, read_line, sealed
from almenara.trust.secretfile import sync_folder, write_secret_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from almenara.model.ids import AudienceId
    from almenara.node.settings import MemberSettings

    Tell = Callable[[str, int, int], None]

FORMAT: Literal["almenara-store-v1"] = "almenara-store-v1"

_STAMP = "%Y%m%dT%H%M%S"


class StoreHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup of a store says in clear: whose it is, of when, and how far its member had spoken."""

    format: Literal["almenara-store-v1"]
    federation: str
    member: str
    schema_version: int
    made_at: Annotated[datetime, msgspec.Meta(tz=True)]
    rows: int
    heads: dict[str, tuple[int, int]]


class Restored(NamedTuple):
    """What a restore put in place, and where what stood there is now."""

    header: StoreHeader
    streams: int
    replaced: Path | None


_HEADER = msgspec.json.Decoder(StoreHeader)


def back_up_store(
    settings: MemberSettings, output: Path, *, under: bytes, now: datetime, tell: Tell
) -> StoreHeader:
    """Write all that the store holds at this moment to a new file; a node may run and goes on meanwhile.

    SQLite's log grows for as long as this takes. Raises Misconfigured if there is no store, or the file
    exists or cannot be written.
    """
    if output.exists():
        raise Misconfigured(
            Code.CONFIGURATION, f"{output}: exists already and no backup is overwritten; name another file"
        )
    store = Store.open(settings.store_place)

    def work(connection: Connection) -> StoreHeader:
        heads = outbox.own_heads(connection)
        header = StoreHeader(
            format=FORMAT,
            federation=settings.federation,
            member=settings.member,
            schema_version=SCHEMA_VERSION,
            made_at=now,
            rows=dump.count(connection),
            heads={name: (head.epoch, head.seq) for name, head in heads.items()},
        )
        pieces = dump.dump(connection, lambda table, done: tell(table, done, header.rows))
        write_secret_pieces(output, sealed(msgspec.structs.asdict(header), pieces, passphrase=under))
        return header

    try:
        return store.read_now(work)
    finally:
        store.close()


def read_header(file: Path, settings: MemberSettings) -> StoreHeader:
    """Return what a backup says in clear; it is proven once the backup is open.

    Raises Misconfigured if it is no backup, another member's, or of another version of the schema.
    """
    try:
        header = _HEADER.decode(read_line(file))
    except msgspec.DecodeError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{file}: not a backup of a store; name the file that store backup wrote"
        ) from exc
    if (header.federation, header.member) != (settings.federation, settings.member):
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{file}: the store of {header.member} in {header.federation}; this is {settings.member} in "
            f"{settings.federation}: name its own backup",
        )
    if header.schema_version != SCHEMA_VERSION:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{file}: made by schema version {header.schema_version}, this program knows {SCHEMA_VERSION}; "
            "restore it with the program that made it",
        )
    return header


def restore_store(
    settings: MemberSettings, file: Path, *, under: bytes, force: bool, now: datetime, tell: Tell
) -> Restored:
    """Put the store of a backup in place, and let every stream of ours open a new epoch; no node may run.

    What stood there is put aside, not deleted. Raises Unavailable STORE_LOCKED while a node runs,
    Misconfigured if the backup does not open, or the present store is newer and `force` is not given.
    """
    if settings.store is not None:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"store {settings.store}: a backup is put into a file alone; take the store line out of "
            "member.toml, or restore the database by the server's own programs, then: almenara epoch open",
        )
    make_state_folder(settings)
    with lease(settings.lease_path, settings.store_place):
        header = read_header(file, settings)
        last = _require_older(settings.store_path, file, header, force=force)
        try:
            draft = Path(tempfile.mkdtemp(prefix=".restoring-", dir=settings.state))
            try:
                made = draft / settings.store_path.name
                streams = _make(made, opened(file, passphrase=under), last=last, header=header, tell=tell)
                replaced = _put_in_place(made, settings.store_path, now)
            finally:
                shutil.rmtree(draft)
        except OSError as exc:
            raise Misconfigured(
                Code.CONFIGURATION,
                f"{settings.state}: cannot be written ({exc.strerror}); free space, or correct its owner",
            ) from exc
    return Restored(header, streams, replaced)


def _require_older(place: Path, file: Path, header: StoreHeader, *, force: bool) -> int:
    """Return the last position that the present store gave, 0 without one, if it may be replaced."""
    try:
        store = Store.open(place)
    except AlmenaraError as error:
        if force or error.code is Code.STORE_MISSING:
            return 0
        raise Misconfigured(
            Code.CONFIGURATION,
            f"store {place}: cannot be compared with {file}: {error.text.partition(';')[0]}; to put it aside "
            "whatever it holds, give --force",
        ) from error
    try:
        heads, last = store.read_now(outbox.own_heads), store.read_now(views.last_position)
    finally:
        store.close()
    newer = [
        f"{name} at {head.epoch}/{head.seq}, in the backup at {_place(header, name)}"
        for name, head in sorted(heads.items())
        if (head.epoch, head.seq) > header.heads.get(name, (0, -1))
    ]
    if newer and not force:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"store {place}: newer than {file} of {header.made_at:%Y-%m-%d %H:%MZ} ({', '.join(newer)}), and "
            "what it said since would count as withdrawn; if it is damaged or wrong, give --force",
        )
    return last


def _place(header: StoreHeader, audience: AudienceId) -> str:
    epoch, seq = header.heads.get(audience, (0, -1))
    return f"{epoch}/{seq}" if seq >= 0 else "nothing"


def _make(made: Path, pieces: Iterator[bytes], *, last: int, header: StoreHeader, tell: Tell) -> int:
    """Make a store of what is in a backup; return how many streams of ours open an epoch next."""
    store = Store.create(made)
    try:
        done = 0
        for piece in pieces:
            done += store.write_now(lambda connection, each=piece: dump.load(connection, each))  # type: ignore[misc]
            tell("restoring", done, header.rows)

        def begin_anew(connection: Connection) -> int:
            dump.skip_positions(connection, above=last)
            outbox.stand_by_broker(connection)
            return outbox.require_fresh_epochs(connection)

        return store.write_now(begin_anew)
    finally:
        store.close()


def _put_in_place(made: Path, place: Path, now: datetime) -> Path | None:
    """Give the new store its place; return where the one that stood there is now, None without one.

    Its log goes first, if a crash or damage left one: SQLite would read it into the new file.
    """
    aside = None
    if place.exists():
        aside = place.with_name(f"{place.name}.replaced-{now:{_STAMP}}")
        for suffix in ("-wal", "-shm"):
            log_file = place.with_name(place.name + suffix)
            if log_file.exists():
                log_file.rename(aside.with_name(aside.name + suffix))
        os.link(place, aside)
    made.replace(place)
    sync_folder(place.parent)
    return aside
