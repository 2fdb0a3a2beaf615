"""How does a program change one setting of member.toml and leave all that people wrote there?"""

from __future__ import annotations

import re

import msgspec

from almenara.errors import Code, Misconfigured


def with_setting(text: str, key: str, value: str | None) -> str:
    """Return the file with one setting of its top part set, or with None commented out.

    What else stands there stays as it is. Raises Misconfigured CONFIGURATION if that cannot be done.
    """
    before = msgspec.toml.decode(text)
    if before.get(key) == value:
        return text
    lines = text.splitlines(keepends=True)
    end = next((number for number, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    # A JSON string is a TOML string too.
    line = f'# {key} = ""\n' if value is None else f"{key} = {msgspec.json.encode(value).decode()}\n"
    for pattern in (rf"\s*{key}\s*=", rf"\s*#\s*{key}\s*="):
        found = [number for number in range(end) if re.match(pattern, lines[number])]
        if found:
            lines[found[0]] = line
            break
    else:
        lines.insert(end, line)
    after = "".join(lines)
    wanted = {name: each for name, each in before.items() if name != key}
    if value is not None:
        wanted[key] = value
    try:
        done = msgspec.toml.decode(after) == wanted
    except msgspec.DecodeError:
        done = False
    if not done:
        raise Misconfigured(
            Code.CONFIGURATION, f"member.toml: {key} cannot be changed by program; write {line.strip()}"
        )
    return after
