// SPDX-License-Identifier: Apache-2.0
// What the page knows and computes, as far as it needs no page: exact changes, ages, rows, candles, entries, configuration.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Candles } from "../page/candles.js";
import { configure, symbolOf, topicOf } from "../page/config.js";
import { changeOf, compareDecimals, decimalsOf, parseDecimal, percentOf } from "../page/decimal.js";
import { entryOf, gapEntry } from "../page/entries.js";
import { kindOf, sentenceOf, WORDS } from "../page/freshness.js";
import { changeOver, Feeds } from "../page/hub.js";
import { exactText, memberOf, membersOf, Row, Rows } from "../page/rows.js";
import { ageText, clockText, intervalLength, minuteText } from "../page/times.js";
import { Published } from "../src/messages.js";

/** A message as a subscription gives it; `json` is what was published. */
function message(topic, json, { t = [null, null, 1000], o = 1 } = {}) {
  const text = `{"type":"x","topic":"${topic}","o":${o},"data":${json}}`;
  const envelope = JSON.parse(text);
  return new Published({ ...envelope, type: envelope.data?.type ?? "message", t }, topic, text, false);
}

const price = (text, more) => message("price.A", `{"type":"price_update","symbol":"A","price":${text}}`, more);

test("changes are exact where doubles are not", () => {
  assert.equal(changeOf("0.1", "0.3"), "+0.2");
  assert.equal(changeOf("16795610.22313256", "16795610.22313255"), "\u22120.00000001");
  assert.equal(changeOf("1.10", "1.1"), "0.00");
  assert.equal(changeOf("-1", "1e-3"), "+1.001");
  assert.equal(changeOf("123456789012345678901234567890", "123456789012345678901234567891"), "+1");
  assert.equal(changeOf("1", "n/a"), null);
});

test("per cent is rounded half away from zero to two decimals", () => {
  assert.equal(percentOf("200", "200.01"), "+0.01\u00a0%"); // 0.005
  assert.equal(percentOf("200", "199.99"), "\u22120.01\u00a0%");
  assert.equal(percentOf("200", "200.0099"), "0.00\u00a0%");
  assert.equal(percentOf("3", "4"), "+33.33\u00a0%");
  assert.equal(percentOf("-4", "-5"), "\u221225.00\u00a0%");
  assert.equal(percentOf("0.00", "1"), null);
  assert.equal(percentOf("x", "1"), null);
});

test("a decimal is read whatever its form, and bounded", () => {
  assert.deepEqual(parseDecimal("-12.50"), { units: -1250n, scale: 2 });
  assert.deepEqual(parseDecimal("9.669E-05"), { units: 9669n, scale: 8 });
  assert.deepEqual(parseDecimal("1e3"), { units: 1000n, scale: 0 });
  for (const text of ["", ".", "1,5", "NaN", "0x1", "1e999", "1".repeat(200), "1e99999999"]) assert.equal(parseDecimal(text), null, text);
  assert.equal(decimalsOf("1.230"), 3);
  assert.deepEqual([compareDecimals("1.0", "1"), compareDecimals("2", "10"), compareDecimals("1", "-1")], [0, -1, 1]);
});

test("ages and times", () => {
  const ages = [null, 0, 999, 1000, 59_999, 60_000, 3_600_000, 86_400_000];
  const words = ["", "<\u20091 s", "<\u20091 s", "1 s", "59 s", "1 min", "1 h", "1 d"];
  assert.deepEqual(ages.map((age) => ageText(age).replace("\u00a0", " ")), words);
  assert.equal(clockText(1796010336131), "03:45:36");
  assert.equal(minuteText(1796010300000), "2026-11-30 03:45");
  assert.equal(minuteText(1796010300000, false), "03:45");
  assert.deepEqual([clockText(NaN), minuteText(Infinity)], ["", ""]);
  assert.deepEqual(["1m", "4h", "1d", "1w"].map(intervalLength), [60_000, 14_400_000, 86_400_000, 604_800_000]);
  assert.deepEqual(["1M", "x", "0m"].map(intervalLength), [null, null, null]);
});

const NOW = { now: 5000, offset: 0, isConnected: true, staleAfter: 0 };

test("a price is shown as it was published, numbers digit by digit", () => {
  const row = new Row("A");
  for (const [json, shown] of [['"0.10"', "0.10"], ["1.2e-7", "1.2e-7"], ["16795610.223132560", "16795610.223132560"]]) {
    row.take(price(json), 0);
    assert.equal(row.price, shown);
  }
  for (const json of ["null", '"soon"', "[1]", "true"]) row.take(price(json), 0);
  assert.equal(row.price, "16795610.223132560");
  assert.equal(row.unreadable, 4);
});

test("the change is from the first price, the arrow from the one that was shown", () => {
  const row = new Row("A");
  assert.equal(row.change().change, null);
  const seen = ["2.00", "1.50", "1.50", "1.75"].map((text) => {
    row.take(price(`"${text}"`), 0);
    const { change, direction, side } = row.change();
    return [change, direction, side];
  });
  assert.deepEqual(seen, [["0.00", 0, 0], ["\u22120.50", -1, -1], ["\u22120.50", -1, -1], ["\u22120.25", 1, -1]]);
});

test("the age is by the hub's clock, and never negative", () => {
  const row = new Row("A");
  assert.equal(row.age(5000, 0), null);
  row.take(price('"1"'), 4000);
  assert.equal(row.age(5000, 0), 4000);
  assert.equal(row.age(5000, -3500), 500);
  assert.equal(row.age(0, 0), 0);
  row.take(price('"1"', { t: [null, null, null] }), 4500); // nobody stamped it: it is as old as its arrival
  assert.equal(row.age(5000, 99), 500);
});

test("feeds that stand in are not those that fail", () => {
  const feeds = new Feeds();
  for (const name of ["A", "B"]) feeds.take({ topic: `price.${name}`, state: "live", feed: "binance" });
  feeds.take({ topic: "own", state: "live" });
  assert.deepEqual(feeds.list(), [["binance", 2, 0, 0]]);
  for (const name of ["A", "B"]) feeds.take({ topic: `price.${name}`, state: "stale", feed: "binance" });
  assert.deepEqual(feeds.list(), [["binance", 2, 0, 2]]);
  feeds.take({ topic: "price.A", state: "failover", feed: "kraken" });
  assert.deepEqual(feeds.list(), [["binance", 1, 0, 1], ["kraken", 1, 1, 0]]);
  feeds.take({ topic: "price.A", state: "stale" }); // without a name it is as before
  assert.deepEqual(feeds.list(), [["binance", 1, 0, 1], ["kraken", 1, 0, 1]]);
  const time = Date.UTC(2026, 0, 1, 10, 1, 2);
  assert.equal(changeOver({ from: "binance", to: "kraken", cause: "no data" }, time), "10:01:02\u00a0UTC: from binance to kraken, no data");
  assert.equal(changeOver({ from: "a", to: "b", cause: "" }, time), "10:01:02\u00a0UTC: from a to b");
});

test("only what is fresh and confirmed on an open connection is live", () => {
  const row = new Row("A");
  const kind = (more = {}) => row.view({ ...NOW, ...more }).kind;
  assert.equal(kind(), "waiting");
  row.take(price('"1"'), 0);
  assert.equal(kind(), "live");
  assert.equal(kind({ isConnected: false }), "lost");
  assert.equal(kind({ staleAfter: 3999 }), "stale");
  assert.equal(kind({ staleAfter: 4000 }), "live");
  for (const state of ["stale", "gap", "failover", "degraded", "ended"]) {
    row.takeState({ state, cause: "no data for 4 s", feed: "binance-1" });
    assert.equal(kind(), state);
    assert.match(row.view(NOW).sentence, /No data for 4 s\. Feed: binance-1\.$/);
  }
  row.takeState({ state: "of_a_later_version" });
  assert.equal(kind(), "degraded");
  row.takeState({ state: "live" });
  row.lose();
  assert.equal(kind(), "unconfirmed");
  row.confirm();
  assert.equal(kind(), "live");
  row.lose();
  row.take(price('"1"'), 0);
  row.takeGap();
  assert.equal(kind(), "gap");
  row.take(price('"1"'), 0);
  row.takeRefusal("there is no topic of this name here");
  assert.equal(kind(), "refused");
  assert.match(row.view(NOW).sentence, /There is no topic of this name here\./);
});

test("each kind of freshness has its word and sentence, and no two the same", () => {
  const sentences = Object.keys(WORDS).map((kind) => sentenceOf(kind, "", ""));
  assert.equal(new Set(Object.values(WORDS)).size, sentences.length);
  assert.equal(new Set(sentences).size, sentences.length);
  assert.equal(kindOf({ isConnected: true, topic: "stale", age: null, isConfirmed: true, staleAfter: 0 }), "stale");
});

test("rows are filtered and sorted, equal ones by name", () => {
  const rows = new Rows();
  const prices = { S10: ["1", "2"], S9: ["1", "1"], BTC: ["4", "1"], eth: [] };
  for (const [symbol, texts] of Object.entries(prices)) {
    texts.forEach((text) => rows.add(symbol).take(price(`"${text}"`), 0));
    rows.add(symbol);
  }
  const list = () => rows.list(NOW).map(({ symbol }) => symbol);
  assert.deepEqual(list(), ["BTC", "eth", "S9", "S10"]);
  rows.sort = { by: "change", down: true };
  assert.deepEqual(list(), ["S10", "S9", "BTC", "eth"]);
  rows.sort = { by: "age", down: true };
  assert.equal(list()[0], "eth");
  rows.get("S9").takeState({ state: "stale" });
  rows.sort = { by: "state", down: false };
  assert.deepEqual(list(), ["eth", "S9", "BTC", "S10"]);
  rows.filter = " ET";
  assert.deepEqual(list(), ["eth"]);
  assert.deepEqual(rows.counts(NOW), { live: 2, stale: 1, waiting: 1 });
});

const MINUTE = 60_000;
const CANDLE = { type: "candle", open: "1", high: "2", low: "0.50", volume: "3.0" };
const candle = (minute, close, more = {}) =>
  message("candle.A.1m", JSON.stringify({ ...CANDLE, start: minute * MINUTE, close, ...more }));
const closes = (candles) => candles.list().map(({ start, close }) => [start / MINUTE, close]);

test("a candle's key is its open time, and its digits stay", () => {
  const candles = new Candles("1m");
  assert.deepEqual(["1.10", "1.20"].map((close) => candles.take(candle(1, close))), ["added", "updated"]);
  assert.deepEqual(closes(candles), [[1, "1.20"]]);
  assert.deepEqual([candles.last.open, candles.last.low, candles.last.volume], ["1", "0.50", "3.0"]);
  const numbers = '{"type":"candle","start":60000,"open":1.10,"high":2.00,"low":0.000000120,"close":1e-7}';
  assert.equal(candles.take(message("candle.A.1m", numbers)), "updated");
  assert.deepEqual([candles.last.open, candles.last.low, candles.last.close, candles.last.volume], ["1.10", "0.000000120", "1e-7", null]);
  for (const bad of [{ start: -1 }, { start: 1.5 }, { start: "soon" }, { close: "x" }, { open: null }]) {
    assert.equal(candles.take(candle(1, "1", bad)), "unreadable");
  }
  assert.equal(candles.unreadable, 5);
});

test("an update never falls behind the last close, and each candle closes once", () => {
  const candles = new Candles("1m");
  candles.take(candle(1, "1.1"));
  candles.take(candle(1, "1.2", { closed: true }));
  assert.equal(candles.take(candle(1, "9")), "late");
  assert.equal(candles.take(candle(1, "9", { closed: true })), "late");
  candles.take(candle(2, "2.1"));
  candles.take(candle(3, "3.1"));
  assert.equal(candles.take(candle(2, "9")), "late"); // the next one has begun
  assert.equal(candles.take(candle(2, "2.2", { closed: true })), "filled"); // its close may come behind the next one's first
  assert.equal(candles.take(candle(2, "9", { closed: true })), "late");
  assert.deepEqual(closes(candles), [[1, "1.2"], [2, "2.2"], [3, "3.1"]]);
  assert.equal(candles.late, 4);
  assert.deepEqual(candles.list().map(({ isOver = false, isClosed }) => isOver || isClosed), [true, true, false]);
  candles.take(candle(4, "4.1")); // of a feed that does not say when one closes
  assert.equal(candles.get(3 * MINUTE).isOver, true);
});

test("a hole is a hole until it is filled", () => {
  const candles = new Candles("1m");
  for (const minute of [1, 2, 6]) candles.take(candle(minute, String(minute), { closed: true }));
  assert.deepEqual(candles.holes(), [{ from: 3 * MINUTE, to: 5 * MINUTE, missing: 3 }]);
  assert.equal(candles.take(candle(4, "4", { closed: true })), "filled");
  assert.deepEqual(candles.holes().map(({ from, missing }) => [from / MINUTE, missing]), [[3, 1], [5, 1]]);
  assert.equal(candles.take(candle(7, "", { gap: true, open: null, high: null, low: null, close: null })), "added");
  assert.deepEqual(candles.holes().at(-1), { from: 7 * MINUTE, to: 7 * MINUTE, missing: 1 });
  assert.equal(candles.take(candle(7, "7", { closed: true })), "updated");
  for (const minute of [3, 5]) candles.take(candle(minute, "1", { closed: true }));
  assert.deepEqual(candles.holes(), []);
  assert.equal(candles.take(candle(5, "", { gap: true })), "late"); // what is there does not go
  assert.deepEqual(closes(candles).map(([minute]) => minute), [1, 2, 3, 4, 5, 6, 7]);
});

test("a candle whose close was missed is a hole, until the whole of it comes", () => {
  const candles = new Candles("1m");
  for (const [minute, more] of [[1, { closed: true }], [2, {}], [5, {}]]) candles.take(candle(minute, "1", more));
  const gap = (minute) => candles.take(candle(minute, undefined, { gap: true, open: undefined, high: undefined, low: undefined }));
  assert.deepEqual([2, 3, 4].map(gap), ["filled", "filled", "filled"]);
  assert.deepEqual(candles.holes(), [{ from: 2 * MINUTE, to: 4 * MINUTE, missing: 3 }]);
  assert.deepEqual([1, 3, 5].map(gap), ["late", "late", "late"]); // closed, told, and not over
  for (const minute of [2, 3, 4]) assert.equal(candles.take(candle(minute, `${minute}.50`, { closed: true })), "filled");
  assert.deepEqual(candles.holes(), []);
  assert.deepEqual(closes(candles), [[1, "1"], [2, "2.50"], [3, "3.50"], [4, "4.50"], [5, "1"]]);
  assert.deepEqual(candles.list().map(({ isOver = false, isClosed }) => isOver || isClosed), [true, true, true, true, false]);
  assert.equal(candles.take(candle(2, "9", { closed: true })), "late");
});

test("a told hole and those around it are one", () => {
  const candles = new Candles("1m");
  for (const [minute, more] of [[1, {}], [3, { gap: true }], [5, {}]]) candles.take(candle(minute, "1", more));
  assert.deepEqual(candles.holes(), [{ from: 2 * MINUTE, to: 4 * MINUTE, missing: 3 }]);
  const months = new Candles("1M");
  for (const start of [0, 31 * 24 * 60]) months.take(candle(start, "1"));
  assert.deepEqual(months.holes(), []);
});

test("candles are bounded, the oldest go", () => {
  const candles = new Candles("1m", 3);
  for (let minute = 1; minute <= 5; minute++) candles.take(candle(minute, String(minute)));
  assert.deepEqual(closes(candles).map(([minute]) => minute), [3, 4, 5]);
  assert.equal(candles.get(MINUTE), undefined);
});

test("an order as a line: the usual members in their places, nothing left out", () => {
  const json = '{"type":"order","id":7,"symbol":"A","side":"BUY","price":1.10,"quantity":"0.20","status":"new","tags":["x"],"note":null}';
  assert.deepEqual(entryOf(message("order", json, { t: [500, null, 1000] }), 0), {
    time: 500, type: "order", symbol: "A", side: "buy", status: "new",
    details: [["quantity", "0.20"], ["price", "1.10"], ["id", "7"], ["tags", '["x"]']],
  });
  const nested = '{"type":"signal","id":"s-1","data":{"symbol":"A","side":"sell","size":1.50,"type":"limit"},"timestamp":"2026"}';
  assert.deepEqual(entryOf(message("signal", nested), 7), {
    time: 1000, type: "signal", symbol: "A", side: "sell", status: "", details: [["size", "1.50"], ["id", "s-1"], ["data.type", "limit"]],
  });
  assert.deepEqual(entryOf(message("signal", '{"type":"signal","id":1,"data":"buy"}'), 0).details, [["id", "1"], ["data", "buy"]]);
  assert.deepEqual(entryOf(message("signal", "[1.50]"), 0).details, [["value", '["1.50"]']]);
  assert.equal(entryOf(message("signal", "5"), 0).type, "signal");
  assert.deepEqual(gapEntry({ topic: "order", from: 3, to: 5, cause: "slow" }, 9).details[0], ["missing", "3 of order"]);
  assert.deepEqual(gapEntry({ topic: "order", from: null, to: 5, cause: "hub_restart" }, 9).details[0], ["missing", "some of order"]);
});

test("a decimal may be a member of a member", () => {
  const nested = message("equity", '{"type":"equity_snapshot","data":{"equity":200000.10,"name":"x"},"data.cash":"5.0"}');
  assert.deepEqual(["data.equity", "data.cash", "data.name", "data.none", "data.equity.x", "equity"].map((name) => exactText(nested, name)),
    ["200000.10", "5.0", null, null, null, "200000.10"]);
  assert.equal(exactText(message("equity", "null"), "data.equity"), null);
});

test("members may stand in `data`, and none is lost", () => {
  const json = '{"type":"signal","id":"s-1","received":"2026-11-30T10:01:02Z","data":{"ticker":"A","action":"BUY","id":"x","price":1.1}}';
  const { symbol, side, status, details } = entryOf(message("signal", json), 0);
  assert.deepEqual([symbol, side, status], ["A", "buy", ""]);
  assert.deepEqual(details, [["price", "1.1"], ["id", "s-1"], ["data.id", "x"]]);
  const both = entryOf(message("order", '{"type":"order","symbol":null,"ticker":"B","status":"new","state":"open","data":"text"}'), 0);
  assert.deepEqual([both.symbol, both.status, both.details], ["B", "new", [["state", "open"], ["data", "text"]]]);
  const row = new Row("A");
  row.take(message("price.A", '{"type":"price_update","data":{"symbol":"A","price":1.50}}'), 0);
  assert.equal(row.price, "1.50");
  const candles = new Candles("1m");
  candles.take(message("c", '{"type":"candle","data":{"start":"60000","open":1,"high":"2","low":1.0,"close":"1","closed":true}}'));
  assert.deepEqual([candles.last.low, candles.last.isClosed, candles.last.start], ["1.0", true, 60000]);
  const odd = JSON.parse('{"data":{"__proto__":{"price":"1"},"constructor":2}}');
  assert.deepEqual(Object.keys(membersOf(odd)), ["__proto__", "constructor"]);
  assert.equal(memberOf(odd, "price"), undefined);
});

test("the configuration is the file's, and attributes count more", () => {
  const attributes = { symbols: "B, C", staleAfter: "0", share: "", config: "page.json", title: "Desk" };
  const config = configure({ symbols: ["A"], staleAfter: 5 }, attributes);
  assert.deepEqual([config.symbols, config.staleAfter, config.share, config.title], [["B", "C"], 0, true, "Desk"]);
  assert.equal(config.route, "/ws/stream");
  assert.equal(configure({}, { share: "me" }).share, "me");
  const bad = [{ symbol: 1 }, { symbols: "A" }, { staleAfter: -1 }, { priceTopic: "price" }, { intervals: [] }, { sympols: [] }];
  for (const file of bad) assert.throws(() => configure(file), TypeError, JSON.stringify(file));
  assert.throws(() => configure({}, { staleAfter: "" }), TypeError);
});

test("another hub is where the route and figures are", () => {
  const places = (file) => {
    const { route, status, peers } = configure(file);
    return [route, status, peers];
  };
  assert.deepEqual(places({}), ["/ws/stream", "/ws/status", ""]);
  const wss = ["wss://h.example:8443/ws/stream", "https://h.example:8443/ws/status", ""];
  assert.deepEqual(places({ hub: "wss://h.example:8443" }), wss);
  assert.deepEqual(places({ hub: "https://h.example:8443/" }), ["https://h.example:8443/ws/stream", ...wss.slice(1)]);
  assert.deepEqual(places({ hub: "ws://h/ws/own?topics=a", peers: "/p", status: "" }), ["ws://h/ws/own?topics=a", "", "http://h/p"]);
  assert.deepEqual(places({ hub: "ws://h", route: "/ws/b" })[0], "ws://h/ws/b");
  for (const hub of ["h.example", "/ws", "ftp://h", "javascript:f()", 1]) assert.throws(() => configure({ hub }), /an address such as/);
});

test("the page's own page.json is one, and names of topics go both ways", () => {
  const file = JSON.parse(readFileSync(new URL("../page/page.json", import.meta.url), "utf8"));
  const { priceTopic, candleTopic } = configure(file);
  assert.equal(topicOf(priceTopic, "$&"), "price.$&");
  assert.equal(topicOf(candleTopic, "BTC", "1m"), "candle.BTC.1m");
  assert.equal(symbolOf(priceTopic, "price.BTC"), "BTC");
  assert.deepEqual(["price.", "prices.BTC", "candle.BTC.1m"].map((topic) => symbolOf(priceTopic, topic)), [null, null, null]);
  assert.equal(symbolOf("{symbol}.last", "BRK.A.last"), "BRK.A");
});
