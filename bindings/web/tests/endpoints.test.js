// SPDX-License-Identifier: Apache-2.0
// Several hubs, and a feed of the application when none is there.

import assert from "node:assert/strict";
import { test } from "node:test";

import { settle, world } from "./support/fakes.js";

const HUBS = ["wss://a.example/ws", "wss://b.example/ws"];
const host = (socket) => new URL(socket.url).host[0];

async function fail(w, code = 1006) {
  await settle();
  w.socket.end(code);
  await w.clock.pass(w.client.nextAttemptIn ?? 0);
}

test("the next hub is tried soon, and delays grow only when all have failed", async () => {
  const w = world({}, HUBS, 1);
  const tried = [];
  const delays = [];
  for (let i = 0; i < 6; i++) {
    await settle();
    tried.push(host(w.socket));
    w.socket.end();
    delays.push(w.client.nextAttemptIn);
    await w.clock.pass(w.client.nextAttemptIn);
  }
  assert.deepEqual(tried, ["a", "b", "a", "b", "a", "b"]);
  assert.deepEqual(delays, [1000, 1000, 1000, 2000, 1000, 4000]);
});

test("a hub that is good stays, and gets one more chance when it is lost", async () => {
  const w = world({}, HUBS);
  await fail(w);
  await w.accept();
  assert.equal(host(w.socket), "b");
  await w.clock.pass(1000);
  w.socket.end();
  await w.clock.pass(w.client.nextAttemptIn);
  assert.equal(host(w.socket), "b");
  await fail(w);
  assert.equal(host(w.socket), "a");
});

test("a hub that refuses for good is no end while another may take us", async () => {
  const w = world({}, HUBS);
  await fail(w, 4040);
  assert.equal(w.client.state, "reconnecting");
  await fail(w, 4003);
  assert.equal(w.client.state, "error");
});

test("an address may be a function, asked before each attempt", async () => {
  let calls = 0;
  const w = world({}, async () => `wss://a.example/${++calls}`);
  await fail(w);
  await settle();
  assert.equal(w.socket.url, "wss://a.example/2");
});

test("when every hub has failed the application's own feed begins, and ends when a hub is there", async () => {
  const stops = [];
  let feed;
  const fallback = (given) => {
    feed = given;
    return () => stops.push(given.signal.aborted);
  };
  const got = [];
  const w = world({ fallback }, HUBS);
  w.client.subscribe("price.SOL", (message) => got.push(message));
  await fail(w);
  assert.equal(w.client.isFailover, false);
  await fail(w);
  await settle();
  assert.equal(w.client.isFailover, true);
  assert.equal(w.client.state, "reconnecting");
  assert.deepEqual(w.of("failover").map(({ active }) => active), [true]);
  feed.emit({ type: "price_update", topic: "price.SOL", data: { price: "1.50" } });
  assert.deepEqual(got, [{ type: "price_update", topic: "price.SOL", data: { price: "1.50" }, snapshot: false, source: "fallback" }]);
  await w.accept();
  assert.equal(w.client.isFailover, false);
  assert.deepEqual(stops, [true]);
  feed.emit({ type: "price_update", topic: "price.SOL", data: { price: "0" } }); // it is over
  assert.equal(got.length, 1);
  assert.deepEqual(w.of("failover").map(({ active }) => active), [true, false]);
  assert.equal(w.client.statistics().failovers, 1);
});

test("a feed that fails is told; close ends one that runs, also before it is open", async () => {
  const broken = world({ fallback: () => { throw new Error("no such stream"); } });
  await fail(broken);
  await settle();
  assert.deepEqual(broken.of("error").map(({ code }) => code), ["fallback_failed"]);
  let opened;
  let stopped = 0;
  const w = world({ fallback: () => new Promise((done) => (opened = done)) });
  await fail(w);
  w.client.close();
  assert.equal(w.client.isFailover, false);
  opened(() => (stopped += 1));
  await settle();
  assert.equal(stopped, 1);
});

test("the loss of a good connection alone does not begin it", async () => {
  let calls = 0;
  const w = world({ fallback: () => { calls += 1; } });
  await fail(w);
  assert.equal(calls, 1);
  await w.accept();
  w.socket.end();
  await w.clock.pass(w.client.nextAttemptIn);
  assert.equal(calls, 1);
  w.socket.end();
  await settle();
  assert.equal(calls, 2);
});
