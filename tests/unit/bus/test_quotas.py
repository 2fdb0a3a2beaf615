"""Each good certificate has its limits, and no other has any."""

from __future__ import annotations

from almenara.bus.quotas import Limits, Quota, client_quotas
from almenara.model.ids import MemberId

LIMITS = Limits(producer_byte_rate=1000.0, consumer_byte_rate=2000.0, request_percentage=50.0)


def test_every_good_certificate_of_a_member_is_limited_in_three_ways() -> None:
    quotas = client_quotas({MemberId("PE"): (1, 2), MemberId("X-RILOSA"): (), MemberId("AR"): (3,)}, LIMITS)
    assert {quota.entity for quota in quotas} == {
        (("user", "PE.1"),),
        (("user", "PE.2"),),
        (("user", "AR.3"),),
    }
    assert {(quota.key, quota.value) for quota in quotas} == {
        ("producer_byte_rate", 1000.0),
        ("consumer_byte_rate", 2000.0),
        ("request_percentage", 50.0),
    }
    assert len(quotas) == 9


def test_a_quota_is_told_in_words() -> None:
    (text,) = {str(q) for q in client_quotas({MemberId("PE"): (1,)}, LIMITS) if q.key == "request_percentage"}
    assert text == "user PE.1: request_percentage 50"
    default = Quota(entity=(("client-id", None), ("user", "PE.1")), key="producer_byte_rate", value=1e12)
    assert str(default) == "client-id (default) user PE.1: producer_byte_rate 1e+12"
