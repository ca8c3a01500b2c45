// SPDX-License-Identifier: Apache-2.0
// What is sent without a connection: it waits in bounds, and no loss is silent.

import assert from "node:assert/strict";
import { test } from "node:test";

import { byteLength } from "../src/bytes.js";
import { world } from "./support/fakes.js";

const sent = (socket) => socket.sent.map((text) => JSON.parse(text)).filter((message) => message.n !== undefined).map(({ n }) => n);

test("sizes are those of UTF-8", () => {
  for (const text of ["", "abc", "é", "€", "😀", "a😀é€"]) assert.equal(byteLength(text), new TextEncoder().encode(text).length, text);
  assert.equal(byteLength(new Uint8Array(7)), 7);
});

test("messages wait for the connection, and leave in order", async () => {
  const w = world();
  for (let n = 0; n < 5; n++) assert.equal(w.client.send({ n }), true);
  assert.equal(w.client.statistics().queued, 5);
  await w.accept();
  w.client.send({ n: 5 });
  assert.deepEqual(sent(w.socket), [0, 1, 2, 3, 4, 5]);
  assert.equal(w.client.statistics().sent, 6);
});

test("a full queue drops the oldest, and tells each one and how many", async () => {
  const w = world({ queueMessages: 3 });
  for (let n = 0; n < 5; n++) w.client.send({ n });
  assert.deepEqual(w.of("drop"), [
    { cause: "full", data: '{"n":0}', dropped: 1 },
    { cause: "full", data: '{"n":1}', dropped: 2 },
  ]);
  assert.equal(w.client.statistics().dropped, 2);
  await w.accept();
  assert.deepEqual(sent(w.socket), [2, 3, 4]);
});

test("the bytes are bounded, too", () => {
  const w = world({ queueBytes: 20 });
  assert.equal(w.client.send("x".repeat(21)), false);
  for (const text of ["a".repeat(10), "b".repeat(10), "c"]) assert.equal(w.client.send(text), true);
  assert.deepEqual(w.of("drop").map(({ cause, data }) => [cause, data[0]]), [["refused", "x"], ["full", "a"]]);
  assert.equal(w.client.statistics().queuedBytes, 11);
});

test("with reject a full queue refuses the newest", () => {
  const w = world({ queueMessages: 1, queuePolicy: "reject" });
  assert.equal(w.client.send({ n: 0 }), true);
  assert.equal(w.client.send({ n: 1 }), false);
  assert.deepEqual(w.of("drop"), [{ cause: "refused", data: '{"n":1}', dropped: 1 }]);
});

test("a message that has waited too long is told at that time, and never sent", async () => {
  const w = world();
  w.client.send({ n: 0 }, { ttl: 500 });
  w.client.send({ n: 1 });
  await w.clock.pass(499);
  assert.equal(w.of("drop").length, 0);
  await w.clock.pass(1);
  assert.deepEqual(w.of("drop").map(({ cause }) => cause), ["expired"]);
  await w.accept();
  assert.deepEqual(sent(w.socket), [1]);
});

test("liveOnly is sent now or not at all", async () => {
  const w = world();
  assert.equal(w.client.send({ n: 0 }, { liveOnly: true }), false);
  await w.accept();
  assert.equal(w.client.send({ n: 1 }, { liveOnly: true }), true);
  assert.deepEqual(sent(w.socket), [1]);
  assert.deepEqual(w.of("drop").map(({ cause }) => cause), ["not_live"]);
});

test("a socket that is behind is not filled without end", async () => {
  const w = world({ queueBytes: 100, queueMessages: 2 });
  await w.accept();
  w.socket.bufferedAmount = 100;
  for (let n = 0; n < 3; n++) w.client.send({ n });
  assert.deepEqual(sent(w.socket), []);
  assert.deepEqual(w.of("drop").map(({ cause }) => cause), ["full"]);
  w.socket.bufferedAmount = 0;
  await w.clock.pass(50);
  assert.deepEqual(sent(w.socket), [1, 2]);
});

test("close tells what waited, and the end of a connection how many bytes had not left", async () => {
  const w = world();
  w.client.send({ n: 0 });
  w.client.close();
  assert.deepEqual(w.of("drop").map(({ cause }) => cause), ["closed"]);
  w.client.connect();
  await w.accept();
  w.socket.bufferedAmount = 42;
  w.socket.end();
  assert.equal(w.of("close").at(-1).unsent, 42);
  await w.clock.pass(1000);
  await w.accept();
  w.socket.bufferedAmount = 43;
  await w.clock.pass(30000); // and nobody answers the ping
  assert.equal(w.of("close").at(-1).unsent, 43);
  await w.accept();
  w.socket.bufferedAmount = 44;
  w.client.close(); // goes behind what waits
  assert.equal(w.of("close").at(-1).unsent, 0);
});
