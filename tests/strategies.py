"""Messages of every kind with every field, for property tests: right in shape, not by the rules."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, NewType, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from almenara.model.alert import Part
from almenara.model.bodies import KINDS
from almenara.model.messages import Message
from almenara.model.values import DIGEST_BYTES, Digest

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from almenara.model.codes import Kind

LONG_MAX = 2**63 - 1

# Neither the moment 0 nor the nil UUID: on the wire these mean that nothing is given.
instants = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
ids = st.integers(1, 2**128 - 1).map(lambda number: UUID(int=number))
digests = st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES).map(Digest)
texts = st.text(max_size=30)

_PLAIN: dict[Any, SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(0, LONG_MAX),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    datetime: instants,
    UUID: ids,
    Digest: digests,
}


def messages(*kinds: Kind) -> SearchStrategy[Message]:
    """Return messages of these kinds, or of all."""
    bodies = [parts(body) for body, kind in KINDS.items() if not kinds or kind in kinds]
    return _built(Message, body=st.one_of(bodies))


@cache
def parts(struct: type[Part]) -> SearchStrategy[Any]:
    """Return values of a part of a message, all of its fields drawn."""
    return _built(struct)


def _built(struct: type[Part], **given: SearchStrategy[Any]) -> SearchStrategy[Any]:
    hints = get_type_hints(struct, include_extras=True)
    names = [field.name for field in msgspec.structs.fields(struct) if field.name not in given]
    return st.builds(struct, **{name: _of(hints[name]) for name in names}, **given)


def _of(hint: Any) -> SearchStrategy[Any]:  # noqa: ANN401 - annotations are of any type
    if isinstance(hint, NewType):
        return _of(hint.__supertype__)
    origin = get_origin(hint)
    if origin is Annotated:
        return _of(get_args(hint)[0])
    if origin is tuple:
        return st.lists(_of(get_args(hint)[0]), max_size=3).map(tuple)
    if origin in {Union, UnionType}:
        return st.one_of([st.none() if one is NoneType else _of(one) for one in get_args(hint)])
    if issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    return parts(hint) if issubclass(hint, Part) else _PLAIN[hint]
