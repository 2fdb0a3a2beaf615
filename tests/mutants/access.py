"""Controls of who may still read, write and connect."""

from __future__ import annotations

from mutants.mutant import Mutant

SYNC = "tests/unit/coordinator/test_sync.py"
MEMBERSHIP = "tests/unit/coordinator/test_membership.py"
STANDING = "tests/unit/subscriber/test_standing.py"

MUTANTS = (
    Mutant(
        "a suspended member may still connect",
        "coordinator/sync.py",
        "member.generation + (member.status is not MemberStatus.ACTIVE)",
        "member.generation",
        f"{MEMBERSHIP}::test_who_is_out_is_in_no_audience_has_no_rule_and_may_not_connect",
    ),
    Mutant(
        "a revoked certificate keeps its generation",
        "coordinator/membership.py",
        "generation=file.generation + 1, revoked_at=now)",
        "generation=file.generation, revoked_at=now)",
        f"{MEMBERSHIP}::test_a_revoked_certificate_loses_its_rules_and_the_member_keeps_its_place",
    ),
    Mutant(
        "what was asked before a revocation gets a certificate",
        "coordinator/membership.py",
        "not file.revoked_at < made_at <= now + CLOCK_TOLERANCE",
        "made_at > now + CLOCK_TOLERANCE",
        f"{MEMBERSHIP}::test_what_was_asked_up_to_a_revocation_gets_no_certificate",
    ),
    Mutant(
        "an audience that is over keeps its rules",
        "coordinator/sync.py",
        "            if not audience.is_over(now)\n",
        "",
        f"{SYNC}::test_an_operation_ends_by_itself_and_its_topics_stay",
    ),
    Mutant(
        "a publisher goes on in an audience that is over",
        "publisher/accept.py",
        "    if entry.ends_at is not None and entry.is_over(now):",
        "    if entry.ends_at is not None and entry.is_over(now) and message.kind is Kind.RISK_ALERT:",
        "tests/unit/publisher/test_accept.py::test_nothing_reaches_an_audience_that_is_over",
    ),
    Mutant(
        "a reader takes alerts to a closed operation",
        "subscriber/deliver.py",
        "not entry.is_open(issued_at, tolerance=CLOCK_TOLERANCE)",
        "entry.members == frozenset()",
        f"{STANDING}::test_an_alert_to_a_closed_operation_is_refused_and_a_result_is_not",
    ),
    Mutant(
        "a reader takes statements of an audience that is over",
        "trust/admit.py",
        "    if audience.is_over(from_micros(link.head.issued_at) - CLOCK_TOLERANCE):",
        "    if not audience.members:",
        f"{STANDING}::test_nothing_of_an_audience_that_is_over_is_delivered",
    ),
    Mutant(
        "who still seals to somebody removed is not told",
        "trust/directory.py",
        "            and issued_at > removal.seen_at + REMOVAL_TOLERANCE",
        "            and issued_at < removal.seen_at",
        f"{STANDING}::test_an_author_that_still_seals_to_who_was_removed_is_told",
    ),
    Mutant(
        "a reader that confirms nothing more is not told",
        "node/lateness.py",
        "if now - since.since >= after and",
        "if now - since.since >= after * 1000 and",
        "tests/unit/node/test_lateness.py"
        "::test_who_is_alive_and_confirms_nothing_more_is_late_once_the_time_is_over",
    ),
    Mutant(
        "a quota that somebody raised is no alarm",
        "coordinator/sync.py",
        "quota for quota in drift.quotas_set if quota in before.quotas",
        "quota for quota in drift.quotas_set if quota not in before.quotas",
        f"{SYNC}::test_a_quota_put_back_is_told_from_one_that_the_settings_changed",
    ),
)
