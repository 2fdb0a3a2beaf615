"""Who answers at the far end of a connection: with what it hears."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter


class Echo:
    """What the far end has got, and says again."""

    def __init__(self) -> None:
        self.got = b""

    async def answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                self.got += data
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
