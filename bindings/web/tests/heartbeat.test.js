// SPDX-License-Identifier: Apache-2.0
// Signs of life, round trips, and timers that browsers hold back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Heartbeat } from "../src/heartbeat.js";
import { Latency } from "../src/latency.js";
import { settle, world } from "./support/fakes.js";

test("a ping at once and one per interval; a hub that is silent is left", async () => {
  const w = world();
  await w.accept();
  const { socket } = w;
  for (let i = 0; i < 5; i++) {
    socket.pong();
    await w.clock.pass(15000);
    assert.equal(socket.messages("ping").length, i + 2);
  }
  await w.clock.pass(9999);
  assert.equal(w.client.state, "connected");
  await w.clock.pass(1);
  assert.equal(w.client.state, "reconnecting");
  assert.equal(w.client.error.code, "heartbeat_timeout");
  assert.equal(w.of("close").length, 1);
});

test("any message is a sign of life", async () => {
  const w = world();
  await w.accept();
  for (let i = 0; i < 100; i++) {
    await w.clock.pass(5000);
    w.socket.say({ type: "heartbeat", data: { time: 1 } });
  }
  assert.equal(w.client.state, "connected");
});

test("a timer that comes late judges nothing: the answer was behind it", async () => {
  const w = world();
  await w.accept();
  w.socket.pong();
  await w.clock.pass(15000); // a ping goes out, and then the page is frozen for an hour
  const pings = w.socket.messages("ping").length;
  await w.clock.freeze(3600000);
  assert.equal(w.client.state, "connected");
  assert.equal(w.socket.messages("ping").length, pings + 1);
  w.socket.pong();
  await w.clock.pass(12000);
  assert.equal(w.client.state, "connected");
});

test("a line that died in sleep is left once the second ping has had its time", async () => {
  const w = world();
  await w.accept();
  await w.clock.freeze(3600000);
  assert.equal(w.client.state, "connected");
  await w.clock.pass(10000);
  assert.equal(w.client.state, "reconnecting");
});

test("a hidden tab, whose timers fire once a minute: no false alarm in a day, and a dead hub is found", () => {
  const heartbeat = new Heartbeat({ heartbeatInterval: 15000, heartbeatTimeout: 10000 });
  heartbeat.start(0);
  heartbeat.heard(50);
  let now = 0;
  for (let minute = 0; minute < 1440; minute++) {
    now += 60000;
    if (heartbeat.tick(now) === "ping") heartbeat.heard(now + 50); // answers are events, which nobody holds back
  }
  let ticks = 0;
  for (let verdict; verdict !== "dead"; ticks++) {
    now += 60000;
    verdict = heartbeat.tick(now);
    assert.ok(ticks < 10);
  }
  assert.ok(ticks <= 5);
});

test("round trips: last, least, mean, 95th percentile of the last 128", () => {
  const latency = new Latency();
  assert.deepEqual(latency.summary(), { last: null, min: null, avg: null, p95: null, max: null });
  for (let i = 0; i < 1000; i++) latency.add(5000);
  for (let i = 1; i <= 128; i++) latency.add(i);
  assert.deepEqual(latency.summary(), { last: 128, min: 1, avg: 64.5, p95: 122, max: 128 });
});

test("latency is the time of a ping to its own pong, and the hub's clock is known", async () => {
  const w = world();
  await w.accept();
  await w.clock.pass(40);
  w.socket.pong(1700000000000 + w.clock.time - 20 + 500); // the hub's clock is half a second ahead
  assert.equal(w.client.latency, 40);
  assert.deepEqual(w.of("latency").at(-1), { latency: 40, last: 40, min: 40, avg: 40, p95: 40, max: 40 });
  assert.equal(w.client.statistics().clockOffset, 500);
  w.socket.say({ type: "pong", id: "mine", data: { time: 1 } }); // of a ping that the application sent
  assert.equal(w.of("latency").length, 1);
  await settle();
});
