# SPDX-License-Identifier: Apache-2.0
"""A made-up market: random walks, and the messages an exchange sends about them (Binance's field names)."""
import random
import time

START_PRICES = {"BTCUSDT": 64250.0, "ETHUSDT": 3120.0, "SOLUSDT": 148.0, "BNBUSDT": 585.0}


class Symbol:
    """One symbol's order book top and its present one-minute candle."""

    def __init__(self, name):
        self.name = name
        self.random = random.Random(name)
        self.price = START_PRICES.get(name, 10 ** self.random.uniform(-1, 3))
        self.tick = 10.0 ** -(2 if self.price >= 10 else 5)
        self.decimals = 2 if self.price >= 10 else 5
        self.trade = self.random.randrange(10**8, 10**9)
        self.minute = None
        self.step()

    def step(self):
        """One trade, and the candle that follows from it."""
        now = time.time_ns() // 1_000_000
        self.price = max(self.tick, self.price * (1 + self.random.gauss(0, 0.00008)))
        self.trade += 1
        quantity = round(self.random.expovariate(2.0) + 0.001, 5)
        if now // 60_000 != self.minute:
            self.minute = now // 60_000
            self.first = self.trade
            self.open = self.high = self.low = self.price
            self.volume = self.quote = self.taker = 0.0
        self.high, self.low = max(self.high, self.price), min(self.low, self.price)
        self.volume += quantity
        self.quote += quantity * self.price
        self.taker += quantity * self.random.random()

    def text(self, price):
        return f"{price:.{self.decimals}f}"

    def size(self):
        return f"{self.random.expovariate(0.5) + 0.001:.5f}"

    def book_ticker(self):
        half = self.tick * self.random.choice((0.5, 0.5, 1, 2))
        return {"s": self.name, "b": self.text(self.price - half), "B": self.size(),
                "a": self.text(self.price + half), "A": self.size()}

    def kline(self):
        candle = {"t": self.minute * 60_000, "T": self.minute * 60_000 + 59_999, "s": self.name, "i": "1m",
                  "f": self.first, "L": self.trade, "o": self.text(self.open), "c": self.text(self.price),
                  "h": self.text(self.high), "l": self.text(self.low), "v": f"{self.volume:.5f}",
                  "n": self.trade - self.first + 1, "x": False, "q": f"{self.quote:.5f}", "V": f"{self.taker:.5f}",
                  "Q": f"{self.taker * self.price:.5f}", "B": "0"}
        return {"e": "kline", "E": time.time_ns() // 1_000_000, "s": self.name, "k": candle}
