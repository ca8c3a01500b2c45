# SPDX-License-Identifier: Apache-2.0
"""An exchange for feeds: it takes subscriptions as Binance does, and sends a price for each."""
import json
import threading

from websockets.sync.server import serve


class Exchange:
    def __init__(self):
        self.subscribed = []
        self.connections = 0
        self.news = threading.Condition()
        self.server = serve(self.handle, "127.0.0.1", 0)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}/stream"

    def handle(self, connection):
        with self.news:
            self.connections += 1
            self.news.notify_all()
        for message in connection:
            request = json.loads(message)
            with self.news:
                for stream in request["params"]:
                    self.subscribed.append((request["method"], stream))
                self.news.notify_all()
            connection.send(json.dumps({"result": None, "id": request["id"]}))
            if request["method"] == "SUBSCRIBE":
                for stream in request["params"]:
                    symbol = stream.split("@")[0].upper()
                    connection.send(json.dumps({"stream": stream, "data": {
                        "u": 1, "s": symbol, "b": "1.00", "B": "1", "a": "2.00", "A": "1"}}))

    def wait_for(self, condition):
        with self.news:
            assert self.news.wait_for(condition, 20), (self.subscribed, self.connections)

    def close(self):
        self.server.shutdown()
        self.thread.join()
