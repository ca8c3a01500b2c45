// SPDX-License-Identifier: Apache-2.0
// Against a real hub.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import { clientOf, inbox, next, startHub } from "./support/hub.js";

const TOPICS = {
  "price.*": { history: 1000, conflate: "symbol", latest: true },
  "log.*": { history: 50 },
  "bare.*": {},
  "book": { binary: true, history: 100, latest: true },
};

describe("a hub", () => {
  let hub;
  const connect = (path, options) => clientOf(hub.url(path), options);

  before(async () => {
    const routes = { "/ws/stream": {}, "/plain": { protocol: "plain" }, "/given": { topic: ["log.given"] } };
    hub = await startHub({ topics: TOPICS, routes });
  });

  test("messages in order, with their stamps, exact; latency is measured", async () => {
    const { client } = connect();
    const box = inbox(client, "log.a");
    const measured = next(client, "latency");
    await next(client, "subscribed");
    await hub.call("publish", "log.a", '{"type":"trade","price":16795610.22313256}');
    const message = await box.get();
    assert.equal(message.type, "trade");
    assert.equal(message.topic, "log.a");
    assert.equal(message.o, 1);
    assert.equal(message.snapshot, false);
    assert.equal(message.dataText, '{"type":"trade","price":16795610.22313256}');
    assert.equal(message.t.length, 3);
    assert.ok((await measured).latency >= 0);
    assert.ok(Math.abs(client.statistics().clockOffset) < 1000);
  });

  test("cut again and again while messages are published: each once, in order", async () => {
    const { client, cut } = connect();
    const box = inbox(client, "log.resume");
    await next(client, "subscribed");
    for (let round = 0; round < 5; round++) {
      await hub.call("burst", "log.resume", 10);
      const again = next(client, "subscribed");
      cut();
      await hub.call("burst", "log.resume", 10);
      await again;
    }
    await hub.call("publish", "log.resume", '{"type":"end"}');
    for (let o = 1; o <= 101; o++) assert.equal((await box.get()).o, o);
    assert.equal(client.statistics().gaps, 0);
    assert.equal(client.statistics().reconnects, 5);
  });

  test("more than the history is a gap with its ends", async () => {
    const { client, cut } = connect();
    const box = inbox(client, "log.gap");
    await next(client, "subscribed");
    await hub.call("burst", "log.gap", 1);
    assert.equal((await box.get()).o, 1);
    client.close();
    cut();
    await hub.call("burst", "log.gap", 100);
    client.connect();
    const gap = await box.get();
    assert.deepEqual(gap, { type: "gap", topic: "log.gap", from: 2, to: 101, cause: "history" });
  });

  test("a snapshot for a newcomer on a topic that is in use, and nothing lost for the first", async () => {
    const { client } = connect();
    const early = inbox(client, "price.all");
    await next(client, "snapshot");
    for (const symbol of ["SOL", "BTC"]) {
      await hub.call("publish", "price.all", `{"type":"price_update","symbol":"${symbol}","price":"1.50"}`);
    }
    await early.get();
    await early.get();
    const shown = next(client, "snapshot");
    const late = inbox(client, "price.all");
    const flood = hub.call("burst", "price.all", 200);
    await shown;
    const items = [await late.get(), await late.get()];
    assert.ok(items.every(({ snapshot }) => snapshot));
    const end = await flood;
    for (const box of [early, late]) {
      let last = 0;
      while (last < end) {
        const message = await box.get();
        assert.notEqual(message.type, "gap");
        if (!message.snapshot) assert.ok(message.o > last);
        last = Math.max(last, message.o);
      }
    }
    assert.equal(client.statistics().gaps, 0);
  });

  test("binary topics, with a snapshot and a resume", async () => {
    await hub.call("publish_bytes", "book", [1, 2, 3]);
    const { client, cut } = connect();
    const box = inbox(client, "book");
    const first = await box.get();
    assert.deepEqual([first.type, first.snapshot, [...first.data]], ["binary", true, [1, 2, 3]]);
    client.close();
    cut();
    await hub.call("publish_bytes", "book", [4]);
    client.connect();
    const second = await box.get();
    assert.deepEqual([second.o, second.snapshot, [...second.data]], [2, false, [4]]);
  });

  test("topics that the route gives are resumed, too", async () => {
    const { client, cut } = connect("/given");
    await next(client, "subscribed");
    const first = next(client, "a");
    await hub.call("publish", "log.given", '{"type":"a"}');
    assert.equal((await first).o, 1);
    client.close();
    cut();
    await hub.call("publish", "log.given", '{"type":"b"}');
    const missed = next(client, "b");
    client.connect();
    assert.equal((await missed).o, 2);
    assert.equal(client.statistics().gaps, 0);
  });

  test("how fresh a topic is, to the subscription and as event", async () => {
    const { client } = connect();
    const states = [];
    client.subscribe("log.state", () => {}, { onState: ({ state }) => states.push(state) });
    await next(client, "subscribed");
    const told = next(client, "topic_state");
    await hub.call("set_state", "log.state", "degraded", "the exchange is slow");
    assert.equal((await told).cause, "the exchange is slow");
    assert.deepEqual(states, ["live", "degraded"]);
  });

  test("to the application of the hub and back, also what was sent before the connection", async () => {
    const { client } = connect();
    client.send({ type: "order", price: "1.50" });
    assert.deepEqual((await next(client, "echo")).data, { type: "order", price: "1.50" });
  });

  test("a topic that is not there, and one that ends", async () => {
    const { client } = connect();
    client.subscribe("nothing.here.at.all");
    const error = await next(client, "error");
    assert.equal(error.code, "no_such_topic");
    assert.equal(error.topic, "nothing.here.at.all");
    const { close } = client.subscribe("log.end");
    await next(client, "subscribed");
    close();
    assert.equal((await next(client, "unsubscribed")).topic, "log.end");
  });

  test("a path that is not there is final, and explained", async () => {
    const { client } = connect("/ws/strem");
    const error = await next(client, "error");
    assert.equal(error.code, "no_such_path");
    assert.equal(error.closeCode, 4040);
    assert.match(error.message, /spelled nearly so/);
    assert.equal(client.state, "error");
  });

  test("a plain route: bare messages, welcome and pong", async () => {
    const { client } = connect("/plain", { plain: true });
    client.subscribe("log.plain");
    await next(client, "ready");
    client.send({ type: "ping", id: "fence", data: {} });
    await next(client, "pong", ({ id }) => id === "fence"); // behind the subscription
    const came = next(client, "message");
    await hub.call("publish", "log.plain", '{"type":"x","a":1}');
    assert.deepEqual(await came, { type: "x", a: 1 });
  });

  test("a close by the hub brings the client back", async () => {
    const { client } = connect();
    await next(client, "ready");
    const closed = next(client, "close", ({ code }) => code === 4008);
    const ready = next(client, "ready");
    await hub.call("close_peers", 4008);
    await Promise.all([closed, ready]);
  });
});

test("a hub that is restarted: the other hub serves, and a gap says that nothing is known", async () => {
  const settings = { topics: TOPICS };
  const [a, b] = [await startHub(settings), await startHub(settings)];
  const { client } = clientOf([a.url(), b.url()]);
  const box = inbox(client, "log.x");
  await next(client, "subscribed");
  await a.call("burst", "log.x", 3);
  for (let o = 1; o <= 3; o++) assert.equal((await box.get()).o, o);
  await b.call("burst", "log.x", 5);
  const back = next(client, "ready");
  await a.drain();
  await back;
  assert.equal(client.url, b.url());
  assert.deepEqual(await box.get(), { type: "gap", topic: "log.x", from: null, to: 5, cause: "hub_restart" });
  await b.call("burst", "log.x", 1);
  assert.equal((await box.get()).o, 6);
});

test("tokens: shown as subprotocol and as message, refused, expired, renewed", async () => {
  const hub = await startHub({ options: { auth: "required", token_leeway: 0 }, topics: { "log.*": { subscribe: "granted" } } });
  const token = () => hub.call("token", "u", 3600);
  for (const tokenIn of ["subprotocol", "message"]) {
    const { client } = clientOf(hub.url(), { token, tokenIn });
    client.subscribe("log.a");
    const refused = next(client, "error", ({ topic }) => topic === "log.a"); // the token does not grant it
    await next(client, "ready");
    assert.equal((await refused).code, "topic_forbidden");
    client.close();
  }
  const tokens = [await hub.call("token", "u", -60), await hub.call("token", "u", 3600)];
  const expired = clientOf(hub.url(), { token: () => tokens.shift() });
  await next(expired.client, "ready");
  assert.equal(expired.sockets.length, 2);
  expired.client.close();
  const wrong = clientOf(hub.url(), { token: "a.b.c" });
  const error = await next(wrong.client, "error");
  assert.equal(error.closeCode, 4001);
  assert.equal(wrong.client.state, "error");
  const short = await hub.call("token", "u", 20); // less than the 30 s before which a hub tells
  const renewed = clientOf(hub.url(), { token: ({ reason }) => (reason === "expiring" ? token() : short) });
  await next(renewed.client, "auth_expiring");
  assert.equal((await next(renewed.client, "auth")).data.user, "u");
});
