"""What does a member's store hold? Every table, once, for SQLite and PostgreSQL.

Hashes, keys and ids are raw bytes; times are microseconds since the epoch, 0 for absent, as on
the wire. The store's chain heads are the authority on what this member has said (SPEC, chain).
What changes here changes SCHEMA_VERSION too, and gets a step in migrations.py.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

SCHEMA_VERSION = 2

# SQLite keeps an integer as short as it is; PostgreSQL's INTEGER would end at 2^31.
Whole = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

directory = Table(
    "directory",
    metadata,
    Column("only", Integer, primary_key=True, autoincrement=False),  # one row: the last verified directory
    Column("version", Whole, nullable=False),
    Column("verified_at", BigInteger, nullable=False),
    Column("targets", LargeBinary, nullable=False),
)

# -- what this member says -------------------------------------------------------------------

own_stream = Table(
    "own_stream",
    metadata,
    Column("audience", String, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("key_id", LargeBinary, nullable=False),  # the signing key; another's statement opens an epoch
    Column("issued_at", BigInteger, nullable=False),
    Column("directory_version", Whole, nullable=False),
    Column("fresh_epoch", Integer, nullable=False),  # 1: the next statement must open an epoch
    # the last checkpoint (seq -1: none yet), and when the oldest statement after it was sealed (0: none)
    Column("checkpoint_epoch", BigInteger, nullable=False),
    Column("checkpoint_seq", BigInteger, nullable=False),
    Column("uncovered_since", BigInteger, nullable=False),
    # the last statement that asks readers to confirm; seq -1: none yet
    Column("eliciting_epoch", BigInteger, nullable=False, default=0),
    Column("eliciting_seq", BigInteger, nullable=False, default=-1),
)

outbox = Table(
    "outbox",
    metadata,
    Column("audience", String, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("sent", Integer, nullable=False),
    sqlite_with_rowid=True,
)
# As text: a query that compares with a bound value may not use an index of some rows only.
NOT_SENT = text("sent = 0")
Index(
    "outbox_unsent",
    outbox.c.audience,
    outbox.c.epoch,
    outbox.c.seq,
    sqlite_where=NOT_SENT,
    postgresql_where=NOT_SENT,
)

outgoing = Table(
    "outgoing",
    metadata,
    Column("message_id", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),  # SHA-256 of the encoded message and its recipients
    Column("audience", String, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("expected", Text, nullable=False),  # who should confirm, space-separated member ids
    Column("accepted_at", BigInteger, nullable=False),
    Column("reference", String, nullable=False),  # "" where the message has none
    Index("outgoing_reference", "reference", "accepted_at"),
    Index("outgoing_accepted", "audience", "accepted_at"),  # the oldest go first
    sqlite_with_rowid=False,
)

# -- what this member has heard ----------------------------------------------------------------

chain = Table(
    "chain",
    metadata,
    Column("audience", String, primary_key=True),
    Column("publisher", String, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),  # -1: nothing accepted yet
    Column("hash", LargeBinary, nullable=False),
    Column("anchor_epoch", BigInteger, nullable=False),
    Column("anchor_seq", BigInteger, nullable=False),  # 0 with no predecessor: the whole chain is proven
    Column("directory_version", Whole, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("heard_at", BigInteger, nullable=False),
    Column("next_by", BigInteger, nullable=False),
    Column("eliciting", BigInteger, nullable=False),  # grows when a statement asks for a receipt
    Column("key_id", LargeBinary, nullable=False),  # with which the highest statement was signed
    # offsets of the first record passed over that may be judged again; -1: none
    Column("unknown_from", BigInteger, nullable=False),  # its key was not in the directory
    Column("ended_from", BigInteger, nullable=False),  # its key has ended and its successor has not spoken
    Column("checkpoint_epoch", BigInteger, nullable=False),
    Column("checkpoint_seq", BigInteger, nullable=False),  # up to where it is signed post-quantum; -1: not
    Column("wait_code", String, nullable=False),  # why the stream stands still: GAP, DIRECTORY_BEHIND, or ""
)

access = Table(
    "access",
    metadata,
    Column("audience", String, primary_key=True),
    Column("publisher", String, primary_key=True),
    Column("access", String, nullable=False),  # READABLE, REFUSED, MISSING: what the broker last said
    Column("at", BigInteger, nullable=False),
)

gap = Table(
    "gap",
    metadata,
    Column("audience", String, primary_key=True),
    Column("publisher", String, primary_key=True),
    Column("low_epoch", BigInteger, primary_key=True),
    Column("low_seq", BigInteger, primary_key=True),
    Column("low_hash", LargeBinary, nullable=False),
    Column("high_epoch", BigInteger, nullable=False),
    Column("high_seq", BigInteger, nullable=False),
    Column("high_prev", LargeBinary, nullable=False),
)

statement = Table(
    "statement",
    metadata,
    Column("audience", String, primary_key=True),
    Column("publisher", String, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    Column("code", String, nullable=False),  # "" opened; else why its content is not held
    Column("flags", String, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),  # the link alone of what is not for this member
    Index("statement_hash", "audience", "publisher", "hash"),
)
# Few rows, asked for with every receipt: without it, each receipt would look through the whole epoch.
NOT_OPENED = text("code <> '' AND code <> 'NOT_FOR_ME'")
Index(
    "statement_not_opened",
    statement.c.audience,
    statement.c.publisher,
    statement.c.epoch,
    statement.c.seq,
    sqlite_where=NOT_OPENED,
    postgresql_where=NOT_OPENED,
)

sender_key = Table(
    "sender_key",
    metadata,
    Column("audience", String, primary_key=True),
    Column("publisher", String, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("key_id", LargeBinary, primary_key=True),
    Column("key", LargeBinary),  # null: my slot opened to something else, so the list is not for me
    Column("kept_at", BigInteger, nullable=False),
)

owed = Table(
    "owed",
    metadata,
    # a sender key of ours, of whose audience a member had no sealing key when it was announced
    Column("member", String, primary_key=True),
    Column("audience", String, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("key_id", LargeBinary, primary_key=True),
    Column("entitled", Integer, nullable=False),  # 0: its list leaves the member out
)

message = Table(
    "message",
    metadata,
    Column("position", Whole, primary_key=True, autoincrement=True),
    Column("publisher", String, nullable=False),
    Column("message_id", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("audience", String, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("recipients", Text, nullable=False),  # space-separated; "" means the whole audience
    Column("flags", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("area", String, nullable=False),
    Column("level", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("hs", String, nullable=False),  # the goods' HS codes between spaces: " 0801 1207 "
    Column("issued_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # the message as it stood in the batch
    Column("reference", String, nullable=False),  # "" where the message has none
    Index("message_reference", "reference"),
    Index("message_received", "audience", "received_at"),  # the oldest go first
    UniqueConstraint("message_id", "publisher"),  # in this order it finds an id without its publisher too
    sqlite_autoincrement=True,  # a follower's cursor: a position is never given twice
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("position", Whole, primary_key=True, autoincrement=True),
    Column("audience", String, nullable=False),
    Column("publisher", String, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("proven", Integer, nullable=False),  # 0: author unknown; of those only the last 100 are kept
    Column("code", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("kept_at", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    # what makes it one: of a proven record its SHA-256, so that a replay is nothing new; else its offset
    Column("identity", LargeBinary, nullable=False),
    Index("quarantine_stream", "audience", "publisher", "proven"),
    UniqueConstraint("audience", "publisher", "identity", "code", "detail"),
)

refusal_count = Table(
    "refusal_count",
    metadata,
    Column("audience", String, primary_key=True),
    Column("publisher", String, primary_key=True),
    Column("code", String, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("kind", String, primary_key=True),  # EQUIVOCATION, TRUNCATED
    Column("audience", String, primary_key=True),
    Column("publisher", String, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("hash", LargeBinary, primary_key=True),
    Column("known_hash", LargeBinary, nullable=False),
    Column("kept_at", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
)

claim = Table(
    "claim",
    metadata,
    # what a heartbeat (witness = publisher) or another reader's receipt says of a stream's head
    Column("audience", String, primary_key=True),
    Column("publisher", String, primary_key=True),
    Column("witness", String, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("excepted", LargeBinary, nullable=False),  # JSON list of {first_seq, last_seq, code}
    Column("claimed_at", BigInteger, nullable=False),
    # where the witness said it, on its own stream of the audience; seq -1: in a heartbeat
    Column("told_epoch", BigInteger, nullable=False),
    Column("told_seq", BigInteger, nullable=False),
    # its oldest word that the chain here does not reach yet, and when it came (WITHHELD)
    Column("unmet_epoch", BigInteger, nullable=False),
    Column("unmet_seq", BigInteger, nullable=False),
    Column("unmet_since", BigInteger, nullable=False),
)

unread = Table(
    "unread",
    metadata,
    # what the broker held of a stream beyond what was read, when last something of it was
    Column("audience", String, primary_key=True),
    Column("publisher", String, primary_key=True),
    Column("records", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

decision = Table(
    "decision",
    metadata,
    Column("publisher", String, primary_key=True),
    Column("message_id", LargeBinary, primary_key=True),
    Column("reader", String, primary_key=True),
    Column("state", String, primary_key=True),
    Column("code", String, nullable=False),
    Column("at", BigInteger, nullable=False),
)

receipt_sent = Table(
    "receipt_sent",
    metadata,
    Column("audience", String, primary_key=True),
    Column("eliciting", BigInteger, nullable=False),  # the sum over its chains last answered
    Column("at", BigInteger, nullable=False),
)

tally = Table(
    "tally",
    metadata,
    # what this store has seen in its life, counted in the transactions that brought it
    Column("name", String, primary_key=True),
    Column("count", BigInteger, nullable=False),
)
