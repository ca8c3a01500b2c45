# SPDX-License-Identifier: Apache-2.0
"""A small service on pulsews.WebSocketManager: subscribes, keeps the mid price of each symbol, tells what happens to
the connection, and looks at its own status. Connections come and go below it; it has no code for that.

    python manager.py wss://localhost:8443/ws --ca ca.pem --seconds 10
"""
import argparse
import asyncio
import sys

import pulsews

STREAMS = ["btcusdt@bookTicker", "ethusdt@bookTicker", "solusdt@bookTicker"]


class Service:
    def __init__(self, url, ca_file):
        self.prices = {}
        self.manager = pulsews.WebSocketManager(
            url=url,
            ca_file=ca_file,
            name="prices",
            heartbeat_interval=20,
            heartbeat_timeout=45,
            stale_timeout=15,                # a feed that says nothing for 15 s ...
            stale_action="reconnect",        # ... is made anew
            max_reconnect_attempts=0,        # never stop trying
            rate_limit="5/s",
            rate_limit_control=True,         # pings and pongs count, too
            subscribe_message='{"method":"SUBSCRIBE","params":[${keys}],"id":${id}}',
            unsubscribe_message='{"method":"UNSUBSCRIBE","params":[${keys}],"id":${id}}',
            on_message=self.on_message,
            on_connect=self.on_connect,
            on_disconnect=self.on_disconnect,
            on_state_change=self.on_state_change,
            on_error=self.on_error,
        )
        for stream in STREAMS:
            self.manager.subscribe(stream)   # on every connect, in one message

    def on_message(self, message):
        if "b" in message:
            self.prices[message["s"]] = round((float(message["b"]) + float(message["a"])) / 2, 5)
        elif "error" in message:
            print(f"the exchange refuses: {message['error']}", flush=True)

    def on_connect(self, event):
        print(f"ready: {event['subscriptions']} subscriptions at {event['endpoint']}", flush=True)

    def on_disconnect(self, event):
        self.prices.clear()                  # none is better than an old one
        print(f"lost: {event['cause']}", flush=True)

    def on_state_change(self, state, previous, event):
        wait = f", next attempt in {event['next_delay']:.1f} s" if event["next_delay"] else ""
        print(f"{previous} -> {state}{wait}", flush=True)

    def on_error(self, error):
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)

    async def tell(self):
        while True:
            await asyncio.sleep(2)
            status = self.manager.get_status()
            stats = status["stats"]
            latency = "unknown" if stats["latency"] is None else f"{stats['latency'] * 1000:.1f} ms"
            print(f"{status['state']}: {stats['messages_received']} messages, {stats['reconnections']} reconnections, "
                  f"round trip {latency}, mid prices {self.prices}", flush=True)

    async def run(self, seconds):
        teller = asyncio.ensure_future(self.tell())
        try:
            async with self.manager:
                # Ends when trying has ended, with the reason; here the time is over before that.
                await asyncio.wait_for(self.manager.wait_closed(), seconds)
        except asyncio.TimeoutError:
            pass
        finally:
            teller.cancel()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--ca", help="file with the certificates to trust; default: the system's")
    parser.add_argument("--seconds", type=float, help="default: until it is interrupted")
    options = parser.parse_args()
    try:
        asyncio.run(Service(options.url, options.ca).run(options.seconds))
    except KeyboardInterrupt:
        pass
    except pulsews.PulseError as error:
        sys.exit(f"manager: {error}")


main()
