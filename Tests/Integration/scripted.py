# SPDX-License-Identifier: Apache-2.0
"""A server that does what its scripts say, one for each connection, and tells what it got. Standard library only.

    scripted.py [--tls] SCRIPT...

prints its port (of 127.0.0.1) as the first line. The first connection gets the first script, the second the second one;
the last script serves all that follow. Scripts that all begin with /NAME: are for connections whose path ends so, which
have an order of their own. --tls: with a certificate that nobody trusts. A script is a list of steps with " | " between them,
done one after another while frames are read all the time; behind the last step the connection goes on until the client
ends it.

Before the connection is open:
    accept [HEADER]      101, perhaps with one more header line         deflate   101 with permessage-deflate
    refuse STATUS [HEADER]   refuses, perhaps with a header line; {date+N} there stands for the HTTP date in N seconds
Then:
    text TEXT, binary TEXT, ping TEXT    sends one frame                every MS TEXT       a text again and again
    answer TEXT -> REPLY   from here on a text that is TEXT gets REPLY  close CODE [REASON]   sends a close frame
    feed NAME=NUMBER...  joins the numbered feed of feed.py, with the arguments of Feed, which the first to join decides, and
                         of Listener; deflate=1 with the step deflate
    numbers NAME=NUMBER...   sends `count` texts of such a feed at once
    flood COUNT SIZE   sends so many texts "N xxx..." of SIZE bytes (0: empty ones) as fast as they go, compressed after deflate
    taken    waits until the peer's system has acknowledged all that was sent
At any time:
    cut      ends the TCP connection      reset    ends it with RST     stall   reads no more, until
    resume   reads again
    mute     leaves pings unanswered      go       waits for a line "go" on standard input
    got N    waits for N messages on this connection                    sleep MS

Each thing that happens is a line: connection number, microseconds since the start, kind, text. The kinds are request (the
text is the request with \\n for each end of line), text, binary, ping, pong, close, end. Messages above 64 bytes stand as
LENGTH:CRC32:the first 64 bytes.

Lines on standard input: "go" lets the next step `go` pass, "down" ends all connections with RST and stops to listen, "up"
listens again at the same port. "quiet" ends the feed: the record "fed" has the number of its texts; "loud" goes on with it.
"times FILE" writes when each of them was first written, as JSON. "cut N" ends connection N with RST, "cut /NAME" those whose
path ends so. The end of standard input is the end of the server.
"""
import asyncio
import email.utils
import fcntl
import json
import os
import pathlib
import re
import ssl
import struct
import sys
import tempfile
import termios
import time
import zlib

from feed import Feed, Listener
from hostile import frame, read_request, receive_frame, reset, upgrade

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples" / "simulator"))
import certificate

KINDS = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
START = time.monotonic()


def shown(payload):
    if len(payload) > 64:
        payload = b"%d:%08x:%s" % (len(payload), zlib.crc32(payload), payload[:64])
    return payload.decode("utf-8", "backslashreplace").replace("\\", "\\\\").replace("\r", "").replace("\n", "\\n")


class Connection:
    def __init__(self, server, number, reader, writer):
        self.server, self.number, self.reader, self.writer, self.path = server, number, reader, writer, ""
        self.answers, self.inflater = {}, None
        self.received, self.news = 0, asyncio.Event()
        self.reads, self.pongs, self.has_closed = asyncio.Event(), True, False
        self.reads.set()
        self.tasks = []

    def record(self, kind, text=""):
        self.server.record(self.number, kind, text)

    # ---- What comes

    async def read(self):
        try:
            while True:
                await self.reads.wait()
                await self.take(*await receive_frame(self.reader))
        except (ConnectionError, asyncio.IncompleteReadError):
            self.record("end")
        finally:
            self.news.set()

    async def take(self, first, payload):
        opcode = first & 15
        if opcode < 8:
            if opcode:
                self.first, self.parts = first, []
            self.parts.append(payload)
            if not first & 0x80:
                return
            first, opcode, payload = self.first, self.first & 15, b"".join(self.parts)
        if first & 0x40:
            payload = self.inflater.decompress(payload + b"\0\0\xff\xff")
        if opcode == 8:
            self.record("close", shown(b"%d %s" % (struct.unpack("!H", payload[:2])[0] if payload else 1005, payload[2:])))
            if not self.has_closed:
                self.writer.write(frame(8, payload))
            self.writer.close()
            raise ConnectionError
        self.record(KINDS.get(opcode, "unknown"), shown(payload))
        if opcode == 9 and self.pongs:
            self.writer.write(frame(10, payload))
        if opcode in (1, 2):
            self.received += 1
            self.news.set()
            if payload in self.answers:
                self.writer.write(frame(1, self.answers[payload]))

    # ---- Steps

    async def run(self, script):
        self.request = await read_request(self.reader)
        self.record("request", shown_request(self.request))
        self.path = self.request.split()[1].decode()
        if script is None:
            script = self.server.script(self.path)
        for step in filter(None, (part.strip() for part in script.split(" | "))):
            name, _, rest = step.partition(" ")
            await getattr(self, "step_" + name)(rest)
        if self.tasks:
            await self.tasks[0]
        else:
            await self.reader.read()

    async def step_accept(self, header, extra=b""):
        self.writer.write(upgrade(self.request, header.encode() + b"\r\n" if header else extra))
        self.tasks.append(asyncio.ensure_future(self.read()))

    async def step_deflate(self, _):
        self.inflater = zlib.decompressobj(-15)
        await self.step_accept("", b"Sec-WebSocket-Extensions: permessage-deflate\r\n")

    async def step_refuse(self, rest):
        status, _, header = rest.partition(" ")
        later = re.search(r"\{date\+(\d+)\}", header)
        if later:
            header = header.replace(later[0], email.utils.formatdate(time.time() + int(later[1]), usegmt=True))
        lines = f"HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n" + (header + "\r\n" if header else "")
        self.writer.write(lines.encode() + b"\r\n")
        await self.writer.drain()
        self.writer.close()

    async def send(self, opcode, text):
        self.writer.write(frame(opcode, text.encode()))
        await self.writer.drain()

    async def step_text(self, text):
        await self.send(1, text)

    async def step_binary(self, text):
        await self.send(2, text)

    async def step_ping(self, text):
        await self.send(9, text)

    async def step_every(self, rest):
        pause, _, text = rest.partition(" ")

        async def repeat():
            while not self.writer.is_closing():
                self.writer.write(frame(1, text.encode()))
                await asyncio.sleep(int(pause) / 1000)

        self.tasks.append(asyncio.ensure_future(repeat()))

    async def step_answer(self, rest):
        text, _, reply = rest.partition(" -> ")
        self.answers[text.encode()] = reply.encode()

    async def step_close(self, rest):
        code, _, reason = rest.partition(" ")
        self.has_closed = True
        self.writer.write(frame(8, struct.pack("!H", int(code)) + reason.encode()))

    async def step_feed(self, rest):
        wanted = numbers(rest)
        own = {name: wanted.pop(name) for name in ("lag", "skip", "miss", "deflate") if name in wanted}
        if not self.server.feed:
            self.server.feed = Feed(**wanted)
        self.server.feed.join(Listener(self, **own))

    async def step_numbers(self, rest):
        wanted = numbers(rest)
        count, first = wanted.pop("count"), wanted.pop("first", 0)
        feed = Feed(**wanted)
        feed.task.cancel()
        for begin in range(first, first + count, 1000):
            self.writer.write(b"".join(frame(1, feed.text(n)) for n in range(begin, min(begin + 1000, first + count))))
            await self.writer.drain()

    async def step_flood(self, rest):
        count, size = map(int, rest.split())
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15) if self.inflater else None
        frames = bytearray()
        for n in range(count):
            text = (b"%d " % n).ljust(size, b"x")[:size]
            if deflater:
                frames += frame(1, (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4], reserved=4)
            else:
                frames += frame(1, text)
        self.writer.write(frames)
        await self.writer.drain()
        self.record("sent")

    async def step_taken(self, _):
        """Waits until the peer's system has acknowledged all that was sent."""
        sock = self.writer.get_extra_info("socket")
        while struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0] or self.writer.transport.get_write_buffer_size():
            await asyncio.sleep(0.001)
        self.record("taken")

    async def step_cut(self, _):
        self.writer.close()

    async def step_reset(self, _):
        reset(self.writer)

    async def step_stall(self, _):
        self.reads.clear()

    async def step_resume(self, _):
        self.reads.set()

    async def step_mute(self, _):
        self.pongs = False

    async def step_go(self, _):
        await self.server.permits.acquire()

    async def step_got(self, count):
        while self.received < int(count):
            self.news.clear()
            await self.news.wait()
            if self.tasks[0].done() and self.received < int(count):
                raise ConnectionError

    async def step_sleep(self, milliseconds):
        await asyncio.sleep(int(milliseconds) / 1000)


def numbers(text):
    return {name: int(value) for name, _, value in (word.partition("=") for word in text.split())}


def shown_request(request):
    return request.decode("latin-1").replace("\r\n", "\\n")


class Server:
    def __init__(self, scripts, context):
        self.context, self.count, self.port, self.feed = context, 0, 0, None
        self.scripts, self.paths = [], {}
        for script in scripts:
            path = re.match(r"(/\S+): (.*)", script, re.S)
            (self.paths.setdefault(path[1], []) if path else self.scripts).append(path[2] if path else script)
        self.permits, self.ended, self.open = asyncio.Semaphore(0), asyncio.Event(), set()
        self.commands = set()
        self.rest = b""

    def record(self, number, kind, text):
        print(f"{number} {int((time.monotonic() - START) * 1e6)} {kind} {text}", flush=True)

    async def serve(self, reader, writer):
        self.count += 1
        connection = Connection(self, self.count, reader, writer)
        self.open.add(connection)
        try:
            await connection.run(self.scripts[min(self.count, len(self.scripts)) - 1] if self.scripts else None)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open.discard(connection)
            for task in connection.tasks[1:]:
                task.cancel()
            writer.close()

    def script(self, path):
        """The next one for this path, of which the last stays."""
        for end, scripts in self.paths.items():
            if path.endswith(end):
                return scripts.pop(0) if len(scripts) > 1 else scripts[0]
        raise ConnectionError

    async def up(self):
        self.listener = await asyncio.start_server(self.serve, "127.0.0.1", self.port, ssl=self.context)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def command(self, line):
        if line == b"go":
            self.permits.release()
        elif line == b"down":
            self.listener.close()
            for connection in list(self.open):
                reset(connection.writer)
            self.record(0, "down", "")
        elif line == b"up":
            await self.up()
            self.record(0, "up", "")
        elif line in (b"quiet", b"loud"):
            self.feed.is_running = line == b"loud"
            self.record(0, "fed", str(self.feed.count))
        elif line.startswith(b"times "):
            pathlib.Path(line[6:].decode()).write_text(json.dumps(self.feed.written))
            self.record(0, "times", "")
        elif line.startswith(b"cut "):
            for connection in list(self.open):
                if connection.number == int(line[4:]) if line[4:].isdigit() else connection.path.endswith(line[4:].decode()):
                    reset(connection.writer)

    def input(self):
        data = os.read(0, 4096)
        if not data:
            self.ended.set()
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            command = asyncio.ensure_future(self.command(line))
            self.commands.add(command)  # the loop itself holds no task
            command.add_done_callback(self.commands.discard)


def new_certificate():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        _, chain, key = certificate.make(folder)
        context.load_cert_chain(chain, key)
    return context


async def main(scripts):
    server = Server(scripts[1:], new_certificate()) if scripts[0] == "--tls" else Server(scripts, None)
    await server.up()
    print(server.port, flush=True)
    asyncio.get_running_loop().add_reader(0, server.input)
    await server.ended.wait()
    os._exit(0)  # without waiting for clients that are still there


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: scripted.py SCRIPT...")
    asyncio.run(main(sys.argv[1:]))
