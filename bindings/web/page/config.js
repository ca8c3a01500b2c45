// SPDX-License-Identifier: Apache-2.0
// The page's configuration: page.json, and attributes of its <html>, which count more. docs/WEB.md, "The page".

const text = (value) => typeof value === "string";
const texts = (value) => Array.isArray(value) && value.every((one) => text(one) && one !== "");
const count = (value) => Number.isSafeInteger(value) && value >= 0;
const seconds = (value) => Number.isFinite(value) && value >= 0;
const withSymbol = (value) => text(value) && value.includes("{symbol}");

function address(value) {
  try {
    return value === "" || /^(wss?|https?):$/.test(new URL(value).protocol);
  } catch {
    return false; // no URL
  }
}

// Name: default, check, and what a reader of the message has to write.
const TABLE = {
  title: ["PulseWS", text, "a text"],
  hub: ["", address, "an address such as wss://host:port, or nothing"],
  route: ["/ws/stream", (value) => text(value) && value !== "", "the address of a route"],
  symbols: [[], texts, "a list of symbols"],
  topics: [[], texts, "a list of topics with the prices of several symbols"],
  symbol: ["", text, "the symbol whose candles are shown first"],
  intervals: [["1m"], (value) => texts(value) && value.length > 0, "a list such as 1m, 5m, 1h"],
  priceTopic: ["price.{symbol}", withSymbol, "a topic with {symbol} in it"],
  candleTopic: ["candle.{symbol}.{interval}", (value) => value === "" || withSymbol(value), "a topic with {symbol} and {interval} in it"],
  streams: [["signal", "signal_status", "order", "trade_executed"], texts, "a list of topics"],
  equityTopic: ["equity_snapshot", text, "a topic, or nothing"],
  equityMember: ["equity", (value) => text(value) && value !== "", "the name of a member, or its path"],
  candleHistory: [0, count, "a whole number"],
  streamHistory: [50, count, "a whole number"],
  equityHistory: [500, count, "a whole number"],
  staleAfter: [30, seconds, "seconds"],
  status: ["/ws/status", text, "an address, or nothing"],
  peers: ["", text, "an address, or nothing"],
  chart: ["lightweight-charts.js", text, "the address of the chart library, or nothing"],
  token: ["", text, "the address of a module, or nothing"],
  share: [false, (value) => text(value) || typeof value === "boolean", "true, false or a name"],
};

/** An attribute is a text: what it means follows from the default. */
function fromAttribute(value, preset) {
  if (Array.isArray(preset)) return value.split(",").map((one) => one.trim()).filter((one) => one !== "");
  if (typeof preset === "number") return value.trim() === "" ? NaN : Number(value);
  if (typeof preset === "boolean" && ["", "true", "false"].includes(value)) return value !== "false";
  return value;
}

/** All of it, with defaults; a TypeError says what is wrong. `attributes` is the dataset of an element. */
export function configure(file, attributes = {}) {
  const given = { ...file };
  for (const [name, value] of Object.entries(attributes)) {
    if (Object.hasOwn(TABLE, name)) given[name] = fromAttribute(value, TABLE[name][0]);
  }
  const config = {};
  for (const [name, [preset]] of Object.entries(TABLE)) config[name] = preset;
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(TABLE, name)) throw new TypeError(`there is no setting ${name}; there are: ${Object.keys(TABLE).join(", ")}`);
    const [, check, says] = TABLE[name];
    if (!check(value)) throw new TypeError(`setting ${name} is ${says}, not ${JSON.stringify(value)}`);
    config[name] = value;
  }
  return config.hub === "" ? config : { ...config, ...placesOf(config) };
}

/** Where things of another hub are. An address with a path is that of the route. */
function placesOf({ hub, route, status, peers }) {
  const base = new URL(hub);
  const isRoute = base.pathname !== "/" || base.search !== "";
  const site = new URL(base);
  site.protocol = base.protocol.replace("ws", "http");
  const at = (path) => (path === "" ? "" : new URL(path, site).href);
  return { route: isRoute ? base.href : new URL(route, base).href, status: at(status), peers: at(peers) };
}

export function topicOf(pattern, symbol, interval = "") {
  return pattern.replaceAll("{symbol}", () => symbol).replaceAll("{interval}", () => interval);
}

/** The symbol in a topic's name, or null where the pattern is another. */
export function symbolOf(pattern, topic) {
  const [head, ...tail] = pattern.split("{symbol}");
  const end = tail.join("{symbol}");
  const isLong = topic.length > head.length + end.length;
  return isLong && topic.startsWith(head) && topic.endsWith(end) ? topic.slice(head.length, topic.length - end.length) : null;
}
