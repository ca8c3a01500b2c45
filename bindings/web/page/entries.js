// SPDX-License-Identifier: Apache-2.0
// What an order, a signal or a trade says, as a line: the usual members in their places, the others behind them.

import { exactData } from "./rows.js";

const HIDDEN = new Set(["type", "ts", "timestamp", "symbol", "side", "status", "state"]);
const FIRST = ["quantity", "qty", "size", "price", "entry", "target", "stop", "text", "reason"];

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const texts = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value));

/** The members of a message; those of an object `data`, as services and webhooks publish, stand among them. */
function membersOf(message) {
  const whole = exactData(message);
  if (!isObject(whole)) return { value: whole };
  const { data, ...members } = whole;
  if (!isObject(data)) return whole;
  for (const [name, value] of Object.entries(data)) members[Object.hasOwn(members, name) ? `data.${name}` : name] = value;
  return members;
}

/** `{ time, type, symbol, side, status, details }`; details are pairs of a name and a text. */
export function entryOf(message, now) {
  const members = membersOf(message);
  const names = Object.keys(members).filter((name) => !HIDDEN.has(name));
  const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  names.sort((a, b) => rank(a) - rank(b));
  return {
    time: message.t?.[0] ?? message.t?.[2] ?? now,
    type: message.type === "message" ? message.topic : message.type,
    symbol: members.symbol === undefined ? "" : texts(members.symbol),
    side: members.side === undefined ? "" : texts(members.side).toLowerCase(),
    status: texts(members.status ?? members.state ?? ""),
    details: names.filter((name) => members[name] !== null).map((name) => [name, texts(members[name])]),
  };
}

/** A gap of a stream, told among its entries: nothing is silently missing. */
export function gapEntry({ topic, from, to, cause }, now) {
  const count = from === null ? "some" : String(to - from + 1);
  const details = [["missing", `${count} of ${topic}`], ["cause", cause]];
  return { time: now, type: "gap", symbol: "", side: "", status: "", details };
}
