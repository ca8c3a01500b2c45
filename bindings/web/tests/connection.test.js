// SPDX-License-Identifier: Apache-2.0
// States, attempts and delays, with a clock that the test moves.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff } from "../src/backoff.js";
import { TRANSITIONS } from "../src/contract.js";
import { Machine } from "../src/states.js";
import { settle, world } from "./support/fakes.js";

const DELAYS = { reconnectBaseDelay: 1000, reconnectMaxDelay: 30000, restartDelay: 5000, stableTime: 10000 };

test("the machine does what the table says, and nothing else", () => {
  const events = new Set(Object.values(TRANSITIONS).flatMap((moves) => Object.keys(moves)));
  for (const [state, moves] of Object.entries(TRANSITIONS)) {
    for (const event of events) {
      const machine = new Machine();
      machine.state = state;
      const change = machine.fire(event);
      assert.equal(machine.state, moves[event] ?? state);
      assert.deepEqual(change, moves[event] ? { from: state, to: moves[event], trigger: event } : null);
    }
  }
});

test("full jitter: a delay is anything from 0 to a bound that doubles up to its limit", () => {
  for (const random of [0, 0.25, 0.999]) {
    const backoff = new Backoff(DELAYS, () => random);
    for (const bound of [1000, 2000, 4000, 8000, 16000, 30000, 30000]) assert.equal(backoff.delay(), random * bound);
  }
});

test("1012 and 1013 spread the return over the restart delay, 4029 waits it out", () => {
  assert.equal(new Backoff(DELAYS, () => 0.5).delay(1012), 2500);
  assert.equal(new Backoff(DELAYS, () => 0.5).delay(1013), 2500);
  assert.equal(new Backoff(DELAYS, () => 0.5).delay(4029), 5500);
});

test("the stability gate: only a connection that was good for long begins the count anew", () => {
  const backoff = new Backoff(DELAYS, () => 1);
  backoff.delay();
  backoff.delay();
  backoff.opened(0);
  backoff.ended(9999);
  assert.equal(backoff.delay(), 4000);
  backoff.opened(20000);
  backoff.ended(30000);
  assert.equal(backoff.delay(), 1000);
});

test("it connects when it is made, with the subprotocol, and is connected once the hub has accepted it", async () => {
  const w = world({}, "/ws/stream");
  assert.equal(w.client.state, "connecting");
  await settle();
  assert.equal(w.socket.url, "wss://app.example/ws/stream");
  assert.deepEqual(w.socket.protocols, ["pulse.v1"]);
  w.socket.open();
  assert.equal(w.client.state, "connecting");
  w.socket.say({ type: "welcome", data: {} });
  assert.equal(w.client.state, "connected");
  assert.equal(w.of("ready").length, 1);
});

test("a route without a welcome: the pong shows that the hub has accepted", async () => {
  const w = world();
  await settle();
  w.socket.open();
  w.socket.pong();
  assert.equal(w.client.state, "connected");
});

test("a lost connection comes back, each delay as the formula says, and says when", async () => {
  const w = world();
  await w.accept();
  await w.clock.pass(11000); // stable, with a pong in time
  w.socket.pong();
  for (const delay of [500, 1000, 2000]) {
    w.socket.end();
    assert.equal(w.client.state, "reconnecting");
    assert.equal(w.client.nextAttemptIn, delay);
    const before = w.sockets.length;
    await w.clock.pass(delay - 1);
    assert.equal(w.sockets.length, before);
    await w.clock.pass(1);
    assert.equal(w.sockets.length, before + 1);
  }
  await w.accept();
  assert.equal(w.client.state, "connected");
  assert.equal(w.client.statistics().reconnects, 1);
  w.client.close();
});

test("a hub that accepts and drops at once is not hammered", async () => {
  const w = world({}, undefined, 1);
  const begins = [];
  for (let i = 0; i < 6; i++) {
    await w.accept();
    begins.push(w.clock.time);
    w.socket.end(1011);
    await w.clock.pass(w.client.nextAttemptIn);
  }
  const delays = begins.slice(1).map((time, index) => time - begins[index]);
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 16000]);
});

for (const code of [4003, 4040]) {
  test(`${code} is final, and what the hub said in band explains it`, async () => {
    const w = world();
    await settle();
    w.socket.open();
    w.socket.say({ type: "error", data: { code: "no_such_path", message: "there is no path here", details: { a: 1 } } });
    assert.equal(w.client.state, "connecting");
    w.socket.end(code);
    assert.equal(w.client.state, "error");
    assert.equal(w.client.error.code, "no_such_path");
    assert.equal(w.client.error.message, "there is no path here");
    assert.equal(w.client.error.closeCode, code);
    assert.deepEqual(w.of("error").map((error) => error.code), ["no_such_path"]);
    await w.clock.pass(600000);
    assert.equal(w.sockets.length, 1);
    w.client.reconnect();
    await settle();
    assert.equal(w.sockets.length, 2);
  });
}

test("an old error in band does not explain a later close", async () => {
  const w = world();
  await w.accept();
  w.socket.say({ type: "error", data: { code: "not_understood", message: "no" } });
  w.socket.say({ type: "heartbeat", data: { time: 1 } });
  w.socket.end(1006);
  assert.equal(w.client.error.code, "connection_lost");
});

test("an attempt that hangs is left after the open time-out", async () => {
  const w = world();
  await w.clock.pass(9999);
  assert.equal(w.client.state, "connecting");
  await w.clock.pass(1);
  assert.equal(w.client.state, "reconnecting");
  assert.equal(w.client.error.code, "open_timeout");
  assert.notEqual(w.sockets[0].closedWith, null);
  w.sockets[0].welcome(); // too late: nobody hears it
  assert.equal(w.client.state, "reconnecting");
});

test("after so many attempts it stops, and with reconnect false after the first", async () => {
  const w = world({ maxReconnectAttempts: 3 });
  for (let i = 0; i < 4; i++) {
    await settle();
    w.socket.end();
    await w.clock.pass(w.client.nextAttemptIn ?? 0);
  }
  assert.equal(w.client.state, "error");
  assert.equal(w.sockets.length, 4);
  const once = world({ reconnect: false });
  await once.accept();
  once.socket.end(1001);
  assert.equal(once.client.state, "error");
  assert.equal(once.client.error.code, "going_away");
});

test("reconnect works in every state", async () => {
  const w = world({ autoConnect: false });
  assert.equal(w.client.state, "disconnected");
  w.client.reconnect();
  assert.equal(w.client.state, "connecting");
  await settle();
  w.client.reconnect(); // a new attempt in place of the first
  await settle();
  assert.equal(w.sockets.length, 2);
  assert.notEqual(w.sockets[0].closedWith, null);
  await w.accept();
  w.client.reconnect();
  assert.equal(w.client.state, "reconnecting");
  await w.accept();
  assert.equal(w.client.state, "connected");
  w.socket.end();
  w.client.reconnect(); // at once, not after the delay
  await settle();
  assert.equal(w.sockets.length, 4);
});

test("close ends timers and listeners, tells the code, and connect begins again", async () => {
  const w = world();
  await w.accept();
  assert.ok(w.clock.timers.size > 0 && w.window.listeners + w.document.listeners > 0);
  const { socket } = w;
  w.client.close(1000, "bye");
  assert.deepEqual(socket.closedWith, { code: 1000, reason: "bye" });
  assert.equal(w.client.state, "disconnected");
  assert.equal(w.clock.timers.size, 0);
  assert.equal(w.window.listeners + w.document.listeners, 0);
  assert.equal(w.of("close").at(-1).code, 1000);
  w.client.connect();
  await w.accept();
  assert.equal(w.client.state, "connected");
});

test("close in any phase leaves no timer and no attempt", async () => {
  for (const phase of ["connecting", "open", "waiting"]) {
    const w = world();
    await settle();
    if (phase === "open") w.socket.open();
    if (phase === "waiting") w.socket.end();
    w.client.close();
    const made = w.sockets.length;
    assert.equal(w.clock.timers.size, 0, phase);
    await w.clock.pass(600000);
    assert.equal(w.sockets.length, made, phase);
  }
});

test("listeners that close or reconnect inside an event are obeyed", async () => {
  const closes = world();
  await closes.accept();
  closes.client.addEventListener("close", () => closes.client.close());
  closes.socket.end();
  assert.equal(closes.client.state, "disconnected");
  assert.equal(closes.clock.timers.size, 0);
  const again = world();
  await again.accept();
  again.client.addEventListener("state", ({ detail }) => detail.to === "error" && again.client.reconnect());
  again.socket.end(4003);
  await again.accept();
  assert.equal(again.client.state, "connected");
});

test("the page's events: a waiting client tries at once, a connected one probes", async () => {
  for (const event of ["online", "visible", "pageshow", "resume"]) {
    const w = world({}, undefined, 1);
    const tell = () => {
      if (event === "visible") w.document.tell("visibilitychange");
      else if (event === "resume") w.document.tell("resume");
      else w.window.tell(event, { persisted: true });
    };
    await w.accept();
    await w.clock.pass(2000);
    const pings = w.socket.messages("ping").length;
    tell();
    assert.equal(w.socket.messages("ping").length, pings + 1, event);
    await w.clock.pass(4000); // no answer within the probe's time
    assert.equal(w.client.error.code, "heartbeat_timeout");
    await w.clock.pass(1000);
    w.socket.end();
    await w.clock.pass(1500); // of the 2000 that it waits
    const before = w.sockets.length;
    tell();
    await settle();
    assert.equal(w.sockets.length, before + 1, event);
    w.client.close();
  }
});

test("events of the page do not make attempts follow each other faster than one a second", async () => {
  const w = world({}, undefined, 1);
  await settle();
  w.socket.end();
  for (let i = 0; i < 20; i++) {
    w.window.tell("online");
    await w.clock.pass(10);
    if (w.socket.readyState === 0) w.socket.end();
  }
  assert.equal(w.sockets.length, 1);
  await w.clock.pass(1000);
  assert.equal(w.sockets.length, 2);
});

test("online replaces an attempt that began on a dead network", async () => {
  const w = world();
  await w.clock.pass(3000);
  w.window.tell("online");
  await w.accept();
  assert.equal(w.sockets.length, 2);
  assert.deepEqual(w.states(), ["connected"]);
});

test("offline probes at once and starts no attempt", async () => {
  const w = world();
  await w.accept();
  w.socket.pong();
  w.window.tell("offline");
  await w.clock.pass(4000);
  assert.equal(w.client.state, "reconnecting");
  const made = w.sockets.length;
  w.window.tell("offline");
  await settle();
  assert.equal(w.sockets.length, made);
});

test("an address that no WebSocket can have is an error at once", async () => {
  const w = world({}, "ftp://hub.example/");
  await settle();
  assert.equal(w.client.state, "error");
  assert.equal(w.client.error.code, "bad_url");
});

test("options are checked when they are given", () => {
  const bad = [
    { openTimeOut: 1 }, { openTimeout: "1s" }, { heartbeatInterval: 0 }, { token: "" }, { tokenIn: "cookie" }, { tokenIn: "url" },
    { plain: true, tokenIn: "subprotocol" }, { queuePolicy: "drop" }, { fatalCloseCodes: [1] }, { numbers: "exact" }, { fallback: {} },
  ];
  for (const options of bad) assert.throws(() => world({ autoConnect: false, ...options }), TypeError, JSON.stringify(options));
  assert.throws(() => world({}, []), TypeError);
});
