# SPDX-License-Identifier: Apache-2.0
"""replay.py [--times] [--ca FILE] URL: receives until the server closes, then prints one JSON line: how many messages, and
the SHA-256 over all of them, each followed by a line feed. With --times, before it, a line `received_ns text` for each."""
import argparse
import hashlib
import json
import sys

import pulsews


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--ca")
    parser.add_argument("--times", action="store_true")
    options = parser.parse_args()
    digest, count, size, ended = hashlib.sha256(), 0, 0, None
    with pulsews.connect(options.url, ca_file=options.ca, reconnect=False) as ws:
        try:
            while True:
                # recv_batch is the faster way, and --times wants the time of each message.
                batch = [ws.recv_message(timeout=60)] if options.times else ws.recv_batch(256, timeout=60)
                if not batch:
                    raise TimeoutError("nothing for 60 s")
                for received in batch:
                    text = received.data if options.times else received
                    encoded = text.encode()
                    digest.update(encoded + b"\n")
                    count += 1
                    size += len(encoded)
                    if options.times:
                        print(received.received_ns, text[:60])
        except pulsews.ConnectionClosed as closed:
            ended = closed.code
    print(json.dumps({"language": "Python", "messages": count, "bytes": size, "sha256": digest.hexdigest()}))
    if ended != 1000:
        sys.exit(f"replay: ended with close code {ended}")


main()
