# SPDX-License-Identifier: Apache-2.0
"""Reads captures of exchange sessions: lines `URL <-> TIME`, `URL <- TIME: TEXT` (client), `TIME: TEXT` (server)."""
import lzma
import re

SERVER_LINE = re.compile(r"^(\d+(?:\.\d+)?): (.*)$", re.S)


def read(path):
    """[(seconds since the first message, text)] of what the server sent."""
    opener = lzma.open if str(path).endswith(".xz") else open
    messages = []
    with opener(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            found = SERVER_LINE.match(line.rstrip("\n"))
            if found:
                messages.append((float(found[1]), found[2]))
    if not messages:
        raise ValueError(f"{path} holds no message of a server")
    begin = messages[0][0]
    return [(time - begin, text) for time, text in messages]
