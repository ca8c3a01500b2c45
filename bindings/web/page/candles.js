// SPDX-License-Identifier: Apache-2.0
// The candles of one topic: their key is the open time, a closed one stays as it is, and a hole is a hole.

import { exactText, memberOf } from "./rows.js";
import { intervalLength } from "./times.js";

const PRICES = ["open", "high", "low", "close"];

function startOf(data) {
  const given = memberOf(data, "start");
  const start = typeof given === "string" && /^\d{1,15}$/.test(given) ? Number(given) : given;
  return Number.isSafeInteger(start) && start >= 0 ? start : null;
}

/** `{ start, open, high, low, close, volume, isClosed, isGap }` with prices as they were published; null for what is none. */
function read(message) {
  const start = startOf(message.data);
  if (start === null) return null;
  const is = (name) => memberOf(message.data, name) === true;
  const candle = { start, isClosed: is("closed"), isGap: is("gap") };
  for (const name of PRICES) candle[name] = exactText(message, name);
  candle.volume = exactText(message, "volume");
  return candle.isGap || PRICES.every((name) => candle[name] !== null) ? candle : null;
}

export class Candles {
  #byStart = new Map();
  #starts = []; // ascending

  constructor(interval, most = 2000) {
    this.length = intervalLength(interval);
    this.most = most;
    this.late = 0; // updates of a candle that was closed
    this.unreadable = 0;
  }

  get size() {
    return this.#starts.length;
  }

  get last() {
    return this.#byStart.get(this.#starts.at(-1)) ?? null;
  }

  get(start) {
    return this.#byStart.get(start);
  }

  list() {
    return this.#starts.map((start) => this.#byStart.get(start));
  }

  /** What the message was: `added` at the end, `updated` the last one, `filled` (anywhere before; also by a hole), `late` or
   *  `unreadable`. */
  take(message) {
    const candle = read(message);
    if (candle === null) {
      this.unreadable += 1;
      return "unreadable";
    }
    const { last } = this;
    if (last === null || candle.start > last.start) {
      if (last !== null) last.isOver = true;
      this.#insert(candle, this.#starts.length);
      return "added";
    }
    const known = this.#byStart.get(candle.start);
    if (known === undefined || (known.isGap && !candle.isGap)) {
      if (known === undefined) this.#insert(candle, this.#starts.findIndex((start) => start > candle.start));
      else this.#byStart.set(candle.start, { ...candle, isOver: known.isOver });
      return candle.start === last.start ? "updated" : "filled";
    }
    return this.#renew(known, candle, known === last);
  }

  /** Each closes once; behind the last close nothing changes any more. */
  #renew(known, candle, isLast) {
    if (candle.isGap && !known.isGap && !known.isClosed && !isLast) {
      this.#byStart.set(candle.start, { ...candle, isOver: known.isOver }); // what came of it is not the whole
      return "filled";
    }
    const isFirstClose = candle.isClosed && !known.isClosed;
    if (known.isClosed || candle.isGap || (!isLast && !isFirstClose)) {
      this.late += 1;
      return "late";
    }
    this.#byStart.set(candle.start, { ...candle, isOver: known.isOver });
    return isLast ? "updated" : "filled";
  }

  #insert(candle, at) {
    const place = at < 0 ? this.#starts.length : at;
    this.#starts.splice(place, 0, candle.start);
    this.#byStart.set(candle.start, candle);
    if (place < this.#starts.length - 1) candle.isOver = true;
    if (this.#starts.length > this.most) this.#byStart.delete(this.#starts.shift());
  }

  /** Where candles are missing: `{ from, to, missing }`, first and last open time that is not there. */
  holes() {
    const holes = [];
    const { length } = this;
    const extend = (from, to) => {
      const before = holes.at(-1);
      const touches = before !== undefined && (from === before.to || (length !== null && from - before.to <= length));
      if (touches) Object.assign(before, { to, missing: before.missing + this.#count(from, to) });
      else holes.push({ from, to, missing: this.#count(from, to) });
    };
    this.#starts.forEach((start, index) => {
      const previous = this.#starts[index - 1];
      if (previous !== undefined && length !== null && start - previous > length) extend(previous + length, start - length);
      if (this.#byStart.get(start).isGap) extend(start, start);
    });
    return holes;
  }

  #count(from, to) {
    return this.length === null ? 1 : Math.round((to - from) / this.length) + 1;
  }
}
