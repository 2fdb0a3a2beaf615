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


REPLICAS = 3
"""Nodes that hold what Kafka keeps for itself, where there are as many."""


class Ports(NamedTuple):
    """Where one node listens: for clients and the other nodes, and as one of the controllers."""

    clients: int
    controller: int


class Forwarded(NamedTuple):
    """A further port for clients, and the one that they are told instead of it.

    For those who come through a forwarder on the broker's host (NAT, a tunnel): Kafka sends every client
    on to the address that it was told, so it must be the forwarder's.
    """

    port: int
    advertised: int

    def of(self, number: int) -> Forwarded:
        """Return the port of the node of that number: those of several nodes stand one behind the other."""
        return Forwarded(self.port + number - 1, self.advertised + number - 1)


def server_properties(
    *,
    federation: str,
    host: str,
    number: int,
    ports: Sequence[Ports],
    data: Path,
    certificate: Path,
    ca: Path,
    operators: Sequence[str],
    turned_away: Collection[str] = (),
    forwarded: Sequence[Forwarded] = (),
) -> str:
    """Return server.properties of the KRaft node of that number, from 1: broker and controller in one.

    `ports` are those of all nodes of the cluster, in the order of their numbers.
    """
    own = ports[number - 1]
    replicas = str(min(REPLICAS, len(ports)))
    insync = str(max(1, min(REPLICAS, len(ports)) - 1))
    listening, advertised = {"CLIENTS": own.clients}, {"CLIENTS": own.clients}
    for name, way in enumerate(forwarded, 1):
        listening[f"FORWARDED{name}"], advertised[f"FORWARDED{name}"] = way.of(number)
    settings = {
        "process.roles": "broker,controller",
        "node.id": str(number),
        "controller.quorum.voters": ",".join(
            f"{voter}@127.0.0.1:{each.controller}" for voter, each in enumerate(ports, 1)
        ),
        # The controller's listener asks for certificates too: without, any local process is in.
        "listeners": f"{_addresses(host, listening)},CONTROLLER://127.0.0.1:{own.controller}",
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
        "default.replication.factor": replicas,
        "min.insync.replicas": insync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": insync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": insync,
        # Back after a kill -9 in 4 s instead of 12: the controller waits for the old session to end.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
        # A node alone has nobody to hand its leadership to; asking for it only delays the end.
        "controlled.shutdown.enable": "true" if len(ports) > 1 else "false",
        # A small node: few threads, and a cleaner that does not take half of the heap.
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
