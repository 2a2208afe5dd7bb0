"""Ready checks: each returns why the instance is not ready yet, or nothing when it is."""

import asyncio
from contextlib import suppress

ANSWER_SECONDS = 5.0
"""How long one answer may take."""


async def probe_tcp(host: str, port: int, seconds: float = ANSWER_SECONDS) -> str:
    """Return "" when ``host:port`` accepts a connection, else what happened."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
            await _close(writer)
    except TimeoutError:
        return f"port {port} did not answer within {seconds:.1f} s"
    except OSError as error:
        return f"port {port}: {_words(error)}"
    return ""


async def probe_http(host: str, port: int, path: str, seconds: float = ANSWER_SECONDS) -> str:
    """Return "" when a GET of ``path`` answers with a status below 400, else what happened."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                line = await reader.readline()
            finally:
                await _close(writer)
    except TimeoutError:
        return f"port {port} did not answer within {seconds:.1f} s"
    except (OSError, ValueError) as error:
        return f"port {port}: {_words(error)}"
    words = line.decode("latin-1").split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        return f"port {port} does not speak HTTP"
    if int(words[1]) >= 400:
        return f"port {port} answered {' '.join(words[1:])} to GET {path}"
    return ""


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):  # it was reset: whatever mattered has been read
        await writer.wait_closed()


def _words(error: Exception) -> str:
    """Return what asyncio's message says, without its numbers."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return getattr(error, "strerror", None) or str(error)
