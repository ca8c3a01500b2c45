// SPDX-License-Identifier: Apache-2.0
// What components say and how they look, as far as it needs no page; the rest is in Tests/Integration/test_web_components.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ICONS, STYLE } from "../src/style.js";
import { describe, duration, LABELS, milliseconds, size } from "../src/view.js";
import { settle, world } from "./support/fakes.js";

const value = ({ main, more }, label) => [...main, ...more].find(([name]) => name === label)?.[1];

test("each state has a kind, a word and an icon of its own", async () => {
  const w = world({ autoConnect: false, maxReconnectAttempts: 1 });
  const seen = {};
  const look = () => {
    const { kind, word } = describe(w.client);
    assert.ok(ICONS[kind]);
    seen[w.client.state] = [kind, word];
  };
  look();
  w.client.connect();
  look();
  await w.accept();
  look();
  w.socket.end();
  look();
  for (let i = 0; i < 2; i++) {
    await w.clock.pass(w.client.nextAttemptIn ?? 0);
    w.socket.end();
  }
  look();
  assert.deepEqual(seen, {
    disconnected: ["idle", "Disconnected"],
    connecting: ["trying", "Connecting"],
    connected: ["connected", "Connected"],
    reconnecting: ["trying", "Reconnecting"],
    error: ["error", "Stopped"],
  });
  assert.deepEqual(describe(null).kind, "idle");
});

test("the sentence says why, and when it goes on", async () => {
  const w = world({ fallback: () => {} });
  await w.accept();
  assert.equal(describe(w.client).sentence, "");
  w.socket.end();
  assert.equal(describe(w.client).sentence, "The connection was cut, or never came about. Next attempt in 1\u00a0s.");
  await w.clock.pass(500);
  assert.match(describe(w.client, {}, true).sentence, /^The browser is offline\. .* Trying now\.$/);
  w.socket.end();
  await settle();
  const view = describe(w.client, { failover: "Ersatz" });
  assert.deepEqual([view.kind, view.word], ["failover", "Ersatz"]);
  assert.match(view.sentence, /^No hub answers/);
});

test("figures: what is not known is no 0, and the address has no query", async () => {
  const w = world({}, "wss://hub.example/ws/stream?key=secret");
  await w.accept();
  await w.clock.pass(40);
  w.socket.pong();
  await w.clock.pass(5000);
  const view = describe(w.client);
  assert.equal(view.latency, "40 ms");
  assert.equal(value(view, LABELS.uptime), "5 s");
  assert.equal(value(view, LABELS.hub), "hub.example/ws/stream");
  w.socket.end();
  const lost = describe(w.client);
  assert.equal(lost.latency, null);
  assert.equal(value(lost, LABELS.latency), LABELS.none);
  assert.equal(value(lost, LABELS.uptime), LABELS.none);
  assert.equal(value(lost, LABELS.messages), "2");
});

test("units", () => {
  assert.deepEqual([null, 0.4, 12.4, 999.4, 1500].map(milliseconds), [null, "< 1 ms", "12 ms", "999 ms", "1.5 s"]);
  assert.deepEqual([0, 59999, 61000, 3723000, 90000000].map(duration), ["0 s", "59 s", "1 min 01 s", "1 h 02 min", "1 d 1 h"]);
  assert.deepEqual([0, 999, 1000, 98765432, 5e15].map(size), ["0 B", "999 B", "1.0 kB", "98.8 MB", "5000.0 TB"]);
});

/** Of WCAG 2.2: from 1 to 21. */
function contrast(a, b) {
  const light = (colour) => {
    const [r, g, b_] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b_;
  };
  const [dark, bright] = [light(a), light(b)].sort((x, y) => x - y);
  return (bright + 0.05) / (dark + 0.05);
}

test("words can be read on their ground in both themes", () => {
  const sets = [{}, {}];
  const dark = STYLE.indexOf("prefers-color-scheme: dark");
  for (const { 1: name, 2: colour, index } of STYLE.matchAll(/--_(\w+): var\(--pulsews-\w+, (#\w{6})\)/g)) {
    sets[Number(index > dark)][name] = colour;
  }
  for (const set of sets) {
    assert.equal(Object.keys(set).length, 11);
    for (const name of ["text", "muted", "connected", "trying", "error", "idle", "failover"]) {
      for (const ground of ["background", "hover"]) {
        const least = name === "text" || ground === "background" ? 4.5 : 3;
        assert.ok(contrast(set[name], set[ground]) >= least, `${name} ${set[name]} on ${set[ground]}`);
      }
    }
    assert.ok(contrast(set.focus, set.background) >= 3);
  }
});

test("the modules can be loaded where there is no page", async () => {
  const { PulseWSStatus } = await import("../components.js");
  assert.equal(typeof PulseWSStatus, "function");
});
