CREATE TABLE access (
    audience VARCHAR NOT NULL,
    publisher VARCHAR NOT NULL,
    access VARCHAR NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (audience, publisher)
);
CREATE TABLE chain (
    audience VARCHAR NOT NULL,
    publisher VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    hash BLOB NOT NULL,
    anchor_epoch BIGINT NOT NULL,
    anchor_seq BIGINT NOT NULL,
    directory_version INTEGER NOT NULL,
    next_offset BIGINT NOT NULL,
    accepted_at BIGINT NOT NULL,
    heard_at BIGINT NOT NULL,
    next_by BIGINT NOT NULL,
    eliciting BIGINT NOT NULL,
    key_id BLOB NOT NULL,
    unknown_from BIGINT NOT NULL,
    ended_from BIGINT NOT NULL,
    checkpoint_epoch BIGINT NOT NULL,
    checkpoint_seq BIGINT NOT NULL,
    wait_code VARCHAR NOT NULL,
    PRIMARY KEY (audience, publisher)
);
CREATE TABLE claim (
    audience VARCHAR NOT NULL,
    publisher VARCHAR NOT NULL,
    witness VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    hash BLOB NOT NULL,
    excepted BLOB NOT NULL,
    claimed_at BIGINT NOT NULL,
    told_epoch BIGINT NOT NULL,
    told_seq BIGINT NOT NULL,
    unmet_epoch BIGINT NOT NULL,
    unmet_seq BIGINT NOT NULL,
    unmet_since BIGINT NOT NULL,
    PRIMARY KEY (audience, publisher, witness)
);
CREATE TABLE decision (
    publisher VARCHAR NOT NULL,
    message_id BLOB NOT NULL,
    reader VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    code VARCHAR NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (publisher, message_id, reader, state)
);
CREATE TABLE directory (
    only INTEGER NOT NULL,
    version INTEGER NOT NULL,
    verified_at BIGINT NOT NULL,
    targets BLOB NOT NULL,
    PRIMARY KEY (only)
);
CREATE TABLE evidence (
    kind VARCHAR NOT NULL,
    audience VARCHAR NOT NULL,
    publisher VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    hash BLOB NOT NULL,
    known_hash BLOB NOT NULL,
    kept_at BIGINT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (kind, audience, publisher, epoch, seq, hash)
);
CREATE TABLE gap (
    audience VARCHAR NOT NULL,
    publisher VARCHAR NOT NULL,
    low_epoch BIGINT NOT NULL,
    low_seq BIGINT NOT NULL,
    low_hash BLOB NOT NULL,
    high_epoch BIGINT NOT NULL,
    high_seq BIGINT NOT NULL,
    high_prev BLOB NOT NULL,
    PRIMARY KEY (audience, publisher, low_epoch, low_seq)
);
CREATE TABLE message (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    publisher VARCHAR NOT NULL,
    message_id BLOB NOT NULL,
    content BLOB NOT NULL,
    audience VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    recipients TEXT NOT NULL,
    flags VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    area VARCHAR NOT NULL,
    level VARCHAR NOT NULL,
    origin VARCHAR NOT NULL,
    hs VARCHAR NOT NULL,
    issued_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    body BLOB NOT NULL,
    reference VARCHAR NOT NULL,
    UNIQUE (message_id, publisher)
);
CREATE INDEX message_reference ON message (reference);
CREATE TABLE meta (
    name VARCHAR NOT NULL,
    value VARCHAR NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE outbox (
    audience VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    hash BLOB NOT NULL,
    record BLOB NOT NULL,
    sent INTEGER NOT NULL,
    PRIMARY KEY (audience, epoch, seq)
);
CREATE INDEX outbox_unsent ON outbox (audience, epoch, seq) WHERE sent = 0;
CREATE TABLE outgoing (
    message_id BLOB NOT NULL,
    content BLOB NOT NULL,
    audience VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    expected TEXT NOT NULL,
    accepted_at BIGINT NOT NULL,
    reference VARCHAR NOT NULL,
    PRIMARY KEY (message_id)
)
 WITHOUT ROWID;
CREATE INDEX outgoing_reference ON outgoing (reference, accepted_at);
CREATE TABLE own_stream (
    audience VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    hash BLOB NOT NULL,
    key_id BLOB NOT NULL,
    issued_at BIGINT NOT NULL,
    directory_version INTEGER NOT NULL,
    fresh_epoch INTEGER NOT NULL,
    checkpoint_epoch BIGINT NOT NULL,
    checkpoint_seq BIGINT NOT NULL,
    uncovered_since BIGINT NOT NULL,
    eliciting_epoch BIGINT NOT NULL,
    eliciting_seq BIGINT NOT NULL,
    PRIMARY KEY (audience)
);
CREATE TABLE quarantine (
    position INTEGER NOT NULL,
    audience VARCHAR NOT NULL,
    publisher VARCHAR NOT NULL,
    "offset" BIGINT NOT NULL,
    proven INTEGER NOT NULL,
    code VARCHAR NOT NULL,
    detail TEXT NOT NULL,
    kept_at BIGINT NOT NULL,
    record BLOB NOT NULL,
    identity BLOB NOT NULL,
    PRIMARY KEY (position),
    UNIQUE (audience, publisher, identity, code, detail)
);
CREATE INDEX quarantine_stream ON quarantine (audience, publisher, proven);
CREATE TABLE receipt_sent (
    audience VARCHAR NOT NULL,
    eliciting BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (audience)
);
CREATE TABLE refusal_count (
    audience VARCHAR NOT NULL,
    publisher VARCHAR NOT NULL,
    code VARCHAR NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (audience, publisher, code)
);
CREATE TABLE sender_key (
    audience VARCHAR NOT NULL,
    publisher VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    key_id BLOB NOT NULL,
    "key" BLOB,
    PRIMARY KEY (audience, publisher, epoch, key_id)
);
CREATE TABLE statement (
    audience VARCHAR NOT NULL,
    publisher VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    hash BLOB NOT NULL,
    code VARCHAR NOT NULL,
    flags VARCHAR NOT NULL,
    received_at BIGINT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (audience, publisher, epoch, seq)
);
CREATE INDEX statement_hash ON statement (audience, publisher, hash);
CREATE INDEX statement_not_opened ON statement (audience, publisher, epoch, seq) WHERE code <> '' AND code <> 'NOT_FOR_ME';
CREATE TABLE tally (
    name VARCHAR NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (name)
);
