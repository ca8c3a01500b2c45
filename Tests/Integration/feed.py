# SPDX-License-Identifier: Apache-2.0
"""A numbered feed that any number of a scripted server's connections join. Standard library only."""
import asyncio
import collections
import time
import zlib

from hostile import frame


class Feed:
    """Every `ms` milliseconds `burst` texts {"s":"K0","u":1,"n":1}: u counts the texts of each of `keys` keys, n all.

    It waits for a listener that does not read. `written` has when each text was first written, by the monotonic clock."""

    most_unread = 8 << 20

    def __init__(self, ms=1, keys=1, burst=1, size=0):
        self.pause, self.keys, self.burst, self.size = ms / 1000, keys, burst, size
        self.count, self.listeners, self.is_running, self.written = 0, {}, True, []
        self.task = asyncio.ensure_future(self.run())

    def text(self, n):
        return b'{"s":"K%d","u":%d,"n":%d%s}' % (n % self.keys, n // self.keys, n, b',"pad":"%s"' % (b"x" * self.size)
                                                 if self.size else b"")

    def join(self, listener):
        self.listeners[listener.connection] = listener

    async def run(self):
        due = time.monotonic()
        while True:
            now = time.monotonic()
            is_blocked = not self.is_running or any(listener.is_behind(self.most_unread) for listener in self.listeners.values())
            while not is_blocked and due <= now:
                due += self.pause
                for listener in self.listeners.values():
                    listener.take([(n, self.text(n)) for n in range(self.count, self.count + self.burst)], now)
                self.count += self.burst
                self.written += [0] * self.burst
            if is_blocked:
                due = now
            for connection in [c for c, listener in self.listeners.items() if not listener.write(now, self.written)]:
                del self.listeners[connection]
            await asyncio.sleep(self.pause)


class Listener:
    """One connection: `lag` is how many milliseconds it is behind, and it misses the texts with n % skip == miss."""

    def __init__(self, connection, lag=0, skip=0, miss=0, deflate=0):
        self.connection, self.lag, self.skip, self.miss = connection, lag / 1000, skip, miss
        self.deflater = zlib.compressobj(1, zlib.DEFLATED, -15) if deflate else None
        self.waiting = collections.deque()

    def take(self, texts, now):
        frames = [self.frame(text) for n, text in texts if not self.skip or n % self.skip != self.miss]
        self.waiting.append((now + self.lag, texts, b"".join(frames)))

    def frame(self, text):
        if not self.deflater:
            return frame(1, text)
        return frame(1, (self.deflater.compress(text) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[:-4], reserved=4)

    def is_gone(self):
        return self.connection.has_closed or self.connection.writer.is_closing()

    def is_behind(self, most):
        return not self.is_gone() and self.connection.writer.transport.get_write_buffer_size() > most

    def write(self, now, written):
        """Sends what is due. False: the connection is gone."""
        if self.is_gone():
            return False
        due = []
        while self.waiting and self.waiting[0][0] <= now:
            _, texts, frames = self.waiting.popleft()
            due.append(frames)
            for n, _ in texts:
                written[n] = written[n] or time.monotonic_ns()
        if due:
            self.connection.writer.write(b"".join(due))
        return True
