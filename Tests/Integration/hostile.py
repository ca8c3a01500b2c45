# SPDX-License-Identifier: Apache-2.0
"""Servers that misbehave, each on a free port of 127.0.0.1, for tests in any language. Standard library only.

    hostile.py MODE

prints the port as its first line, serves any number of clients, and ends when its standard input does: a test that dies
takes its server with it. `hostile.py --list` prints the modes.
"""
import asyncio
import base64
import hashlib
import os
import re
import socket
import struct
import sys
import zlib

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MODES = {}


def mode(function):
    MODES[function.__name__.replace("_", "-")] = function
    return function


# ---- Pieces


def frame(opcode, payload=b"", fin=True, reserved=0, length=None):
    """A server's frame; `length` lies about the payload's length."""
    size = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    if size < 126:
        head += bytes([size])
    elif size < 1 << 16:
        head += struct.pack("!BH", 126, size)
    else:
        head += struct.pack("!BQ", 127, size)
    return head + payload


async def read_request(reader):
    return await reader.readuntil(b"\r\n\r\n")


def upgrade(request, extra=b"", accept=None):
    key = re.search(rb"(?im)^Sec-WebSocket-Key:[ \t]*(\S+)", request)[1]
    answer = base64.b64encode(hashlib.sha1(key + GUID).digest()) if accept is None else accept
    return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + answer + b"\r\n" + extra + b"\r\n")


async def accept(reader, writer, extra=b""):
    writer.write(upgrade(await read_request(reader), extra))
    await writer.drain()


async def receive(reader):
    """(opcode, payload) of a client's frame."""
    first, payload = await receive_frame(reader)
    return first & 15, payload


async def receive_frame(reader):
    """(first byte, payload) of a client's frame; the first byte holds FIN, the reserved bits and the opcode."""
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        size, = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        size, = struct.unpack("!Q", await reader.readexactly(8))
    key = await reader.readexactly(4)
    masked = await reader.readexactly(size)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return first, (int.from_bytes(masked, "big") ^ mask).to_bytes(size, "big")


async def silence(reader):
    """Takes what comes, until the client is gone."""
    while await reader.read(65536):
        pass


async def echo_frames(reader, writer):
    while True:
        first, payload = await receive_frame(reader)
        opcode = first & 15
        if opcode == 9:
            opcode = 10
        elif opcode == 10:
            continue
        writer.write(frame(opcode, payload, fin=first >= 0x80))
        await writer.drain()
        if opcode == 8:
            return


async def byte_by_byte(writer, data, pause=0.0):
    for i in range(len(data)):
        writer.write(data[i:i + 1])
        await writer.drain()
        await asyncio.sleep(pause)


async def end(reader):
    """Waits for the client's close frame: the server then ends the TCP connection."""
    while (await receive(reader))[0] != 8:
        pass


def reset(writer):
    """Ends the connection with RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# ---- Good ones, for comparison


@mode
async def echo(reader, writer):
    await accept(reader, writer)
    await echo_frames(reader, writer)


@mode
async def flood(reader, writer):
    """1000 texts "0" to "999", then a close frame 4000 "all sent"."""
    await accept(reader, writer)
    writer.write(b"".join(frame(1, str(i).encode()) for i in range(1000)) + frame(8, b"\x0f\xa0all sent"))
    await writer.drain()
    await end(reader)


@mode
async def close_1012(reader, writer):
    await accept(reader, writer)
    writer.write(frame(8, struct.pack("!H", 1012) + b"restart"))
    await end(reader)


# ---- Bad before or in the handshake


@mode
async def never_answers(reader, writer):
    await silence(reader)


@mode
async def garbage_handshake(reader, writer):
    await read_request(reader)
    writer.write(bytes(range(256)) * 40)
    await silence(reader)


@mode
async def endless_header(reader, writer):
    await read_request(reader)
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nX-Long: ")
    while True:
        writer.write(b"a" * 16384)
        await writer.drain()


@mode
async def endless_headers(reader, writer):
    await read_request(reader)
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        writer.write(b"X-More: and more\r\n" * 1000)
        await writer.drain()


@mode
async def slow_handshake(reader, writer):
    """Correct, but byte by byte; then it echoes."""
    await byte_by_byte(writer, upgrade(await read_request(reader)), 0.001)
    await echo_frames(reader, writer)


@mode
async def stalled_handshake(reader, writer):
    """Half an answer, and nothing more."""
    answer = upgrade(await read_request(reader))
    writer.write(answer[:60])
    await silence(reader)


@mode
async def wrong_accept(reader, writer):
    writer.write(upgrade(await read_request(reader), accept=base64.b64encode(b"x" * 20)))
    await silence(reader)


@mode
async def unasked_extension(reader, writer):
    await accept(reader, writer, b"Sec-WebSocket-Extensions: x-unasked\r\n")
    await silence(reader)


@mode
async def unasked_subprotocol(reader, writer):
    await accept(reader, writer, b"Sec-WebSocket-Protocol: unasked\r\n")
    await silence(reader)


@mode
async def refuse_403(reader, writer):
    await read_request(reader)
    body = b"token expired\n"
    writer.write(b"HTTP/1.1 403 Forbidden\r\nX-Reason: token\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await silence(reader)


async def refuse(reader, writer, answer):
    await read_request(reader)
    writer.write(answer)
    await silence(reader)


@mode
async def refuse_403_folded(reader, writer):
    await refuse(reader, writer, b"HTTP/1.1 403 Forbidden\r\nX-Reason: your token\r\n  has expired\r\nContent-Length:\r\n 2\r\n\r\nno")


@mode
async def refuse_429_line_feeds(reader, writer):
    """Lines end with a line feed alone, and the server wants 60 s."""
    await refuse(reader, writer, b"HTTP/1.1 429 Too Many Requests\nRetry-After: 60\nContent-Length: 4\n\nslow")


@mode
async def refuse_999(reader, writer):
    await refuse(reader, writer, b"HTTP/1.1 999 Request denied\r\nRetry-After: 60\r\nContent-Length: 2\r\n\r\nno")


@mode
async def refuse_403_stalled_body(reader, writer):
    """Announces more of a body than ever comes."""
    await refuse(reader, writer, b"HTTP/1.1 403 Forbidden\r\nX-Reason: token\r\nContent-Length: 1000\r\n\r\ntoken expired")


@mode
async def refuse_418_banned(reader, writer):
    """As exchanges say it."""
    body = b'{"code":-1003,\n "msg":"IP banned until 1659146400000"}'
    await refuse(reader, writer, b"HTTP/1.1 418 I'm a teapot\r\nContent-Type: application/json\r\nX-Used-Weight: s3cret-value\r\n"
                 b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


@mode
async def refuse_401_echo(reader, writer):
    """Says what it was asked."""
    body = b"unknown: " + (await read_request(reader))[:1000]
    writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await silence(reader)


@mode
async def refuse_403_cut(reader, writer):
    """Ends in the middle of its head."""
    await read_request(reader)
    writer.write(b"HTTP/1.1 403 Forbidden\r\nX-Reason: token\r\nX-More")


@mode
async def empty_lines_of_the_upgrade(reader, writer):
    await accept(reader, writer, b"Sec-WebSocket-Extensions:\r\nSec-WebSocket-Protocol: \r\n")
    await echo_frames(reader, writer)


@mode
async def refuse_endless_body(reader, writer):
    await read_request(reader)
    writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(b"blah" * 4096)
        await writer.drain()


@mode
async def eof_in_handshake(reader, writer):
    writer.write(upgrade(await read_request(reader))[:60])
    await writer.drain()


@mode
async def reset_in_handshake(reader, writer):
    await read_request(reader)
    reset(writer)


# ---- Bad after it


@mode
async def garbage(reader, writer):
    await accept(reader, writer)
    writer.write(b"\xff" * 4096)
    await silence(reader)


@mode
async def slow(reader, writer):
    """Echoes, byte by byte."""
    await accept(reader, writer)
    while True:
        opcode, payload = await receive(reader)
        await byte_by_byte(writer, frame(opcode, payload), 0.001)
        if opcode == 8:
            return


@mode
async def masked(reader, writer):
    await accept(reader, writer)
    writer.write(b"\x81\x85\x01\x02\x03\x04" + bytes(a ^ b for a, b in zip(b"hello", b"\x01\x02\x03\x04\x01")))
    await silence(reader)


@mode
async def bad_utf8(reader, writer):
    await accept(reader, writer)
    writer.write(frame(1, b"good \xff bad"))
    await silence(reader)


@mode
async def reset_mid_frame(reader, writer):
    await accept(reader, writer)
    writer.write(frame(1, b"whole") + frame(2, b"half", length=1000))
    await writer.drain()
    await reader.read(1)  # whatever the client sends next, so that it has read the above
    reset(writer)


@mode
async def eof_mid_frame(reader, writer):
    await accept(reader, writer)
    writer.write(frame(1, b"whole") + frame(2, b"half", length=1000))
    await writer.drain()


@mode
async def huge_claim(reader, writer):
    """A header that announces 2^62 bytes."""
    await accept(reader, writer)
    writer.write(frame(2, b"", length=1 << 62))
    await silence(reader)


@mode
async def endless_message(reader, writer):
    """Fragments without an end."""
    await accept(reader, writer)
    writer.write(frame(2, b"", fin=False))
    while True:
        writer.write(frame(0, b"x" * 65535, fin=False))
        await writer.drain()


@mode
async def bomb(reader, writer):
    """A compressed message of 1 MB that inflates to 1 GiB."""
    request = await read_request(reader)
    writer.write(upgrade(request, b"Sec-WebSocket-Extensions: permessage-deflate\r\n"))
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    # A block that ends with a full flush needs nothing of what came before: it can stand there any number of times.
    packed = (deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)) * 1024
    writer.write(frame(2, packed[:-4], reserved=4))
    await silence(reader)


@mode
async def bad_deflate(reader, writer):
    request = await read_request(reader)
    writer.write(upgrade(request, b"Sec-WebSocket-Extensions: permessage-deflate\r\n"))
    writer.write(frame(1, b"\xff\xff\xff\xff nonsense", reserved=4))
    await silence(reader)


@mode
async def mute(reader, writer):
    """Upgrades, then neither answers nor reads."""
    await accept(reader, writer)
    await asyncio.Event().wait()


@mode
async def ignores_close(reader, writer):
    """Reads everything, answers nothing."""
    await accept(reader, writer)
    await silence(reader)


@mode
async def ping_flood(reader, writer):
    """10,000 pings at once; the text "done" when the last is answered (RFC 6455 5.5.3: not all need to be); then it echoes."""
    await accept(reader, writer)
    for i in range(100):
        writer.write(b"".join(frame(9, b"%0125d" % (100 * i + j)) for j in range(100)))
        await writer.drain()
    while int((await receive(reader))[1]) != 9999:
        pass
    writer.write(frame(1, b"done"))
    await echo_frames(reader, writer)


@mode
async def ping_by_ping(reader, writer):
    """100 pings, each sent when the one before is answered; then the text "done"."""
    await accept(reader, writer)
    for i in range(100):
        writer.write(frame(9, b"%d" % i))
        if await receive(reader) != (10, b"%d" % i):
            return
    writer.write(frame(1, b"done"))
    await silence(reader)


# ---- The program


@mode
async def pong_times(reader, writer):
    """Forty pings, 50 ms apart; then a text with the longest time that a pong took, in milliseconds."""
    await accept(reader, writer)
    longest = 0.0
    for number in range(40):
        payload = struct.pack("!I", number)
        sent = asyncio.get_running_loop().time()
        writer.write(frame(9, payload))
        while True:
            opcode, data = await receive(reader)
            if opcode == 10 and data == payload:
                break
        longest = max(longest, asyncio.get_running_loop().time() - sent)
        await asyncio.sleep(0.05)
    writer.write(frame(1, b"%d" % (longest * 1000)))
    await end(reader)


async def main(chosen):
    async def serve(reader, writer):
        try:
            await MODES[chosen](reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(0, lambda: os.read(0, 4096) or ended.set())
    await ended.wait()
    os._exit(0)  # without waiting for clients that are still there


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(MODES))
    elif len(sys.argv) != 2 or sys.argv[1] not in MODES:
        sys.exit(f"usage: hostile.py MODE, one of {' '.join(MODES)}")
    else:
        asyncio.run(main(sys.argv[1]))
