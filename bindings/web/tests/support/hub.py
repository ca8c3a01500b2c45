# SPDX-License-Identifier: Apache-2.0
"""A hub that does what a test says: each line of the input is a call, `[name, arguments, keywords]`, and answered by a line.

    hub.py '{"options": {}, "topics": {"price.*": {"history": 10}}, "routes": {}, "keys": {}}'
"""
import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time

import pulsews

SECRET = "0123456789abcdef0123456789abcdef"


def token(user, lifetime, **claims):
    """A JSON Web Token of the hub's key."""
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": user, "exp": time.time() + lifetime, **claims}]
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    mark = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mark).rstrip(b'=').decode()}"


async def main():
    settings = json.loads(sys.argv[1])
    hub = pulsews.Hub(settings.get("listen", "127.0.0.1:0"), **settings.get("options", {}))
    for pattern, options in settings.get("topics", {}).items():
        hub.topic(pattern, **options)
    for path, options in settings.get("routes", {}).items():
        hub.route(path, **options)
    if "auth" in settings.get("options", {}):
        hub.key("main", "HS256", SECRET)

    @hub.on_message
    async def echo(peer, message):
        peer.send({"type": "echo", "data": message})

    calls = {
        "publish": lambda topic, text, key=None: hub.publish(topic, text.encode(), key),
        "publish_bytes": lambda topic, numbers: hub.publish(topic, bytes(numbers)),
        "burst": lambda topic, count: [hub.publish(topic, {"type": "n", "n": n}) for n in range(count)][-1],
        "close_peers": lambda code: [hub.close_peer(peer["peer"], code) for peer in hub.peers()] and None,
        "peers": lambda: hub.peers(),
        "statistics": lambda: hub.statistics(),
        "set_state": hub.set_state,
        "broadcast": hub.broadcast,
        "token": token,
    }
    await hub.start()
    print(json.dumps(hub.addresses), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, arguments, keywords = json.loads(line)
        if name == "drain":
            await hub.drain(0)
            break
        print(json.dumps(calls[name](*arguments, **keywords)), flush=True)
    hub.close()


asyncio.run(main())
