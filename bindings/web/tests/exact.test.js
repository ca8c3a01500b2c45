// SPDX-License-Identifier: Apache-2.0
// Digits that must not be lost.

import assert from "node:assert/strict";
import { test } from "node:test";

import { parseExact } from "../pulsews.js";
import { elementTexts, memberText } from "../src/exact.js";
import { world } from "./support/fakes.js";

const NUMBERS = [
  "16795610.22313256", "0.00000012", "1.10", "1e-7", "-0", "-0.0", "1E+400", "123456789012345678901234567890", "0", "-12.5e3",
];

test("numbers become the texts that they are, and nothing else changes", () => {
  for (const number of NUMBERS) {
    assert.deepEqual(parseExact(`{"a":[${number}, ${number}],"b":${number}}`), { a: [number, number], b: number });
  }
  const text = '{"1":true,"a\\"2":null,"b":"3 4","c\\\\":"\\u0035","d":"\\\\","e":[6,"7",{"f":8.0}],"g":""}';
  assert.deepEqual(parseExact(text), { 1: true, 'a"2': null, b: "3 4", "c\\": "5", d: "\\", e: ["6", "7", { f: "8.0" }], g: "" });
  assert.equal(parseExact("5"), "5");
});

test("what is no JSON is refused as JSON.parse does", () => {
  for (const text of ["", "{1:2}", "[01]", "[1", "{'a':1}", "nan", "1 2"]) assert.throws(() => parseExact(text), SyntaxError, text);
});

test("it agrees with JSON.parse but for numbers, on values made at random", () => {
  let seed = 7;
  const random = (most) => (seed = (seed * 48271) % 2147483647) % most;
  const make = (depth) => {
    const kind = random(depth > 3 ? 4 : 6);
    if (kind === 0) return random(2) ? true : null;
    if (kind === 1) return (random(2000) - 1000) / 8;
    if (kind < 4) return Array.from({ length: random(6) }, () => '"\\{[,:1 é\n'[random(11)]).join("");
    const parts = Array.from({ length: random(4) }, () => make(depth + 1));
    return kind === 4 ? parts : Object.fromEntries(parts.map((part, i) => [`k${i}"\\`, part]));
  };
  const asTexts = (value) =>
    typeof value === "number" ? String(value)
      : Array.isArray(value) ? value.map(asTexts)
        : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, asTexts(v)])) : value;
  for (let i = 0; i < 2000; i++) {
    const value = make(0);
    const json = JSON.stringify(value, null, i % 3);
    assert.deepEqual(parseExact(json), asTexts(value));
    assert.equal(memberText(`{"x":${json} , "data" : ${json} }`, "data"), json);
    assert.deepEqual(elementTexts(`{"items":[${json}, 1 ,${json}]}`, "items"), [json, "1", json]);
  }
});

const ENVELOPE = (data, o = 1) => `{"type":"t","topic":"x","o":${o},"p":${o - 1},"t":[1.5,null,2],"data":${data}}`;

test("a message gives what was published byte for byte, whatever the option", async () => {
  const data = '{"type":"t","price":16795610.22313256, "small": 0.00000012,"s":"\\u0041"}';
  for (const numbers of ["number", "text"]) {
    const w = world({ numbers });
    const got = [];
    w.client.subscribe("x", (message) => got.push(message));
    const socket = await w.accept();
    const [{ id }] = socket.messages("subscribe");
    socket.say({ type: "subscribed", id, topic: "x", epoch: "e", offset: 0, recovered: false, state: "live" });
    socket.say(`{"type":"snapshot","topic":"x","epoch":"e","offset":0,"items":[{"type":"t","o":0,"t":[null,null,1],"data":${data}}]}`);
    socket.say(ENVELOPE(data));
    assert.equal(got.length, 2);
    for (const message of got) {
      assert.equal(message.dataText, data);
      assert.equal(message.data.price, numbers === "text" ? "16795610.22313256" : 16795610.22313256);
      assert.equal(message.data.small, numbers === "text" ? "0.00000012" : 1.2e-7);
      assert.equal(message.data.s, "A");
    }
    assert.equal(got[1].o, 1); // the envelope's numbers stay numbers
    assert.deepEqual(got[1].t, [1.5, null, 2]);
  }
});

test("on a plain route the whole message is what was published", async () => {
  const w = world({ plain: true, numbers: "text" });
  const socket = await w.accept();
  socket.say('{"type":"price_update","price":1.10}');
  assert.deepEqual(w.of("message").at(-1), { type: "price_update", price: "1.10" });
});
