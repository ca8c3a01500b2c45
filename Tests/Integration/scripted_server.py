# SPDX-License-Identifier: Apache-2.0
"""A server of scripted.py for tests in Python: starts it, steers it, reads what it tells."""
import queue
import subprocess
import sys
import threading

from conftest import HERE

PATIENCE = 30


class Scripted:
    def __init__(self, *scripts):
        self.process = subprocess.Popen([sys.executable, HERE / "scripted.py", *scripts], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.port = int(self.process.stdout.readline())
        self.told, self.news = [], queue.Queue()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def url(self, path="/path"):
        return f"ws://127.0.0.1:{self.port}{path}"

    def read(self):
        for line in self.process.stdout:
            number, _, kind, *text = line.rstrip("\n").split(" ", 3)
            self.news.put((int(number), kind, text[0] if text else ""))

    def command(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def count(self, kind, text=None):
        """How many things of that kind it has told of so far."""
        while not self.news.empty():
            self.told.append(self.news.get())
        return sum(what == kind and text in (None, said) for _, what, said in self.told)

    def wait(self, kind, count=1):
        """The text of the last of so many things of that kind."""
        while self.count(kind) < count:
            self.told.append(self.news.get(timeout=PATIENCE))
        return [text for _, what, text in self.told if what == kind][count - 1]

    def quiet(self):
        """Ends the feed; how many texts it had."""
        before = self.count("fed")
        self.command("quiet")
        return int(self.wait("fed", before + 1))

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()
