# SPDX-License-Identifier: Apache-2.0
"""Between an ASGI server and a hub: requests, and WebSocket messages, through a socket pair of which the hub has one end.

The server has unpacked the messages of the peer already. Here they are packed again, without masks and compression, which cost
time and serve nobody inside one process; the hub then sees a client like any other, and all its rules hold."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from typing import Any, Awaitable, Callable, Dict, List, NamedTuple, Optional, Tuple

from ._asgi_mount import PUMPED, Mount, Scope
from ._errors import PulseError
from ._log import logger

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Dict[str, Any]], Awaitable[None]]

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
# Close codes of refusals that are told in band, by the code of the refusal; see HUB.md. Others: 1008.
_CLOSE_CODES = {
    "no_such_path": 4040, "not_a_websocket_path": 4040, "unauthenticated": 4001, "token_expired": 4009,
    "forbidden": 4003, "rate_limited": 4029, "unavailable": 1013,
}
# Seconds for the last words of the hub, and for those to a peer.
_GOODBYE = 5.0
_PIECE = 65536
# Bytes of a frame that closes.
_MOST_OF_CLOSE = 131
# The hub's, for the way to here alone.
_NOT_PASSED_ON = {b"connection", b"keep-alive", b"transfer-encoding"}


class Answer(NamedTuple):
    status: int
    headers: List[Tuple[bytes, bytes]]

    def header(self, name: bytes) -> Optional[str]:
        return next((value.decode("latin-1") for own, value in self.headers if own == name), None)


async def connect(mount: Mount, head: bytes) -> Tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    ours = mount.connect(head)
    try:
        return await asyncio.open_unix_connection(sock=ours)
    except BaseException:
        ours.close()
        raise


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        raise PulseError("the hub has ended the connection without an answer") from None
    first, *lines = head[:-4].split(b"\r\n")
    pairs = [line.partition(b":") for line in lines]
    return Answer(int(first.split(b" ", 2)[1]), [(name.strip().lower(), value.strip()) for name, _, value in pairs])


# ---- requests


async def serve_request(mount: Mount, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers an HTTP request of the server by the hub."""
    names = {name.lower() for name, _ in scope["headers"]}
    is_chunked = b"content-length" not in names and b"transfer-encoding" in names
    more = [(b"connection", b"close")] + ([(b"transfer-encoding", b"chunked")] if is_chunked else [])
    try:
        reader, writer = await connect(mount, mount.head(scope, more))
        mount.count("requests")
    except (OSError, PulseError) as problem:
        return await say_unavailable(send, problem)
    try:
        has_body = is_chunked or b"content-length" in names
        body = asyncio.ensure_future(send_body(receive, writer, is_chunked)) if has_body else None
        try:
            await hand_on_answer(reader, scope.get("method") == "HEAD", send)
        except PulseError as problem:
            await say_unavailable(send, problem)
        finally:
            if body is not None:
                body.cancel()
                await asyncio.gather(body, return_exceptions=True)
    finally:
        writer.close()


async def send_body(receive: Receive, writer: asyncio.StreamWriter, is_chunked: bool) -> None:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return writer.transport.abort()
        body, more = message.get("body", b""), message.get("more_body", False)
        if is_chunked and body:
            body = b"%x\r\n%s\r\n" % (len(body), body)
        writer.write(body + (b"0\r\n\r\n" if is_chunked and not more else b""))
        await writer.drain()


async def hand_on_answer(reader: asyncio.StreamReader, is_head: bool, send: Send) -> None:
    answer = await read_answer(reader)
    headers = [pair for pair in answer.headers if pair[0] not in _NOT_PASSED_ON]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    length = answer.header(b"content-length")
    left = 0 if is_head or length is None else int(length)
    while left > 0:
        piece = await reader.read(min(left, _PIECE))
        if not piece:
            raise ConnectionResetError("the hub has cut an answer off")
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
    if is_head or not length or length == "0":
        await send({"type": "http.response.body", "body": b""})


async def say_unavailable(send: Send, problem: Exception) -> None:
    logger.warning("a request for the hub was refused: %s", problem)
    answer, body = unavailable(problem)
    headers = [*answer.headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def unavailable(problem: Exception) -> Tuple[Answer, bytes]:
    """As the hub says it."""
    refusal = {"code": "unavailable", "message": f"the hub does not take this connection: {problem}", "status": 503}
    return Answer(503, [(b"content-type", b"application/json"), (b"retry-after", b"5")]), json.dumps({"error": refusal}).encode()


# ---- WebSocket


def frame(opcode: int, size: int) -> bytes:
    """What stands in front of a payload. The mask of zeros changes nothing: masks protect proxies between client and server
    (RFC 6455 section 10.3), and here is none."""
    if size < 126:
        return bytes((0x80 | opcode, 0x80 | size)) + b"\0\0\0\0"
    if size < 65536:
        return struct.pack(">BBH4x", 0x80 | opcode, 0xFE, size)
    return struct.pack(">BBQ4x", 0x80 | opcode, 0xFF, size)


async def read_frame(reader: asyncio.StreamReader) -> Tuple[bool, int, bytes]:
    """Whether it is the last one of its message, its opcode, its payload."""
    first, size = await reader.readexactly(2)
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
    return bool(first & 0x80), first & 15, await reader.readexactly(size)


class Pump:
    """One WebSocket peer of the server, and its connection to the hub."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receive: Receive, send: Send) -> None:
        self._reader = reader
        self._writer = writer
        self._receive = receive
        self._send = send
        # Whether the peer gets nothing more, whether the hub was told its close code, and whether it has said its last word.
        self._is_gone = self._has_said_goodbye = self._hub_is_over = False

    async def run(self) -> None:
        down, up = tasks = [asyncio.ensure_future(work) for work in (self._from_hub(), self._from_peer())]
        is_cancelled = False
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not down.done() and (self._has_said_goodbye or up.exception() is not None):
                # The hub answers a goodbye, or takes nothing more and has said one that is still to be read.
                await asyncio.wait((down,), timeout=_GOODBYE)
        except asyncio.CancelledError:
            is_cancelled = True
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        if is_cancelled:
            # The server ends and waits no longer; some can still send.
            await asyncio.wait((asyncio.ensure_future(self._tell_close(1012, "the server ends")),), timeout=_GOODBYE)
            raise asyncio.CancelledError
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, (asyncio.CancelledError, ConnectionError)):
                raise result

    async def _from_hub(self) -> None:
        """Reads no faster than the peer: what it does not take waits in the hub, whose rules for slow peers then hold."""
        kind, parts = _TEXT, b""
        while True:
            try:
                is_last, opcode, payload = await read_frame(self._reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                return await self._tell_close(1012, "the hub has ended")
            if opcode == _PING:
                await self._write(_PONG, payload)
            elif opcode == _CLOSE:
                self._writer.write(frame(_CLOSE, len(payload)) + payload)
                code = int.from_bytes(payload[:2], "big") if payload else 1000
                return await self._tell_close(code, payload[2:].decode("utf-8", "replace"))
            elif opcode in (_CONTINUATION, _TEXT, _BINARY):
                kind = opcode or kind
                parts = parts + payload if parts else payload
                if is_last:
                    await self._hand_on(kind, parts)
                    parts = b""

    async def _hand_on(self, kind: int, payload: bytes) -> None:
        if kind == _TEXT:
            await self._tell({"type": "websocket.send", "text": payload.decode()})
        else:
            await self._tell({"type": "websocket.send", "bytes": payload})

    async def _tell(self, message: Dict[str, Any]) -> None:
        if self._is_gone:
            return
        try:
            await self._send(message)
        except OSError:
            # The server's way to say that the peer has gone meanwhile; how it went, the other task hears.
            self._is_gone = True

    def end(self) -> None:
        """Ends the connection to the hub, behind what waits for it, unless it does not want that any more."""
        transport = self._writer.transport
        if self._hub_is_over and transport.get_write_buffer_size() > _MOST_OF_CLOSE:
            transport.abort()
        else:
            transport.close()

    async def _tell_close(self, code: int, reason: str) -> None:
        self._hub_is_over = True
        await self._tell({"type": "websocket.close", "code": code, "reason": reason})
        self._is_gone = True

    async def _from_peer(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return await self._say_goodbye(message)
            text = message.get("text")
            if text is not None:
                await self._write(_TEXT, text.encode())
            else:
                await self._write(_BINARY, message.get("bytes") or b"")

    async def _write(self, opcode: int, payload: bytes) -> None:
        """Takes no more from the peer than the hub does."""
        self._writer.write(frame(opcode, len(payload)))
        if payload:
            self._writer.write(payload)
        await self._writer.drain()

    async def _say_goodbye(self, message: Dict[str, Any]) -> None:
        """The peer has closed, and the hub is told its code. Without a close frame it sees the end of the connection."""
        self._is_gone = True
        code, reason = message.get("code", 1005), (message.get("reason") or "").encode()[:123].decode("utf-8", "ignore")
        if code == 1005:
            await self._write(_CLOSE, b"")
        elif 1000 <= code < 5000 and code not in (1004, 1006, 1015):
            await self._write(_CLOSE, struct.pack(">H", code) + reason.encode())
        else:
            return
        self._has_said_goodbye = True


async def serve_websocket(mount: Mount, scope: Scope, receive: Receive, send: Send) -> None:
    """Serves a WebSocket connection of the server by the hub."""
    await receive()  # websocket.connect
    offered = list(scope.get("subprotocols") or ())
    more = [
        (b"connection", b"Upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", base64.b64encode(os.urandom(16))),
        *((b"sec-websocket-protocol", one.encode("latin-1")) for one in offered),
    ]
    try:
        reader, writer = await connect(mount, mount.head({**scope, "method": "GET"}, more, skip=b"sec-websocket-"))
    except (OSError, PulseError) as problem:
        logger.warning("a connection for the hub was refused: %s", problem)
        return await refuse(scope, send, *unavailable(problem))
    try:
        try:
            answer = await read_answer(reader)
        except PulseError as problem:
            return await refuse(scope, send, *unavailable(problem))
        if answer.status != 101:
            return await refuse(scope, send, answer, await reader.readexactly(int(answer.header(b"content-length") or 0)))
        await send({"type": "websocket.accept", "subprotocol": answer.header(b"sec-websocket-protocol")})
        mount.count(PUMPED)
        pump = Pump(reader, writer, receive, send)
        try:
            await pump.run()
        finally:
            pump.end()
    finally:
        writer.close()


async def refuse(scope: Scope, send: Send, answer: Answer, body: bytes) -> None:
    """Hands on why the hub refuses a connection: in HTTP if the server can do that, else in band, but for pages of sites that
    are not allowed, to which nothing is explained."""
    error: Dict[str, Any] = {}
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        error = {"code": "refused", "message": f"the hub refuses with status {answer.status}"}
    if "websocket.http.response" in (scope.get("extensions") or {}):
        # The server counts the bytes itself; some versions of uvicorn would say Content-Length twice.
        headers = [pair for pair in answer.headers if pair[0] not in _NOT_PASSED_ON and pair[0] != b"content-length"]
        await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
        return await send({"type": "websocket.http.response.body", "body": body})
    if error["code"] != "origin_forbidden":
        data = {"code": error["code"], "message": error["message"], "details": {}}
        first = next(iter(scope.get("subprotocols") or ()), None)
        await send({"type": "websocket.accept", "subprotocol": first})
        await send({"type": "websocket.send", "text": json.dumps({"type": "error", "data": data})})
    reason = str(error["message"]).encode()[:123].decode("utf-8", "ignore")
    # Of tokens there is a code for each thing that is wrong with one.
    usual = 4001 if error["code"].startswith("token_") else 1008
    await send({"type": "websocket.close", "code": _CLOSE_CODES.get(error["code"], usual), "reason": reason})
