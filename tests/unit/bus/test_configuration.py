"""The embedded broker lets nobody in without a certificate and a rule."""

from __future__ import annotations

from pathlib import Path

from almenara.bus.configuration import Forwarded, Ports, logging_properties, server_properties


def properties(*forwarded: Forwarded) -> dict[str, str]:
    text = server_properties(
        federation="ams",
        host="127.0.0.1",
        ports=Ports(21000, 21001),
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


def test_the_log_is_rolled() -> None:
    text = logging_properties(Path("/state/broker.log"))
    assert "appender.file.fileName=/state/broker.log\n" in text
    assert "appender.file.strategy.max=3\n" in text
