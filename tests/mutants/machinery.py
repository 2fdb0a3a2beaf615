"""Controls of the broker's rules, of the store and of what others' text may do."""

from __future__ import annotations

from mutants.mutant import Mutant

TOPICS = "tests/unit/bus/test_topics.py"
CONFIGURATION = "tests/unit/bus/test_configuration.py"

MUTANTS = (
    Mutant(
        "a reader's prefix is too wide",
        "bus/topics.py",
        '    prefix = f"{federation}.{own.audience}."',
        '    prefix = f"{federation}.{own.audience}"',
        f"{TOPICS}::test_a_prefix_ends_with_its_dot_so_that_no_longer_name_begins_with_it",
    ),
    Mutant(
        "a member may write every topic of its audience",
        "bus/topics.py",
        "AclRule(principal=principal, operation=Operation.WRITE, name=topic)",
        "AclRule(principal=principal, operation=Operation.WRITE, name=prefix, pattern=Pattern.PREFIXED)",
        f"{TOPICS}::test_a_member_writes_its_own_topics_and_reads_its_audiences_and_the_directory",
    ),
    Mutant(
        "what unpacks to a thousand times its size reaches the readers",
        "bus/topics.py",
        '            "compression.type": "uncompressed",\n',
        "",
        f"{TOPICS}::test_a_stream_is_one_ordered_topic_kept_a_day_longer_than_its_audience_asks",
    ),
    Mutant(
        "the broker takes connections without a certificate",
        "bus/configuration.py",
        '"ssl.client.auth": "required"',
        '"ssl.client.auth": "requested"',
        f"{CONFIGURATION}::test_every_listener_asks_for_a_certificate",
    ),
    Mutant(
        "what no rule names is allowed",
        "bus/configuration.py",
        '"allow.everyone.if.no.acl.found": "false"',
        '"allow.everyone.if.no.acl.found": "true"',
        f"{CONFIGURATION}::test_what_no_rule_allows_is_denied",
    ),
    Mutant(
        "any certificate of the authority has a name",
        "bus/principals.py",
        '({_MEMBER}),O={federation}$/$1/,"',
        '({_MEMBER}),O=.*$/$1/,"',
        "tests/unit/bus/test_principals.py::test_any_other_certificate_has_none",
    ),
    Mutant(
        "a revoked certificate keeps its name",
        "bus/principals.py",
        'f"(?!(?:{names}),)" if names else ""',
        'f"(?:(?:{names}),)?" if names else ""',
        "tests/unit/bus/test_principals.py"
        "::test_a_revoked_certificate_has_no_name_and_its_neighbours_keep_theirs",
    ),
    Mutant(
        "a twin may move the head",
        "store/outbox.py",
        "    if moved != 1:",
        "    if moved > 1:",
        "tests/unit/store/test_outbox.py"
        "::test_a_twin_over_its_own_connection_is_refused_whoever_comes_second",
    ),
    Mutant(
        "a broker ahead of the store is believed",
        "publisher/tail.py",
        "    if head.fresh_epoch:\n",
        "    if head.fresh_epoch or ours is None:\n",
        "tests/unit/publisher/test_tail.py::test_a_broker_that_holds_what_the_store_never_made_stops_the_stream",
    ),
    Mutant(
        "forgeries fill the disk",
        "store/quarantine.py",
        "            .limit(UNPROVEN_KEPT)\n",
        "",
        "tests/unit/store/test_quarantine.py"
        "::test_of_unproven_records_only_the_newest_hundred_a_stream_are_kept_and_all_counted",
    ),
    Mutant(
        "a cell may be a formula",
        "cli/output.py",
        '_FORMULA = ("=", ',
        "_FORMULA = (",
        "tests/unit/cli/test_output.py::test_csv_holds_no_formula",
    ),
    Mutant(
        "text of others steers the terminal through the log",
        "logs.py",
        "            event[key] = printable(value)\n",
        "            event[key] = value\n",
        "tests/unit/test_logs.py::test_control_characters_of_others_are_escaped",
    ),
    Mutant(
        "a suspended member keeps its rules",
        "coordinator/sync.py",
        "        if member.status is MemberStatus.ACTIVE\n",
        "",
        "tests/unit/coordinator/test_sync.py::test_a_suspended_member_has_no_rule",
    ),
)
