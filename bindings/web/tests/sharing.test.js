// SPDX-License-Identifier: Apache-2.0
// Tabs that share one connection.

import assert from "node:assert/strict";
import { test } from "node:test";

import { settle, world } from "./support/fakes.js";
import { FakeBrowser } from "./support/tabs.js";

const CENSUS = 150;

/** The part of a hub that is needed: topic x, whose messages it remembers, and of which it gives the last as a snapshot. */
class Hub {
  end = 0;
  answered = 0;

  constructor(browser, epoch = "e1") {
    Object.assign(this, { browser, epoch });
  }

  publish(count = 1) {
    for (; count > 0; count--) {
      this.end += 1;
      this.#send(this.end);
    }
  }

  #send(o) {
    this.browser.socket.say({ type: "t", topic: "x", o, p: o - 1, t: [null, null, 1], data: { n: o } });
  }

  /** Accepts the newest connection, and answers what has been asked since. */
  async serve() {
    await settle();
    const { socket } = this.browser;
    if (socket !== this.served) {
      this.served = socket;
      this.answered = 0;
      socket.welcome();
    }
    await settle();
    const requests = socket.messages("subscribe").slice(this.answered);
    this.answered += requests.length;
    for (const { id, topics } of requests) for (const wish of topics) this.#answer(id, wish);
    await settle();
  }

  #answer(id, { since }) {
    const recovered = since?.epoch === this.epoch;
    this.browser.socket.say({ type: "subscribed", id, topic: "x", epoch: this.epoch, offset: this.end, recovered, state: "live" });
    if (recovered) for (let o = since.offset + 1; o <= this.end; o++) this.#send(o);
    if (recovered) return;
    if (since) this.browser.socket.say({ type: "gap", topic: "x", from: null, to: this.end, cause: "hub_restart" });
    const items = this.end === 0 ? [] : [{ type: "t", o: this.end, t: [null, null, 1], data: { n: this.end } }];
    this.browser.socket.say({ type: "snapshot", topic: "x", epoch: this.epoch, offset: this.end, items });
  }
}

/** Two tabs that listen to x, the first of which has the connection. */
async function two() {
  const browser = new FakeBrowser();
  const hub = new Hub(browser);
  const got = [[], []];
  const open = async (index) => {
    const tab = browser.open();
    tab.client.subscribe("x", (message) => got[index].push(message.snapshot ? -message.o : message.o));
    await settle();
    await browser.pass(CENSUS);
    await hub.serve();
    return tab;
  };
  const tabs = [await open(0)];
  hub.publish(3);
  tabs.push(await open(1));
  await hub.serve();
  return { browser, hub, got, tabs };
}

test("two tabs have one connection, the newcomer its snapshot, and each message comes once to each", async () => {
  const { browser, hub, got, tabs } = await two();
  hub.publish(2);
  await settle();
  assert.equal(browser.sockets.length, 1);
  assert.deepEqual(got, [[1, 2, 3, 4, 5], [-3, 4, 5]]);
  assert.deepEqual(tabs.map(({ client }) => client.state), ["connected", "connected"]);
  assert.deepEqual(tabs.map((tab) => tab.of("message").length), [5, 2]);
  assert.deepEqual(tabs.map((tab) => tab.of("gap").length), [0, 0]);
  assert.equal(tabs[1].client.url, "wss://hub.example/ws/stream");
  assert.equal(tabs[1].of("message")[0].dataText, '{"n":4}');
});

for (const end of ["close", "crash"]) {
  test(`when the tab that has the connection ends (${end}), the other goes on where it was`, async () => {
    const { browser, hub, got, tabs } = await two();
    hub.publish(2);
    await settle();
    if (end === "close") tabs[0].client.close();
    else tabs[0].crash();
    await settle();
    hub.end += 3; // published while nobody was connected
    await browser.pass(CENSUS);
    await hub.serve();
    hub.publish();
    await settle();
    assert.equal(browser.sockets.length, 2);
    assert.deepEqual(got[1], [-3, 4, 5, 6, 7, 8, 9]);
    assert.equal(tabs[1].of("gap").length, 0);
    assert.equal(tabs[1].client.state, "connected");
  });
}

test("a hub that was restarted is a gap in every tab", async () => {
  const { browser, hub, tabs } = await two();
  hub.epoch = "e2";
  browser.socket.end();
  await browser.pass(1000);
  await hub.serve();
  await hub.serve();
  for (const tab of tabs) assert.deepEqual(tab.of("gap").map(({ from, cause }) => [from, cause]), [[null, "hub_restart"]]);
});

test("another source of the hub's is told in every tab, once", async () => {
  const { browser, hub, got, tabs } = await two();
  const told = { type: "feed", data: { from: "binance-1", to: "binance-2", cause: "reset" } };
  browser.socket.say(told);
  hub.publish();
  await settle();
  for (const tab of tabs) assert.deepEqual(tab.of("feed"), [told]);
  assert.deepEqual(got.map((list) => list.at(-1)), [4, 4]);
  assert.deepEqual(tabs.map((tab) => tab.of("failover").length), [0, 0]); // that is the application's own feed
});

test("the feed of the application serves all tabs, while no hub is there", async () => {
  const browser = new FakeBrowser();
  const hub = new Hub(browser);
  let feed;
  const got = [];
  const tabs = [0, 1].map(() => browser.open({ fallback: (given) => { feed = given; } }));
  tabs[1].client.subscribe("x", (message) => got.push([message.source, message.data.n]));
  await settle();
  await browser.pass(CENSUS);
  browser.socket.end();
  await settle();
  assert.deepEqual(tabs.map(({ client }) => client.isFailover), [true, true]);
  feed.emit({ topic: "x", type: "t", data: { n: 7 } });
  await settle();
  assert.deepEqual(got, [["fallback", 7]]);
  assert.deepEqual(tabs.map((tab) => tab.of("message").length), [0, 1]); // only that one has asked for it
  await browser.pass(1000);
  await hub.serve();
  for (const tab of tabs) assert.deepEqual(tab.of("failover").map(({ active }) => active), [true, false]);
});

test("a tab that ends without a word leaves no subscription behind", async () => {
  const { browser, tabs } = await two();
  tabs[1].client.subscribe("only-here", () => {});
  await settle();
  tabs[1].crash();
  await settle();
  assert.deepEqual(browser.socket.messages("unsubscribe").map(({ topics }) => topics), [["only-here"]]);
});

test("listeners come and go in any tab; a topic ends with its last one", async () => {
  const { browser, hub, got, tabs } = await two();
  const subscription = tabs[1].client.subscribe("x", () => {});
  await settle();
  await hub.serve();
  subscription.close();
  tabs[0].client.unsubscribe("x");
  await settle();
  hub.publish();
  await settle();
  assert.equal(got[0].at(-1), 3);
  assert.equal(got[1].at(-1), 4);
  assert.deepEqual(browser.socket.messages("unsubscribe"), []);
  tabs[1].client.unsubscribe("x");
  await settle();
  assert.equal(browser.socket.messages("unsubscribe").length, 1);
});

test("state and errors are the same in all tabs, and any may reconnect", async () => {
  const { browser, hub, tabs } = await two();
  browser.socket.end(1012);
  await settle();
  const [, other] = tabs;
  assert.equal(other.client.state, "reconnecting");
  assert.equal(other.client.error.code, "restarting");
  assert.equal(other.client.nextAttemptIn > 0, true);
  other.client.reconnect();
  await settle();
  await hub.serve();
  assert.deepEqual(tabs.map(({ client }) => client.state), ["connected", "connected"]);
  assert.deepEqual(other.states().slice(-2), ["reconnecting", "connected"]);
});

test("any tab may send; what waits, waits in it, and what a lost tab may have lost is told", async () => {
  const { browser, hub, tabs } = await two();
  const sent = () => browser.socket.sent.map((text) => JSON.parse(text).n).filter((n) => n !== undefined);
  assert.equal(tabs[1].client.send({ n: 1 }), true);
  await settle();
  assert.deepEqual(sent(), [1]);
  browser.socket.end();
  await settle();
  tabs[1].client.send({ n: 2 });
  assert.equal(tabs[1].client.statistics().queued, 1);
  await browser.pass(1000);
  await hub.serve();
  assert.deepEqual(sent(), [2]);
  tabs[0].crash();
  tabs[1].client.send({ n: 3 });
  await browser.pass(CENSUS);
  assert.deepEqual(tabs[1].of("drop").map(({ cause, data }) => [cause, data]), [["tab_gone", '{"n":3}']]);
});

test("a third tab is told, too, what the lost tab may have lost", async () => {
  const { browser, tabs } = await two();
  const third = browser.open();
  await settle();
  tabs[0].crash();
  third.client.send("order");
  await browser.pass(CENSUS);
  assert.deepEqual(third.of("drop").map(({ cause, data }) => [cause, data]), [["tab_gone", "order"]]);
});

test("a place moves with what has come, not with what the hub has promised", async () => {
  const { browser, hub, got, tabs } = await two();
  browser.socket.end();
  hub.end += 2;
  await browser.pass(1000);
  const { socket } = browser;
  socket.welcome();
  const [{ id }] = socket.messages("subscribe");
  socket.say({ type: "subscribed", id, topic: "x", epoch: "e1", offset: 5, recovered: true, state: "live" });
  await settle();
  tabs[0].crash(); // before 4 and 5 have come
  await browser.pass(CENSUS);
  await hub.serve();
  assert.deepEqual(got[1], [-3, 4, 5]);
  assert.equal(tabs[1].of("gap").length, 0);
});

test("close leaves no timer, no lock and no channel in any role", async () => {
  const { browser, tabs } = await two();
  for (const tab of [...tabs].reverse()) {
    tab.client.close();
    assert.equal(tab.client.state, "disconnected");
    assert.equal(tab.clock.timers.size, 0);
  }
  await settle();
  const third = browser.open();
  await settle();
  assert.equal(third.client.sharing.isLeader, true);
  tabs[0].client.connect(); // begins again, behind the third
  await settle();
  assert.equal(tabs[0].client.sharing.isLeader, false);
});

test("where the browser can't share each tab has a connection", async () => {
  const w = world({ share: true });
  await w.accept();
  assert.equal(w.client.state, "connected");
  assert.equal(w.client.sharing, null);
});
