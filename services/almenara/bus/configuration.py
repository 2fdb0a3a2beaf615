"""With which settings does the embedded Kafka run? Pure: paths and ports in, file contents out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from almenara.bus.principals import mapping_rules, operator_principal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

BATCH_MAX = 1024 * 1024 + 16 * 1024
"""Bytes of the largest Kafka batch: a record of 1,000,000 bytes (SPEC) and its frame, with room."""

LOG_FILE_MAX = "10MB"
"""Size at which the broker's log is rolled; three old ones are kept."""


class Ports(NamedTuple):
    """Where the broker listens: for clients, and for itself as its own controller."""

    clients: int
    controller: int


class Forwarded(NamedTuple):
    """A further port for clients, and the one that they are told instead of it.

    For those who come through a forwarder on the broker's host (NAT, a tunnel): Kafka sends every client
    on to the address that it was told, so it must be the forwarder's.
    """

    port: int
    advertised: int


def server_properties(
    *,
    federation: str,
    host: str,
    ports: Ports,
    data: Path,
    certificate: Path,
    ca: Path,
    operators: Sequence[str],
    turned_away: Collection[str] = (),
    forwarded: Sequence[Forwarded] = (),
) -> str:
    """Return server.properties of one KRaft node that is broker and controller."""
    listening, advertised = {"CLIENTS": ports.clients}, {"CLIENTS": ports.clients}
    for number, way in enumerate(forwarded, 1):
        listening[f"FORWARDED{number}"], advertised[f"FORWARDED{number}"] = way
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{ports.controller}",
        # The controller's listener asks for certificates too: without, any local process is in.
        "listeners": f"{_addresses(host, listening)},CONTROLLER://127.0.0.1:{ports.controller}",
        "advertised.listeners": _addresses(host, advertised),
        "listener.security.protocol.map": ",".join(f"{name}:SSL" for name in (*listening, "CONTROLLER")),
        "inter.broker.listener.name": "CLIENTS",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificate),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(ca),
        "ssl.client.auth": "required",
        "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
        "ssl.principal.mapping.rules": mapping_rules(federation, turned_away=turned_away),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": ";".join(map(operator_principal, operators)),
        "auto.create.topics.enable": "false",
        "unclean.leader.election.enable": "false",
        "message.max.bytes": str(BATCH_MAX),
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Back after a kill -9 in 4 s instead of 12: the controller waits for the old session to end.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
        # Nobody else could take over the leadership; asking for it only delays the end.
        "controlled.shutdown.enable": "false",
        # One small node: few threads, and a cleaner that does not take half of the heap.
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "group.coordinator.threads": "1",
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
        "log.index.size.max.bytes": str(1024 * 1024),
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _addresses(host: str, ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{host}:{port}" for name, port in ports.items())


def logging_properties(log: Path) -> str:
    """Return log4j2.properties that write the broker's log to one file and roll it."""
    return f"""\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={log}
appender.file.filePattern={log}.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=[%d{{ISO8601}}] %p %m (%c)%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size={LOG_FILE_MAX}
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=3
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
# The whole configuration, some 400 lines at each start.
logger.config.name=org.apache.kafka.common.config
logger.config.level=warn
"""
