// SPDX-License-Identifier: Apache-2.0
// Where topics stand: what is new, what is missing, what is asked for on the next connection.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Cursor } from "../src/resume.js";
import { settle, world } from "./support/fakes.js";

const answer = (more = {}) => ({ type: "subscribed", topic: "x", epoch: "e1", offset: 10, recovered: false, state: "live", ...more });
const published = (o, p = o - 1, more = {}) => ({ type: "t", topic: "x", o, p, t: [null, null, 1], data: { n: o }, ...more });

function started() {
  const cursor = new Cursor("x");
  assert.equal(cursor.wish(), "x");
  cursor.subscribed(answer(), "wish");
  return cursor;
}

test("a topic begins where the hub says, and goes on from its last message", () => {
  const cursor = started();
  assert.deepEqual(cursor.published({ o: 11, p: 10 }), { isNew: true, gap: null });
  cursor.ended();
  assert.deepEqual(cursor.wish(), { topic: "x", since: { epoch: "e1", offset: 11 } });
  cursor.subscribed(answer({ offset: 15, recovered: true }), "wish");
  for (const o of [12, 13, 14, 15]) assert.deepEqual(cursor.published({ o, p: o - 1 }), { isNew: true, gap: null });
});

test("a topic without any message can be resumed from 0", () => {
  const cursor = new Cursor("x");
  cursor.wish();
  cursor.subscribed(answer({ offset: 0 }), "wish");
  cursor.ended();
  assert.deepEqual(cursor.wish(), { topic: "x", since: { epoch: "e1", offset: 0 } });
});

test("what was seen is never new again", () => {
  const cursor = started();
  cursor.published({ o: 12, p: 10 });
  for (const o of [10, 11, 12]) assert.deepEqual(cursor.published({ o, p: o - 1 }), { isNew: false, gap: null });
});

test("conflated messages are no loss, a hole in p is", () => {
  const cursor = started();
  assert.deepEqual(cursor.published({ o: 20, p: 10 }), { isNew: true, gap: null });
  assert.deepEqual(cursor.published({ o: 30, p: 25 }).gap, { type: "gap", topic: "x", from: 21, to: 25, cause: "missed" });
  assert.equal(cursor.published({ o: 31, p: 30 }).gap, null);
});

test("a gap that the hub tells moves the topic on", () => {
  const cursor = started();
  const gap = { type: "gap", topic: "x", from: 11, to: 14, cause: "slow" };
  assert.deepEqual(cursor.gap(gap), gap);
  assert.deepEqual(cursor.published({ o: 15, p: 14 }), { isNew: true, gap: null });
  assert.deepEqual(cursor.gap({ ...gap, from: 12, to: 17 }), { ...gap, from: 16, to: 17 }); // part of it was seen
  assert.equal(cursor.gap({ ...gap, from: 1, to: 9 }), null); // all of it
});

test("not recovered is told by the hub's gap, once", () => {
  const cursor = started();
  cursor.ended();
  cursor.wish();
  cursor.subscribed(answer({ offset: 50 }), "wish");
  const gap = { type: "gap", topic: "x", from: 11, to: 50, cause: "history" };
  assert.deepEqual(cursor.gap(gap), gap);
  assert.deepEqual(cursor.published({ o: 51, p: 50 }), { isNew: true, gap: null });
  assert.equal(cursor.ended(), null);
});

test("not recovered, and the connection ends before the gap: it is told all the same", () => {
  const cursor = started();
  cursor.ended();
  cursor.wish();
  cursor.subscribed(answer({ offset: 50 }), "wish");
  assert.deepEqual(cursor.ended(), { type: "gap", topic: "x", from: 11, to: 50, cause: "history" });
  assert.deepEqual(cursor.wish().since, { epoch: "e1", offset: 50 });
  assert.equal(cursor.ended(), null);
});

test("a hub that was restarted: another epoch, and nobody knows what is missing", () => {
  const cursor = started();
  cursor.ended();
  cursor.wish();
  cursor.subscribed(answer({ epoch: "e2", offset: 3 }), "wish");
  const gap = { type: "gap", topic: "x", from: null, to: 3, cause: "hub_restart" };
  assert.deepEqual(cursor.ended(), gap);
  cursor.wish();
  cursor.subscribed(answer({ epoch: "e3", offset: 2 }), "wish");
  assert.deepEqual(cursor.gap({ ...gap, to: 2 }), { ...gap, to: 2 });
  assert.deepEqual(cursor.published({ o: 3, p: 2 }), { isNew: true, gap: null });
});

test("a snapshot of the history without a gap in front has all that was missed", () => {
  const cursor = new Cursor("x", 100);
  assert.deepEqual(cursor.wish(), { topic: "x", history: 100 });
  cursor.subscribed(answer(), "wish");
  cursor.ended();
  assert.deepEqual(cursor.wish(), { topic: "x", since: { epoch: "e1", offset: 10 }, history: 100 });
  cursor.subscribed(answer({ offset: 40 }), "wish");
  assert.equal(cursor.snapshot({ topic: "x", offset: 40, items: [] }), true);
  assert.deepEqual(cursor.published({ o: 41, p: 40 }), { isNew: true, gap: null });
  assert.equal(cursor.ended(), null);
});

test("the connection ends between the gap and the snapshot of the history: what the snapshot had is told missing", () => {
  for (const [epoch, from, cause] of [["e1", 11, "history"], ["e2", null, "hub_restart"]]) {
    const cursor = new Cursor("x", 5);
    cursor.wish();
    cursor.subscribed(answer(), "wish");
    cursor.ended();
    cursor.wish();
    cursor.subscribed(answer({ epoch, offset: 40 }), "wish");
    const gap = { type: "gap", topic: "x", from, to: 35, cause };
    assert.deepEqual(cursor.gap(gap), gap);
    assert.deepEqual(cursor.ended(), { ...gap, from: 36, to: 40 });
    assert.equal(cursor.ended(), null);
    assert.deepEqual(cursor.wish().since, { epoch, offset: 40 });
  }
});

test("a topic that the route subscribes on its own: our place counts, not that answer", () => {
  const cursor = started();
  cursor.ended();
  cursor.wish();
  cursor.subscribed(answer({ offset: 99 }), null);
  assert.deepEqual(cursor.published({ o: 100, p: 99 }), { isNew: false, gap: null }); // it comes again behind our answer
  cursor.subscribed(answer({ offset: 100, recovered: true }), "wish");
  assert.deepEqual(cursor.published({ o: 11, p: 10 }), { isNew: true, gap: null });
});

test("asked for without a place while subscribed: that answer changes nothing", () => {
  const cursor = new Cursor("x");
  cursor.wish();
  cursor.subscribed(answer({ offset: 5 }), null); // by the URL
  cursor.published({ o: 6, p: 5 });
  cursor.subscribed(answer({ offset: 9 }), "wish");
  assert.deepEqual(cursor.published({ o: 7, p: 6 }), { isNew: true, gap: null });
});

test("binary messages: a jump is conflation, a snapshot's items are not new ones", () => {
  const cursor = new Cursor("x");
  cursor.wish();
  cursor.subscribed(answer({ number: 7, offset: 10 }), "wish");
  assert.equal(cursor.number, 7);
  cursor.snapshot({ binary: 2, offset: 10, items: [] });
  assert.equal(cursor.binary(4).isSnapshot, true);
  assert.equal(cursor.binary(10).isSnapshot, true);
  assert.deepEqual(cursor.binary(11), { isNew: true, isSnapshot: false, skipped: 0, gap: null });
  assert.deepEqual(cursor.binary(15), { isNew: true, isSnapshot: false, skipped: 3, gap: null });
  assert.equal(cursor.binary(15).isNew, false);
});

/** The part of a hub that resume is about: one topic with a history, and a line that may be cut at any message. */
class SmallHub {
  constructor(random, history, hasLatest) {
    Object.assign(this, { random, history, hasLatest, epoch: "e1", all: [] });
  }

  get end() {
    return this.all.length;
  }

  subscribe(wish, out, purpose) {
    const since = wish.since;
    const isKnown = since && since.epoch === this.epoch && since.offset <= this.end && this.end - since.offset <= this.history;
    out.push([{ type: "subscribed", epoch: this.epoch, offset: this.end, recovered: Boolean(isKnown) }, purpose]);
    if (since && !isKnown) {
      const isSame = since.epoch === this.epoch && since.offset < this.end;
      out.push([{ type: "gap", from: isSame ? since.offset + 1 : null, to: this.end, cause: isSame ? "history" : "hub_restart" }]);
    }
    if (!isKnown && this.hasLatest) out.push([{ type: "snapshot", offset: this.end, items: this.end ? [this.end] : [] }]);
    this.sent = isKnown ? since.offset : this.end;
  }
}

test("against a small hub, on random walks: each message is shown once, skipped, or told missing", () => {
  let seed = 11;
  const random = (most) => (seed = (seed * 48271) % 2147483647) % most;
  for (let walk = 0; walk < 300; walk++) {
    const hub = new SmallHub(random, random(8), random(2) === 1);
    const cursor = new Cursor("x");
    const fate = []; // offset: what became of it
    let isTold = true;
    let first = null;
    const lose = (gap) => {
      if (gap === null) return;
      if (gap.from === null) isTold = true;
      for (let o = gap.from ?? 1; o <= gap.to; o++) {
        assert.ok(fate[o] === undefined || gap.from === null, `walk ${walk}: ${o} was ${fate[o]} and is told missing`);
        fate[o] ??= "missing";
      }
    };
    const take = ([message, purpose]) => {
      if (message.type === "subscribed") cursor.subscribed(message, purpose);
      else if (message.type === "gap") lose(cursor.gap(message));
      else if (message.type === "snapshot") cursor.snapshot(message);
      else {
        const { isNew, gap } = cursor.published(message);
        lose(gap);
        if (!isNew) return;
        assert.equal(fate[message.o], undefined, `walk ${walk}: ${message.o} was ${fate[message.o]} and is shown`);
        fate[message.o] = "shown";
        for (let o = message.p + 1; o < message.o; o++) fate[o] = "skipped";
      }
      if (first === null && cursor.isLive) first = cursor.offset;
    };
    for (let connection = 0; connection < 8; connection++) {
      const line = [];
      hub.subscribe(Object(cursor.wish()), line, "wish");
      for (let step = random(20); step > 0; step--) {
        const what = random(6);
        if (what < 3) hub.all.push(hub.end + 1);
        if (what === 3 && hub.sent < hub.end) { // conflated: the newest stands for those before
          line.push([{ type: "t", o: hub.end, p: hub.sent, skipped: hub.end - hub.sent - 1 }]);
          hub.sent = hub.end;
        }
        if (what === 4 && hub.sent < hub.end) line.push([{ type: "t", o: ++hub.sent, p: hub.sent - 1 }]);
        if (what === 5 && cursor.isLive && cursor.refresh === null && random(3) === 0) {
          hub.subscribe(cursor.refreshWish(), line, "refresh");
          hub.subscribe(cursor.wish(), line, "wish");
        }
        while (line.length > 0 && random(3) > 0) take(line.shift());
      }
      if (random(4) > 0) line.splice(random(line.length + 1)); // the line is cut
      for (const item of line) take(item);
      lose(cursor.ended());
      for (let o = (first ?? 0) + 1; o <= cursor.offset; o++) assert.ok(fate[o] || !isTold, `walk ${walk}: of ${o} nobody knows`);
    }
  }
});

test("the client asks on every connection for what it has not, and tells gaps as events and to the subscription", async () => {
  const w = world();
  const got = [];
  const gaps = [];
  w.client.subscribe("x", (message) => got.push(message.o), { onGap: (gap) => gaps.push(gap) });
  let socket = await w.accept();
  const [first] = socket.messages("subscribe");
  assert.deepEqual(first.topics, ["x"]);
  socket.say({ ...answer(), id: first.id });
  socket.say(published(11));
  socket.say(published(11)); // not twice
  socket.end();
  await w.clock.pass(1000);
  socket = await w.accept();
  const [second] = socket.messages("subscribe");
  assert.deepEqual(second.topics, [{ topic: "x", since: { epoch: "e1", offset: 11 } }]);
  socket.say(published(99, 98)); // before the answer: of nobody's subscription
  socket.say({ ...answer({ offset: 20 }), id: second.id });
  socket.say({ type: "gap", topic: "x", from: 12, to: 20, cause: "history" });
  socket.say(published(21));
  assert.deepEqual(got, [11, 21]);
  assert.deepEqual(w.of("gap"), gaps);
  assert.deepEqual(gaps.map(({ from, to }) => [from, to]), [[12, 20]]);
  const statistics = w.client.statistics();
  assert.equal(statistics.gaps, 1);
  assert.equal(statistics.discarded, 2);
});

test("many topics are asked for in messages that a hub takes, also with their places", async () => {
  const w = world();
  const names = Array.from({ length: 1000 }, (_, i) => `candle.${"A".repeat(240)}.${i}`);
  w.client.subscribe(names);
  let socket = await w.accept();
  for (const { id, topics } of socket.messages("subscribe")) {
    for (const topic of topics) socket.say({ ...answer(), id, topic, epoch: "e".repeat(32) });
  }
  socket.end();
  await w.clock.pass(1000);
  socket = await w.accept();
  const requests = socket.messages("subscribe");
  assert.deepEqual(requests.flatMap(({ topics }) => topics.map(({ topic }) => topic)), names);
  for (const text of socket.sent) assert.ok(text.length < 64 << 10);
  for (const { topics } of requests) assert.ok(topics.length <= 256);
});

test("an answer to who has gone meanwhile makes no subscription", async () => {
  const w = world();
  const { close } = w.client.subscribe("x", () => {});
  const socket = await w.accept();
  close();
  socket.say({ ...answer(), id: socket.messages("subscribe")[0].id });
  socket.say(published(11));
  assert.equal(w.client.statistics().subscriptions, 0);
  assert.equal(w.of("message").length, 0);
});

test("calls in a row make one request; ends are asked for when the last listener goes", async () => {
  const w = world();
  const socket = await w.accept();
  const subscriptions = ["a", "b", "a"].map((topic) => w.client.subscribe(topic, () => {}));
  const abort = new AbortController();
  w.client.subscribe("c", () => {}, { signal: abort.signal });
  await settle();
  assert.deepEqual(socket.messages("subscribe").map(({ topics }) => topics), [["a", "b", "c"]]);
  subscriptions[0].close();
  assert.deepEqual(socket.messages("unsubscribe"), []);
  subscriptions[2].close();
  subscriptions[2].close();
  abort.abort();
  assert.deepEqual(socket.messages("unsubscribe").map(({ topics }) => topics), [["a"], ["c"]]);
  assert.equal(w.client.statistics().subscriptions, 1);
});

test("a refused topic is told, asked for again on the next connection, or when somebody subscribes once more", async () => {
  const w = world();
  const errors = [];
  w.client.subscribe("nope", () => {}, { onError: (message) => errors.push(message.data.code) });
  const socket = await w.accept();
  const refuse = () => {
    const { id } = socket.messages("subscribe").at(-1);
    socket.say({ type: "error", id, topic: "nope", data: { code: "no_such_topic", message: "there is none", details: {} } });
  };
  refuse();
  assert.deepEqual(errors, ["no_such_topic"]);
  assert.equal(w.of("error")[0].topic, "nope");
  w.client.subscribe("other");
  await settle();
  assert.deepEqual(socket.messages("subscribe").at(-1).topics, ["other"]);
  w.client.subscribe("nope");
  await settle();
  assert.deepEqual(socket.messages("subscribe").at(-1).topics, ["nope"]);
  assert.equal(w.client.state, "connected");
});

test("who comes later gets a snapshot of its own, and then nothing old; the others miss nothing", async () => {
  const w = world();
  const [early, late] = [[], []];
  w.client.subscribe("x", (message) => early.push(message.o));
  const socket = await w.accept();
  const item = (o) => ({ type: "t", o, t: [null, null, 1], data: { n: o } });
  socket.say({ ...answer(), id: socket.messages("subscribe")[0].id });
  socket.say({ type: "snapshot", topic: "x", epoch: "e1", offset: 10, items: [item(10)] });
  socket.say(published(11));
  w.client.subscribe("x", (message) => late.push([message.o, message.snapshot]));
  await settle();
  const [, refresh, wish] = socket.messages("subscribe");
  assert.equal(refresh.topics[0].since.offset, 0);
  assert.deepEqual(wish.topics, [{ topic: "x", since: { epoch: "e1", offset: 11 } }]);
  socket.say({ ...answer({ offset: 13 }), id: refresh.id });
  socket.say({ type: "gap", topic: "x", from: null, to: 13, cause: "hub_restart" }); // no gap for anybody
  socket.say({ type: "snapshot", topic: "x", epoch: "e1", offset: 13, items: [item(13)] });
  socket.say({ ...answer({ offset: 13, recovered: true }), id: wish.id });
  for (const o of [12, 13, 14]) socket.say(published(o));
  assert.deepEqual(early, [10, 11, 12, 13, 14]);
  assert.deepEqual(late, [[13, true], [14, false]]);
  assert.equal(w.of("gap").length, 0);
});

test("a newcomer whose connection ends before its snapshot gets it on the next one", async () => {
  const w = world();
  w.client.subscribe("x", () => {});
  let socket = await w.accept();
  socket.say({ ...answer(), id: socket.messages("subscribe")[0].id });
  socket.say({ type: "snapshot", topic: "x", epoch: "e1", offset: 10, items: [] });
  const late = [];
  w.client.subscribe("x", (message) => late.push([message.o, message.snapshot]));
  await settle();
  assert.equal(socket.messages("subscribe").length, 3);
  socket.end();
  await w.clock.pass(1000);
  socket = await w.accept();
  socket.say({ ...answer({ recovered: true }), id: socket.messages("subscribe")[0].id });
  await settle();
  const [, refresh, wish] = socket.messages("subscribe");
  socket.say({ ...answer(), id: refresh.id });
  const item = { type: "t", o: 10, t: [null, null, 1], data: {} };
  socket.say({ type: "snapshot", topic: "x", epoch: "e1", offset: 10, items: [item] });
  socket.say({ ...answer({ recovered: true }), id: wish.id });
  socket.say(published(11));
  assert.deepEqual(late, [[10, true], [11, false]]);
});

test("a published message may have any type; it never looks like an event of the client", async () => {
  const w = world();
  w.client.subscribe("x");
  const socket = await w.accept();
  socket.say({ ...answer(), id: socket.messages("subscribe")[0].id });
  const types = ["gap", "state", "error", "welcome", "close", "pong", "subscribed"];
  const before = w.events.length;
  types.forEach((type, i) => socket.say(published(11 + i, 10 + i, { type })));
  assert.deepEqual(w.events.slice(before).map(({ type }) => type), types.map(() => "message"));
  assert.equal(w.client.state, "connected");
});

test("what a callback throws is an error of the page, and hurts nobody else", async () => {
  const w = world();
  const got = [];
  w.client.subscribe("x", () => { throw new Error("mine"); });
  w.client.subscribe("x", (message) => got.push(message.o));
  const socket = await w.accept();
  socket.say({ ...answer(), id: socket.messages("subscribe")[0].id });
  socket.say(published(11));
  assert.deepEqual(got, [11]);
  await assert.rejects(w.clock.pass(0), /mine/);
});
