// SPDX-License-Identifier: Apache-2.0
// What the page knows of each symbol. No page is needed for it.

import { parseExact } from "../pulsews.js";
import { changeOf, compareDecimals, parseDecimal, percentOf } from "./decimal.js";
import { kindOf, sentenceOf } from "./freshness.js";

/** What was published, with numbers as the texts that they are. */
export function exactData(message) {
  return message.dataText === undefined ? message.data : parseExact(message.dataText);
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

const own = (object, name) => (isObject(object) && Object.hasOwn(object, name) ? object[name] : undefined);

/** A member of what was published, or of its member `data`, as many services send it; `name` may be a path such as a.b. */
export function memberOf(data, name) {
  return own(data, name) ?? own(own(data, "data"), name) ?? (name.includes(".") ? name.split(".").reduce(own, data) : undefined);
}

/** All of both; one of `data` that would hide another has that before its name. */
export function membersOf(data) {
  if (!isObject(data)) return { value: data };
  if (!isObject(data.data)) return data;
  const { data: inner, ...outer } = data;
  const named = ([name, value]) => [Object.hasOwn(outer, name) ? `data.${name}` : name, value];
  return Object.fromEntries([...Object.entries(outer), ...Object.entries(inner).map(named)]);
}

/** A member that is a decimal, digit by digit; null if it is none. */
export function exactText(message, name) {
  const value = memberOf(message.data, name);
  if (typeof value !== "string" && typeof value !== "number") return null;
  const text = typeof value === "string" ? value : String(memberOf(exactData(message), name));
  return parseDecimal(text) === null ? null : text;
}

export class Row {
  constructor(symbol) {
    this.symbol = symbol;
    this.price = null; // as it was published
    this.first = null; // what the change is from
    this.before = null; // the price that was shown before
    this.direction = 0;
    this.stamp = null; // when it was published, by the hub's clock
    this.arrived = null; // by the page's
    this.topicState = "live";
    this.cause = "";
    this.feed = "";
    this.refusal = "";
    this.isMissing = false; // since a gap no message has come
    this.isConfirmed = true; // since the connection was lost something has come
    this.unreadable = 0; // messages without a price
  }

  /** A price, or a message without one, which is counted. */
  take(message, now) {
    const price = exactText(message, "price");
    this.isMissing = false;
    if (price === null) {
      this.unreadable += 1;
      return;
    }
    this.isConfirmed = true;
    this.refusal = "";
    if (this.first === null) this.first = price;
    this.price = price;
    this.stamp = message.t?.[2] ?? null;
    this.arrived = now;
  }

  takeState({ state, cause = "", feed }) {
    this.topicState = state;
    this.cause = cause;
    if (feed !== undefined) this.feed = feed;
    this.refusal = "";
  }

  takeGap() {
    this.isMissing = true;
  }

  takeRefusal(sentence) {
    this.refusal = sentence || "no reason was given";
  }

  /** Nothing is known any more until something comes. */
  lose() {
    this.isConfirmed = false;
  }

  /** The hub has said that nothing was missed. */
  confirm() {
    this.isConfirmed = true;
  }

  /** Milliseconds since the price was published; null without a price. `offset` is the hub's clock minus the page's. */
  age(now, offset) {
    if (this.price === null) return null;
    return Math.max(0, this.stamp === null ? now - this.arrived : now + offset - this.stamp);
  }

  /** What there is to show. */
  view({ now, offset, isConnected, staleAfter }) {
    const age = this.age(now, offset);
    const kind = kindOf({
      isConnected, isRefused: this.refusal !== "", isConfirmed: this.isConfirmed, topic: this.topicState, age, staleAfter,
      isMissing: this.isMissing,
    });
    return { age, kind, sentence: sentenceOf(kind, kind === "refused" ? this.refusal : isConnected ? this.cause : "", this.feed) };
  }

  /** The change since the first price, and which way the price went since it was shown last. */
  change() {
    if (this.price === null) return { change: null, percent: null, direction: 0, side: 0 };
    if (this.before !== this.price) {
      this.direction = this.before === null ? 0 : (compareDecimals(this.price, this.before) ?? 0);
      this.before = this.price;
    }
    return {
      change: changeOf(this.first, this.price),
      percent: percentOf(this.first, this.price),
      direction: this.direction,
      side: compareDecimals(this.price, this.first) ?? 0,
    };
  }
}

const byName = (a, b) => a.symbol.localeCompare(b.symbol, "en", { numeric: true });

function percentValue(row) {
  const percent = row.price === null ? null : percentOf(row.first, row.price);
  return percent === null ? -Infinity : Number(percent.replace("\u2212", "-").replace("\u00a0%", ""));
}

/** All rows, which of them are wanted, and in which order. */
export class Rows {
  #rows = new Map();
  filter = "";
  sort = { by: "symbol", down: false };

  get(symbol) {
    return this.#rows.get(symbol);
  }

  add(symbol) {
    if (!this.#rows.has(symbol)) this.#rows.set(symbol, new Row(symbol));
    return this.#rows.get(symbol);
  }

  all() {
    return [...this.#rows.values()];
  }

  get size() {
    return this.#rows.size;
  }

  lose() {
    for (const row of this.#rows.values()) row.lose();
  }

  matches(row) {
    return row.symbol.toLowerCase().includes(this.filter.trim().toLowerCase());
  }

  /** How many of each kind there are. */
  counts(situation) {
    const counts = {};
    for (const row of this.#rows.values()) {
      const { kind } = row.view(situation);
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
    return counts;
  }

  /** Those that are wanted, in order; equal ones by name. */
  list(situation) {
    const { by, down } = this.sort;
    const wanted = this.all().filter((row) => this.matches(row));
    const keys = new Map();
    const keyOf = {
      symbol: () => 0,
      change: percentValue,
      age: (row) => row.age(situation.now, situation.offset) ?? Infinity,
      state: (row) => row.view(situation).kind === "live",
    }[by];
    for (const row of wanted) keys.set(row, Number(keyOf(row)));
    const compare = (a, b) => (keys.get(a) === keys.get(b) ? byName(a, b) : keys.get(a) < keys.get(b) ? -1 : 1);
    return wanted.sort((a, b) => (down ? -compare(a, b) : compare(a, b)));
  }
}
