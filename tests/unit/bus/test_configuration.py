"""The embedded broker lets nobody in without a certificate and a rule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from almenara.bus.configuration import Forwarded, Ports, logging_properties, server_properties

if TYPE_CHECKING:
    from collections.abc import Sequence

ONE = (Ports(21000, 21001),)
THREE = (Ports(21000, 21001), Ports(22000, 22001), Ports(23000, 23001))


def properties(*forwarded: Forwarded, number: int = 1, ports: Sequence[Ports] = ONE) -> dict[str, str]:
    text = server_properties(
        federation="ams",
        host="127.0.0.1",
        number=number,
        ports=ports,
        data=Path("/state/data"),
        certificate=Path("/state/broker.pem"),
        ca=Path("/state/ca.pem"),
        operators=("broker", "coordinator"),
        forwarded=forwarded,
    )
    return dict(line.split("=", 1) for line in text.splitlines())


def test_every_listener_asks_for_a_certificate() -> None:
    found = properties(Forwarded(21002, 22002))
    protocols = dict(pair.split(":") for pair in found["listener.security.protocol.map"].split(","))
    listeners = [listener.split(":")[0] for listener in found["listeners"].split(",")]
    assert {protocols[listener] for listener in listeners} == {"SSL"}
    assert found["ssl.client.auth"] == "required"


def test_what_no_rule_allows_is_denied() -> None:
    found = properties()
    assert found["authorizer.class.name"].endswith("StandardAuthorizer")
    assert found["allow.everyone.if.no.acl.found"] == "false"
    assert found["super.users"] == "User:operator:broker;User:operator:coordinator"
    assert "DEFAULT" not in found["ssl.principal.mapping.rules"]


def test_topics_and_leaders_are_never_made_up() -> None:
    found = properties()
    assert found["auto.create.topics.enable"] == "false"
    assert found["unclean.leader.election.enable"] == "false"


def test_the_controller_listens_on_loopback_whatever_the_clients_use() -> None:
    assert "CONTROLLER://127.0.0.1:21001" in properties()["listeners"]


def test_who_comes_through_a_forwarder_is_sent_back_to_it() -> None:
    found = properties(Forwarded(21002, 22002), Forwarded(21003, 22003))
    assert found["listeners"] == (
        "CLIENTS://127.0.0.1:21000,FORWARDED1://127.0.0.1:21002,FORWARDED2://127.0.0.1:21003,"
        "CONTROLLER://127.0.0.1:21001"
    )
    assert found["advertised.listeners"] == (
        "CLIENTS://127.0.0.1:21000,FORWARDED1://127.0.0.1:22002,FORWARDED2://127.0.0.1:22003"
    )


def test_of_three_nodes_each_is_a_voter_and_itself() -> None:
    found = [properties(number=number, ports=THREE) for number in (1, 2, 3)]
    assert [each["node.id"] for each in found] == ["1", "2", "3"]
    voters = "1@127.0.0.1:21001,2@127.0.0.1:22001,3@127.0.0.1:23001"
    assert {each["controller.quorum.voters"] for each in found} == {voters}
    assert [each["listeners"] for each in found] == [
        f"CLIENTS://127.0.0.1:{ports.clients},CONTROLLER://127.0.0.1:{ports.controller}" for ports in THREE
    ]


@pytest.mark.parametrize(
    ("ports", "replicas", "insync", "hands_over"), [(ONE, "1", "1", "false"), (THREE, "3", "2", "true")]
)
def test_what_kafka_keeps_for_itself_lies_on_all_nodes(
    ports: Sequence[Ports], replicas: str, insync: str, hands_over: str
) -> None:
    found = properties(ports=ports)
    assert {text for key, text in found.items() if key.endswith("replication.factor")} == {replicas}
    assert {text for key, text in found.items() if key.endswith(("min.isr", "min.insync.replicas"))} == {
        insync
    }
    assert found["controlled.shutdown.enable"] == hands_over


def test_the_further_ports_of_several_nodes_stand_one_behind_the_other() -> None:
    found = properties(Forwarded(24000, 25000), number=3, ports=THREE)
    assert "FORWARDED1://127.0.0.1:24002" in found["listeners"]
    assert "FORWARDED1://127.0.0.1:25002" in found["advertised.listeners"]


def test_the_log_is_rolled() -> None:
    text = logging_properties(Path("/state/broker.log"))
    assert "appender.file.fileName=/state/broker.log\n" in text
    assert "appender.file.strategy.max=3\n" in text
