# SPDX-License-Identifier: Apache-2.0
"""Invents captures of four exchanges, in the format of recorded ones (examples/simulator/captures.py reads both):

    invent.py [FOLDER]      writes NAME.log.xz for each, by default beside this file

Coins, prices and orders are made up; the messages have the members, numbers and sizes of the real feeds of these exchanges:
numbers with and without holes, small updates, snapshots of 40 and 100 kB. The same each time."""
import datetime
import json
import lzma
import pathlib
import random
import sys

SECONDS = 30


class Dice:
    """Only what random promises to keep the same in all versions."""

    def __init__(self, name):
        self.next = random.Random(name).random

    def below(self, count):
        return int(self.next() * count)

    def pick(self, choices):
        return choices[self.below(len(choices))]

    def hex(self, digits):
        return "".join(self.pick("0123456789abcdef") for _ in range(digits))

    def uuid(self):
        return "-".join(map(self.hex, (8, 4, 4, 4, 12)))


def decimal(units, digits):
    """1234, 2: "12.34"."""
    whole, rest = divmod(units, 10 ** digits)
    return f"{whole}.{rest:0{digits}}" if digits else str(whole)


def compact(value):
    return json.dumps(value, separators=(",", ":"))


class Market:
    """A coin's price, in units of the last digit, its trades and the numbers of its updates."""

    def __init__(self, dice, name, price, digits, number):
        self.dice, self.name, self.price, self.digits = dice, name, price, digits
        self.updates = self.told = number  # the last number, and that up to which the depth was told
        self.trades = self.first_trade = number // 7
        self.aggregates = number // 11
        self.open = self.high = self.low = price
        self.volume = self.bought = self.turnover = self.bought_turnover = self.count = 0

    def move(self):
        self.price = max(100, self.price + self.dice.below(7) - 3)
        self.high, self.low = max(self.high, self.price), min(self.low, self.price)

    def text(self, price):
        return decimal(price, self.digits)

    def trade(self):
        """(amount, whether the buyer was there first)"""
        amount, is_maker = 1 + self.dice.below(90), self.dice.below(2) == 1
        self.move()
        self.trades += 1
        self.aggregates += 1
        self.count += 1
        self.volume += amount
        self.turnover += amount * self.price
        if not is_maker:
            self.bought += amount
            self.bought_turnover += amount * self.price
        return amount, is_maker

    def levels(self, side, most, amount):
        """Up to `most` changed prices at a side, -1 or 1; where nothing is left the amount is 0."""
        prices = {self.price + side * (1 + self.dice.below(30)) for _ in range(self.dice.below(most + 1))}
        return [[self.text(price), amount(0 if self.dice.below(4) == 0 else 1 + self.dice.below(20000))]
                for price in sorted(prices)]


class Binance:
    """The combined stream of four coins. Each update of the futures' depth names the number before it, as its own jump over
    those of other coins; the spot's have no hole."""

    KINDS = ["depth"] * 8 + ["bookTicker"] * 7 + ["aggTrade"] * 3 + ["kline"] * 2

    def __init__(self, name, host, coins, begin, is_futures):
        self.dice, self.begin, self.is_futures = Dice(name), begin, is_futures
        self.digits = 0 if is_futures else 8  # of an amount
        self.markets = [Market(self.dice, *coin) for coin in coins]
        self.counter = max(market.updates for market in self.markets)
        kinds = ("aggTrade", "depth@100ms", "kline_1m", "bookTicker")
        streams = "/".join(f"{market.name.lower()}@{kind}" for kind in kinds for market in self.markets)
        self.url = f"wss://{host}/stream?streams={streams}"

    def amount(self, count):
        return decimal(count * 10 ** self.digits, self.digits)

    def advance(self, market):
        if self.is_futures:
            self.counter += 1 + self.dice.below(900)
            market.updates = self.counter
        else:
            market.updates += 1

    def times(self, ms):
        """When it was made and when it was sent; the spot feed tells one of them."""
        return {"E": ms, "T": ms - 3 - self.dice.below(80)} if self.is_futures else {"E": ms}

    def depth(self, market, ms):
        before, first = market.told, market.told + 1
        if self.is_futures:
            self.advance(market)
            first = market.updates
        for _ in range(self.dice.below(3) + (market.updates == before)):
            self.advance(market)
        market.told = market.updates
        most = 12 if self.dice.below(20) == 0 else 3
        bids, asks = [], []
        while not bids and not asks:
            bids, asks = market.levels(-1, most, self.amount), market.levels(1, most, self.amount)
        return "depth@100ms", {"e": "depthUpdate", **self.times(ms), "s": market.name, "U": first, "u": market.updates,
                               **({"pu": before} if self.is_futures else {}), "b": bids, "a": asks}

    def bookTicker(self, market, ms):
        market.move()
        self.advance(market)
        best = {"u": market.updates, "s": market.name, "b": market.text(market.price), "B": self.amount(1 + self.dice.below(400)),
                "a": market.text(market.price + 1), "A": self.amount(1 + self.dice.below(400))}
        return "bookTicker", {"e": "bookTicker", **best, "T": ms - 5, "E": ms} if self.is_futures else best

    def aggTrade(self, market, ms):
        amount, is_maker = market.trade()
        return "aggTrade", {"e": "aggTrade", "E": ms, **({"a": market.aggregates, "s": market.name} if self.is_futures else
                                                         {"s": market.name, "a": market.aggregates}),
                            "p": market.text(market.price), "q": self.amount(amount), "f": market.trades, "l": market.trades,
                            "T": ms - 2, "m": is_maker, **({} if self.is_futures else {"M": True})}

    def kline(self, market, ms):
        minute = ms // 60000 * 60000

        def turnover(units):
            return decimal(units * 10 ** (self.digits and 8 - market.digits), self.digits or market.digits)

        bar = {"t": minute, "T": minute + 59999, "s": market.name, "i": "1m", "f": market.first_trade, "L": market.trades,
               "o": market.text(market.open), "c": market.text(market.price), "h": market.text(market.high),
               "l": market.text(market.low), "v": self.amount(market.volume), "n": market.count, "x": False,
               "q": turnover(market.turnover), "V": self.amount(market.bought), "Q": turnover(market.bought_turnover), "B": "0"}
        return "kline_1m", {"e": "kline", "E": ms, "s": market.name, "k": bar}

    def lines(self, count):
        yield f"{self.url} <-> {self.begin - 0.9:.6f}"
        for number in range(count):
            at = self.begin + SECONDS * number / count + self.dice.below(1000) / 1e5
            market = self.markets[self.dice.pick((0, 0, 0, 1, 1, 2, 3))]
            kind, data = getattr(self, self.dice.pick(self.KINDS))(market, int(at * 1000) - 4)
            yield f"{at:.6f}: {compact({'stream': f'{market.name.lower()}@{kind}', 'data': data})}"


def ladder(market, side, count):
    """The prices at a side of a book, from the best one."""
    price = market.price + side
    for _ in range(count):
        yield max(1, price)
        price += side * market.dice.pick((1, 1, 1, 2, 5))


def coinbase(begin, count):
    """Level 2, ticker and matches: each match has its number in the market, of which this feed has some."""
    dice, url = Dice("coinbase"), "wss://ws-feed.pro.coinbase.com"
    markets = [Market(dice, *coin) for coin in (("PLUM-USD", 152500, 4, 300000000), ("FIG-EUR", 61800, 5, 20000000),
                                                ("KALE-BTC", 140200, 8, 100000000), ("BEET-GBP", 405100, 6, 1000))]
    names, channels = [market.name for market in markets], ("level2", "ticker", "matches")
    amounts = [decimal(1225 * n * n, 2) for n in range(1, 12)]

    def time(at):
        return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def match(kind, market, at):
        amount, is_maker = market.trade()
        market.updates += 1 + dice.below(40)
        size, side = decimal(amount, 2), ("sell", "buy")
        yield {"type": "ticker", "sequence": market.updates, "product_id": market.name, "price": market.text(market.price),
               "open_24h": market.text(market.open), "volume_24h": decimal(81000 * 10 ** 8 + market.volume, 8),
               "low_24h": market.text(market.low), "high_24h": market.text(market.high),
               "volume_30d": decimal(2140000 * 10 ** 8 + market.volume, 8), "best_bid": market.text(market.price - 1),
               "best_ask": market.text(market.price + 1), "side": side[is_maker], "time": time(at), "trade_id": market.trades,
               "last_size": size}
        yield {"type": kind, "trade_id": market.trades, "maker_order_id": dice.uuid(), "taker_order_id": dice.uuid(),
               "side": side[not is_maker], "size": size, "price": market.text(market.price), "product_id": market.name,
               "sequence": market.updates, "time": time(at)}

    yield f"{url} <-> {begin - 0.2:.6f}"
    for channel in channels:
        yield f"{url} <- {begin - 0.1:.6f}: {compact({'type': 'subscribe', 'product_ids': names, 'channels': [channel]})}"
    for n in range(len(channels)):
        told = [{"name": channel, "product_ids": names} for channel in channels[:n + 1]]
        yield f"{begin + n / 1e4:.6f}: {compact({'type': 'subscriptions', 'channels': told})}"
    for market, depth in zip(markets, (1000, 60, 30, 10)):
        asks, bids = ([[market.text(price), dice.pick(amounts)] for price in ladder(market, side, depth)] for side in (1, -1))
        yield f"{begin + 0.02:.6f}: {compact({'type': 'snapshot', 'product_id': market.name, 'asks': asks, 'bids': bids})}"
        yield from (f"{begin + 0.03:.6f}: {compact(message)}" for message in match("last_match", market, begin - 9))
    for number in range(count):
        at, market = begin + 0.1 + SECONDS * number / count, dice.pick(markets)
        if number % 9 == 0:
            yield from (f"{at:.6f}: {compact(message)}" for message in match("match", market, at))
            continue
        side = dice.below(2)
        change = [("buy", "sell")[side], market.text(market.price + dice.below(30) * (2 * side - 1)), dice.pick(amounts)]
        yield f"{at:.6f}: " + compact({"type": "l2update", "product_id": market.name, "changes": [change], "time": time(at)})


def kraken(begin, count):
    """Books of 1000 prices: a message without any number of its own."""
    dice, url = Dice("kraken"), "wss://ws.kraken.com"
    books = [(512 + 96 * n, Market(dice, *coin)) for n, coin in enumerate(
        (("PLUM/USD", 141250000, 6, 1), ("FIG/XBT", 251000, 9, 1), ("KALE/EUR", 32750000000, 8, 1), ("BEET/ETH", 712500, 8, 1)))]
    amounts = [decimal(120750000 * n * n, 8) for n in range(1, 12)]
    kind, subscription = "book-1000", {"depth": 1000, "name": "book"}

    def stamp(at):
        return f"{at:.6f}"

    pairs = [market.name for _, market in books]
    yield f"{url} <-> {begin - 0.4:.6f}"
    yield f"{url} <- {begin:.6f}: " + compact({"event": "subscribe", "pair": pairs,
                                              "subscription": {"name": "book", "depth": 1000}})
    yield f"{begin + 0.001:.6f}: " + compact({"connectionID": 12345678909876543210, "event": "systemStatus", "status": "online",
                                             "version": "1.8.3"})
    for channel, market in books:
        yield f"{begin + 0.1:.6f}: " + compact({"channelID": channel, "channelName": kind, "event": "subscriptionStatus",
                                               "pair": market.name, "status": "subscribed", "subscription": subscription})
    for (channel, market), depth in zip(books, (1000, 120, 60, 20)):
        asks, bids = ([[market.text(price), dice.pick(amounts), stamp(begin - dice.below(60))]
                       for price in ladder(market, side, depth)] for side in (1, -1))
        yield f"{begin + 0.5:.6f}: {compact([channel, {'as': asks, 'bs': bids}, kind, market.name])}"
    for number in range(count):
        at, (channel, market) = begin + 1 + SECONDS * number / count, dice.pick(books)
        if number % (count // SECONDS) == 0:
            yield f'{at:.6f}: {{"event":"heartbeat"}}'
        market.move()
        is_ask = dice.below(2)
        price = market.price + (1 + dice.below(30)) * (2 * is_ask - 1)
        level = [market.text(price), "0.00000000" if dice.below(3) == 0 else dice.pick(amounts), stamp(at - 0.9)]
        sides, check = [{"a" if is_ask else "b": [level]}], str(dice.below(1 << 32))
        if number == count // 2:  # both sides in one message
            sides.append({"b": [[level[0], "0.00000000", level[2]]]})
        sides[-1]["c"] = check
        yield f"{at:.6f}: {compact([channel, *sides, kind, market.name])}"


def captures():
    """{name: text}"""
    futures = Binance("binance-futures", "fstream.binance.com", [
        ("PLUMUSDT", 7250, 3, 700000040000), ("FIGUSDT", 1925, 5, 700000030000), ("KALEUSDT", 2175, 4, 700000020000),
        ("BEETUSDT", 98800, 5, 700000010000)], 1700000000, True)
    spot = Binance("binance-spot", "stream.binance.com:9443", [
        ("PLUMUSDT", 36500000, 8, 400000000), ("FIGETH", 58800, 8, 90000), ("KALEBTC", 715, 8, 77000000),
        ("BEETEUR", 835000000, 8, 4000)], 1700001000, False)
    made = {"binance-futures": futures.lines(420), "binance-spot": spot.lines(160), "coinbase": coinbase(1700002000, 500),
            "kraken": kraken(1700003000, 500)}
    return {name: "".join(line + "\n" for line in lines) for name, lines in made.items()}


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    folder = folder if folder.is_dir() else folder.parent
    for name, text in captures().items():
        (folder / f"{name}.log.xz").write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    main()
