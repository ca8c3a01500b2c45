// SPDX-License-Identifier: Apache-2.0
// What an order, a signal or a trade says, as a line: the usual members in their places, the others behind them.

import { exactData, membersOf } from "./rows.js";

const HIDDEN = new Set(["type", "ts", "timestamp", "received"]); // the line has a time of its own
const FIRST = ["quantity", "qty", "size", "price", "entry", "target", "stop", "text", "reason"];

const texts = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value));

/** `{ time, type, symbol, side, status, details }`; details are pairs of a name and a text. */
export function entryOf(message, now) {
  const members = membersOf(exactData(message));
  const names = Object.keys(members).filter((name) => !HIDDEN.has(name) && members[name] !== null);
  /** The first of these that is there; it is no detail then. */
  const take = (...wanted) => {
    const name = wanted.find((one) => names.includes(one));
    return name === undefined ? "" : texts(members[names.splice(names.indexOf(name), 1)]);
  };
  const [symbol, side, status] = [take("symbol", "ticker"), take("side", "action"), take("status", "state")];
  const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  names.sort((a, b) => rank(a) - rank(b));
  return {
    time: message.t?.[0] ?? message.t?.[2] ?? now,
    type: message.type === "message" ? message.topic : message.type,
    symbol,
    side: side.toLowerCase(),
    status,
    details: names.map((name) => [name, texts(members[name])]),
  };
}

/** A gap of a stream, told among its entries: nothing is silently missing. */
export function gapEntry({ topic, from, to, cause }, now) {
  const count = from === null ? "some" : String(to - from + 1);
  const details = [["missing", `${count} of ${topic}`], ["cause", cause]];
  return { time: now, type: "gap", symbol: "", side: "", status: "", details };
}
