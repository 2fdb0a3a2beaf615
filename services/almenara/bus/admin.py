"""How does the coordinator make the cluster what the directory says, and see where it drifted?

The only module that imports kafka-python: aiokafka has no calls for access lists. The client blocks,
so every call runs in a thread. Kafka answers before a change shows: we return when it does.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import kafka.errors
import msgspec
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.net.compat import KafkaNetClient
from kafka.protocol.admin import AlterClientQuotasRequest, DescribeClientQuotasRequest

from almenara.bus.drift import Drift
from almenara.bus.quotas import Quota
from almenara.bus.topics import AclRule, Operation, Pattern, Resource
from almenara.errors import AlmenaraError, Code, Misconfigured, Refused, Unavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Collection, Iterable
    from types import TracebackType

    from almenara.bus.topics import TopicSettings

T = TypeVar("T")

REQUEST_TIMEOUT_S = 15.0
"""Wait for one answer; creating a hundred topics takes the embedded broker about a second."""

KNOCK_TIMEOUT_S = 5.0
"""Wait for a TCP connection; a host that is up refuses at once."""

VISIBLE_TIMEOUT_S = 60.0
"""Wait until a change shows: some 50 ms on an idle broker, over 10 s for all the rules of 185 members on a
busy one."""

_VISIBLE_POLL_S = 0.02
_ADDRESS = "ip"  # a kind of entity beside principals and clients

_ANY_ACL = ACLFilter(
    principal=None,
    host=None,
    operation=ACLOperation.ANY,
    permission_type=ACLPermissionType.ANY,
    resource_pattern=ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
)


class TopicState(msgspec.Struct, frozen=True, kw_only=True):
    """What a topic is like on the cluster; `configs` are the settings made for it alone."""

    name: str
    topic_id: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


class ClusterState(NamedTuple):
    """Which cluster answers, and how many brokers it has."""

    cluster_id: str
    brokers: int


class Admin:
    """The coordinator's hand on the cluster; needs an operator's certificate. Opens at the first call.

    Every method raises Unavailable BROKER_DOWN when the cluster does not answer, Refused
    BROKER_REFUSES when the certificate may not do it, Misconfigured when the cluster cannot.
    """

    def __init__(self, bootstrap: str, context: ssl.SSLContext) -> None:
        self._bootstrap = bootstrap
        self._context = context
        self._client: KafkaAdminClient | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await asyncio.to_thread(client.close)

    async def describe(self) -> ClusterState:
        """Return which cluster answers."""
        found = await self._call(lambda client: client.describe_cluster())
        return ClusterState(found["cluster_id"], len(found["brokers"]))

    async def list_topics(self) -> frozenset[str]:
        """Return the names of all topics but Kafka's own."""
        names = await self._call(lambda client: client.list_topics())
        return frozenset(name for name in names if not name.startswith("__"))

    async def topics(self, names: Collection[str]) -> dict[str, TopicState]:
        """Return the topics of those names that exist."""
        return await self._call(lambda client: _read_topics(client, sorted(names))) if names else {}

    async def ensure_topics(self, wanted: Iterable[TopicSettings]) -> Drift:
        """Create what is missing and put other settings right; return what was changed, or is thin.

        Raises Misconfigured if a topic has another number of partitions: that cannot be undone, and
        order within the stream would be lost.
        """
        settings = {topic.name: topic for topic in wanted}
        found = await self.topics(settings)
        missing = [settings[name] for name in sorted(settings.keys() - found.keys())]
        changed, thin = [], []
        for name, state in found.items():
            if state.partitions != settings[name].partitions:
                raise Misconfigured(
                    Code.CONFIGURATION,
                    f"topic {name}: it has {state.partitions} partitions instead of "
                    f"{settings[name].partitions}; delete it, its authors send again what they keep",
                )
            # By what it has: asking for more brokers in sync than hold it would bar it to its author.
            possible = msgspec.structs.replace(settings[name], replication=state.replication)
            if possible.configs().items() - state.configs.items():
                changed.append(possible)
            if state.replication < settings[name].replication:
                thin.append(name)
        if missing:
            await self._call(lambda client: _create_topics(client, missing))
        if changed:
            await self._call(lambda client: _configure_topics(client, changed))
        return Drift(
            topics_created=tuple(topic.name for topic in missing),
            topics_changed=tuple(topic.name for topic in changed),
            topics_thin=tuple(thin),
        )

    async def delete_topics(self, names: Collection[str]) -> None:
        """Delete topics with all their records; return when their names are free."""
        if names:
            await self._call(lambda client: client.delete_topics(sorted(names)))
            await _until(self.list_topics, lambda found: found.isdisjoint(names))

    async def acls(self) -> frozenset[AclRule]:
        """Return the whole access list of the cluster."""
        found, _ = await self._call(lambda client: client.describe_acls(_ANY_ACL))
        return frozenset(map(_rule, found))

    async def create_acls(self, rules: Collection[AclRule]) -> None:
        """Add rules, those that exist already included; return when they are in force."""
        if rules:
            await self._call(lambda client: _create_acls(client, rules))
            await _until(self.acls, lambda found: found.issuperset(rules))

    async def delete_acls(self, rules: Collection[AclRule]) -> None:
        """Remove exactly these rules; return when they are no longer in force."""
        if rules:
            await self._call(lambda client: _delete_acls(client, rules))
            await _until(self.acls, lambda found: found.isdisjoint(rules))

    async def quotas(self) -> frozenset[Quota]:
        """Return the limits of all principals and clients; those of addresses are not ours."""
        return await self._call(_read_quotas)

    async def set_quotas(self, wanted: Collection[Quota], *, remove: Collection[Quota] = ()) -> None:
        """Set limits and remove others; return when they are in force."""
        if wanted or remove:
            await self._call(lambda client: _alter_quotas(client, wanted, remove))
            await _until(self.quotas, lambda found: found >= set(wanted) and found.isdisjoint(remove))

    async def sync(
        self, topics: Iterable[TopicSettings], acls: Collection[AclRule], quotas: Collection[Quota] = ()
    ) -> Drift:
        """Make the cluster hold these topics and exactly these rules and limits; return what was changed.

        The cluster belongs to the federation, so a rule that the directory does not ask for is a
        hole and goes, whoever it favours. Other topics stay: only a person deletes records. A crash
        leaves a part done; the next call does the rest.
        """
        drift = await self.ensure_topics(topics)
        wanted = frozenset(acls)
        found = await self.acls()
        await self.delete_acls(found - wanted)
        await self.create_acls(wanted - found)
        limits = await self.quotas()
        set_anew = frozenset(quotas) - limits
        replaced = {(quota.entity, quota.key) for quota in set_anew}
        extra = {quota for quota in limits - frozenset(quotas) if (quota.entity, quota.key) not in replaced}
        await self.set_quotas(set_anew, remove=extra)
        return msgspec.structs.replace(
            drift,
            acls_created=tuple(sorted(wanted - found)),
            acls_removed=tuple(sorted(found - wanted)),
            quotas_set=tuple(sorted(set_anew, key=str)),
            quotas_removed=tuple(sorted(extra, key=str)),
        )

    async def _call(self, work: Callable[[KafkaAdminClient], T]) -> T:
        try:
            async with self._opening:
                if self._client is None:
                    self._client = await asyncio.to_thread(self._open)
            return await asyncio.to_thread(work, self._client)
        except kafka.errors.KafkaError as exc:
            raise self._named(exc) from exc

    def _open(self) -> KafkaAdminClient:
        _knock(self._bootstrap)
        # The constructor connects; if that fails nobody holds the client and its thread would stay.
        opened: list[KafkaNetClient] = []

        def remember(**configs: Any) -> KafkaNetClient:  # noqa: ANN401 - kafka-python's own options
            opened.append(KafkaNetClient(**configs))
            return opened[0]

        try:
            return KafkaAdminClient(
                bootstrap_servers=self._bootstrap,
                client_id="almenara-admin",
                security_protocol="SSL",
                ssl_context=self._context,
                request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
                bootstrap_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
                reconnect_backoff_max_ms=1000,
                kafka_client=remember,
            )
        except kafka.errors.KafkaError:
            for client in opened:
                client.close()
                client._net.stop()  # noqa: SLF001 - as KafkaAdminClient.close does
            raise

    def _named(self, exc: kafka.errors.KafkaError) -> AlmenaraError:
        if isinstance(exc, kafka.errors.AuthorizationError):
            return Refused(
                Code.BROKER_REFUSES,
                f"cluster {self._bootstrap}: this certificate is not an operator's; use the coordinator's",
            )
        if isinstance(exc, kafka.errors.BrokerResponseError) and not isinstance(
            exc, kafka.errors.RetriableError
        ):
            return Misconfigured(
                Code.CONFIGURATION,
                f"cluster {self._bootstrap}: it refuses the request ({type(exc).__name__}); compare its "
                "settings with deploy/RUNBOOK.md",
            )
        return Unavailable(
            Code.BROKER_DOWN,
            f"cluster {self._bootstrap}: no answer; see that the broker runs",
        )


async def _until(ask: Callable[[], Awaitable[T]], shows: Callable[[T], bool]) -> None:
    """Ask until a change shows; raise Unavailable TIMED_OUT if it does not."""
    deadline = time.monotonic() + VISIBLE_TIMEOUT_S
    while not shows(await ask()):
        if time.monotonic() > deadline:
            raise Unavailable(
                Code.TIMED_OUT,
                f"cluster: a change does not show after {VISIBLE_TIMEOUT_S:.0f} s; another coordinator may "
                "be changing the same",
            )
        await asyncio.sleep(_VISIBLE_POLL_S)


def _knock(bootstrap: str) -> None:
    """Raise if nobody listens at any of the addresses: kafka-python would try for its whole time."""
    for address in bootstrap.split(","):
        host, port = address.rsplit(":", 1)
        with suppress(OSError), socket.create_connection((host, int(port)), KNOCK_TIMEOUT_S):
            return
    raise kafka.errors.KafkaConnectionError(bootstrap)


def _read_topics(client: KafkaAdminClient, names: list[str]) -> dict[str, TopicState]:
    existing = [topic for topic in client.describe_topics(names) if topic["error_code"] == 0]
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic["name"]) for topic in existing]
    configs = client.describe_configs(resources)["topic"] if resources else {}
    return {
        topic["name"]: TopicState(
            name=topic["name"],
            topic_id=str(topic["topic_id"]),
            partitions=len(topic["partitions"]),
            replication=min((len(part["replica_nodes"]) for part in topic["partitions"]), default=0),
            configs={key: config["value"] for key, config in configs[topic["name"]].items()},
        )
        for topic in existing
    }


def _create_topics(client: KafkaAdminClient, topics: list[TopicSettings]) -> None:
    # Another coordinator may have made it a moment ago; the next sync compares its settings.
    with suppress(kafka.errors.TopicAlreadyExistsError):
        client.create_topics(
            {
                topic.name: {
                    "num_partitions": topic.partitions,
                    "replication_factor": topic.replication,
                    "configs": topic.configs(),
                }
                for topic in topics
            }
        )
    client.wait_for_topics([topic.name for topic in topics], timeout_ms=int(VISIBLE_TIMEOUT_S * 1000))


def _configure_topics(client: KafkaAdminClient, topics: list[TopicSettings]) -> None:
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=topic.configs()) for topic in topics
    ]
    for name, result in client.alter_configs(resources, incremental=True)["topic"].items():
        if result != "OK":
            raise Misconfigured(Code.CONFIGURATION, f"topic {name}: its settings are refused ({result})")


def _create_acls(client: KafkaAdminClient, rules: Collection[AclRule]) -> None:
    # Failures come back as values, not as exceptions.
    for failure in client.create_acls(list(map(_acl, rules)))["failed"]:
        raise failure


def _delete_acls(client: KafkaAdminClient, rules: Collection[AclRule]) -> None:
    for _, _, error in client.delete_acls(list(map(_acl_filter, rules))):
        if error is not kafka.errors.NoError:
            raise error


def _ask(client: KafkaAdminClient, request: Any) -> Any:  # noqa: ANN401 - kafka-python has no types
    # It has these messages of the protocol, and no call of its own for them.
    return client._manager.run(client._manager.send, request)  # noqa: SLF001


def _read_quotas(client: KafkaAdminClient) -> frozenset[Quota]:
    answer = _ask(client, DescribeClientQuotasRequest(components=[], strict=False))
    _raise_for(answer.error_code)
    return frozenset(
        Quota(entity=entity, key=each.key, value=each.value)
        for entry in answer.entries or ()
        for entity in [tuple(sorted((part.entity_type, part.entity_name) for part in entry.entity))]
        for each in entry.values
        if entity[0][0] != _ADDRESS
    )


def _alter_quotas(client: KafkaAdminClient, wanted: Collection[Quota], remove: Collection[Quota]) -> None:
    # One entry for each entity: Kafka refuses a second one.
    changes: dict[tuple[tuple[str, str | None], ...], list[tuple[str, float, bool]]] = {}
    for quota in [*remove, *wanted]:
        changes.setdefault(quota.entity, []).append((quota.key, quota.value, quota in remove))
    entries = [([*entity], ops) for entity, ops in changes.items()]
    for entry in _ask(client, AlterClientQuotasRequest(entries=entries, validate_only=False)).entries:
        _raise_for(entry.error_code)


def _raise_for(code: int) -> None:
    if code:
        raise kafka.errors.for_code(code)


def _acl(rule: AclRule) -> ACL:
    return ACL(
        principal=rule.principal,
        host=rule.host,
        operation=ACLOperation[rule.operation.name],
        permission_type=ACLPermissionType.ALLOW if rule.allow else ACLPermissionType.DENY,
        resource_pattern=ResourcePattern(
            ResourceType[rule.resource_type.name], rule.name, ACLResourcePatternType[rule.pattern.name]
        ),
    )


def _acl_filter(rule: AclRule) -> ACLFilter:
    acl = _acl(rule)
    pattern = acl.resource_pattern
    return ACLFilter(
        principal=acl.principal,
        host=acl.host,
        operation=acl.operation,
        permission_type=acl.permission_type,
        resource_pattern=ResourcePatternFilter(
            pattern.resource_type, pattern.resource_name, pattern.pattern_type
        ),
    )


def _rule(acl: ACL) -> AclRule:
    pattern = acl.resource_pattern
    return AclRule(
        principal=acl.principal,
        operation=Operation[acl.operation.name],
        resource_type=Resource[pattern.resource_type.name],
        name=pattern.resource_name,
        pattern=Pattern[pattern.pattern_type.name],
        host=acl.host,
        allow=acl.permission_type is ACLPermissionType.ALLOW,
    )
