// SPDX-License-Identifier: Apache-2.0
// Tokens: how they are shown, renewed, and refused.

import assert from "node:assert/strict";
import { test } from "node:test";

import { base64URL } from "../src/bytes.js";
import { expiryOf, Tokens } from "../src/tokens.js";
import { settle, world } from "./support/fakes.js";

const shown = (socket) => Buffer.from(socket.protocols[1].replace("pulse.token.", ""), "base64url").toString();
const jwt = (exp) => `e30.${base64URL(JSON.stringify({ exp, sub: "ü" }))}.c2ln`;

/** Gives t1, t2 ..., and remembers why it was asked. */
function source() {
  const reasons = [];
  const token = ({ reason }) => {
    reasons.push(reason);
    return `t${reasons.length}`;
  };
  return { token, reasons };
}

test("base64 for URLs, and the end of a token", () => {
  for (const text of ["a", "ab", "abc", "ü?>", "~~~"]) assert.equal(base64URL(text), Buffer.from(text).toString("base64url"));
  assert.equal(expiryOf(jwt(1234)), 1234);
  for (const text of ["opaque", "a.b.c", "..", `a.${base64URL("{}")}.c`, `a.${base64URL("[")}.c`]) assert.equal(expiryOf(text), null);
});

test("a token is the second subprotocol, and not in the URL", async () => {
  const w = world({ token: "to/ken+ü" });
  await settle();
  assert.equal(w.socket.protocols[0], "pulse.v1");
  assert.equal(shown(w.socket), "to/ken+ü");
  assert.equal(w.socket.url, "wss://hub.example/ws/stream");
});

test("as first message: subscriptions wait until the hub has taken it", async () => {
  const w = world({ token: async () => "secret", tokenIn: "message" });
  w.client.subscribe("price.SOL");
  await settle();
  assert.deepEqual(w.socket.protocols, ["pulse.v1"]);
  w.socket.open();
  assert.deepEqual(JSON.parse(w.socket.sent[0]), { type: "auth", id: "auth", data: { token: "secret" } });
  w.socket.pong();
  assert.equal(w.client.state, "connecting");
  assert.equal(w.socket.messages("subscribe").length, 0);
  w.socket.say({ type: "auth", id: "auth", data: { user: "u", expires: null } });
  assert.equal(w.client.state, "connected");
  assert.equal(w.socket.messages("subscribe").length, 1);
});

test("as first message to a hub that asks for none", async () => {
  const w = world({ token: "secret", tokenIn: "message" });
  await settle();
  w.socket.open();
  w.socket.say({ type: "error", id: "auth", data: { code: "not_expected", message: "no" } });
  assert.equal(w.client.state, "connected");
});

test("in the URL of a plain route", async () => {
  const w = world({ token: "a b", tokenIn: "url", plain: true }, "wss://hub.example/plain?x=1");
  await settle();
  assert.equal(w.socket.url, "wss://hub.example/plain?x=1&token=a+b");
  assert.equal(w.socket.protocols, undefined);
});

test("the function is asked again after 4009 and 4001, at once the first time", async () => {
  for (const code of [4001, 4009]) {
    const { token, reasons } = source();
    const w = world({ token });
    await settle();
    w.socket.open();
    w.socket.end(code);
    await w.clock.pass(0);
    assert.equal(shown(w.socket), "t2");
    await w.accept();
    assert.equal(w.client.state, "connected");
    assert.deepEqual(reasons, ["connect", "connect"]);
  }
});

test("a token that expires on an open connection is replaced, and one that is good is shown again", async () => {
  const { token } = source();
  const w = world({ token });
  await w.accept();
  w.socket.end(1006);
  await w.clock.pass(1000);
  assert.equal(shown(w.socket), "t1");
  await w.accept();
  await w.clock.pass(11000);
  w.socket.say({ type: "heartbeat", data: {} });
  w.socket.end(4009);
  await w.clock.pass(0);
  assert.equal(shown(w.socket), "t2");
});

test("a JSON Web Token that is over is not shown", async () => {
  const tokens = [jwt(1700000000 + 20), jwt(1700000000 + 9999)];
  const reasons = [];
  const w = world({ token: ({ reason }) => (reasons.push(reason), tokens.shift()) });
  await w.accept();
  await w.clock.pass(12000); // 8 s are left
  w.socket.end(1006);
  await w.clock.pass(1000);
  assert.deepEqual(reasons, ["connect", "expired"]);
});

test("tokens that are refused again and again end it; so does a lone token", async () => {
  const w = world({ token: source().token });
  for (let i = 0; i < 3; i++) {
    await settle();
    w.socket.open();
    w.socket.say({ type: "error", data: { code: "token_bad_signature", message: "the signature does not hold" } });
    w.socket.end(4001);
    await w.clock.pass(w.client.nextAttemptIn ?? 0);
  }
  assert.equal(w.client.state, "error");
  assert.equal(w.client.error.code, "token_bad_signature");
  assert.equal(w.sockets.length, 3);
  for (const token of ["fixed", undefined]) {
    const lone = world({ token });
    await settle();
    lone.socket.open();
    lone.socket.end(4001);
    assert.equal(lone.client.state, "error");
  }
});

test("a hub that accepts and expires every token at once is not hammered", async () => {
  const w = world({ token: source().token }, undefined, 1);
  const times = [];
  for (let i = 0; i < 4; i++) {
    await w.accept();
    times.push(w.clock.time);
    w.socket.end(4009);
    await w.clock.pass(w.client.nextAttemptIn);
  }
  assert.deepEqual(times.slice(1).map((time, i) => time - times[i]), [1000, 2000, 4000]);
});

test("a function that fails is told, and asked again after the delay; one that hangs runs out of time", async () => {
  let calls = 0;
  const w = world({ token: () => (calls++ === 0 ? Promise.reject(new Error("no network")) : new Promise(() => {})) });
  await settle();
  assert.equal(w.client.state, "reconnecting");
  assert.equal(w.of("error")[0].code, "token_failed");
  assert.match(w.client.error.message, /no network/);
  await w.clock.pass(500);
  assert.equal(calls, 2);
  await w.clock.pass(10000);
  assert.equal(w.client.error.code, "open_timeout");
});

test("auth_expiring: a new token in band, and again if the function fails", async () => {
  const answers = ["t1", new Error("busy"), "t2"];
  const reasons = [];
  const token = ({ reason }) => {
    reasons.push(reason);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const w = world({ token });
  await w.accept();
  w.socket.say({ type: "auth_expiring", data: { in: 30 } });
  await settle();
  assert.deepEqual(w.socket.messages("auth"), []);
  assert.equal(w.of("error")[0].code, "token_failed");
  await w.clock.pass(5000);
  assert.deepEqual(w.socket.messages("auth"), [{ type: "auth", id: "renew", data: { token: "t2" } }]);
  assert.deepEqual(reasons, ["connect", "expiring", "expiring"]);
  w.socket.end(1006);
  await w.clock.pass(1000);
  assert.equal(shown(w.socket), "t2");
});

test("who needs a new token at the same time waits for the same one", async () => {
  const { token, reasons } = source();
  const tokens = new Tokens(async (why) => token(why), () => 0);
  assert.deepEqual(await Promise.all([tokens.renew("expiring"), tokens.get(), tokens.renew("expiring")]), ["t1", "t1", "t1"]);
  assert.equal(await tokens.renew("expiring"), "t2");
  assert.deepEqual(reasons, ["expiring", "expiring"]);
});

test("without a function the application renews by itself", async () => {
  const w = world({ token: "old" });
  await w.accept();
  w.socket.say({ type: "auth_expiring", data: { in: 30 } });
  assert.equal(w.of("auth_expiring")[0].data.in, 30);
  w.client.authenticate("new");
  assert.equal(w.socket.messages("auth")[0].data.token, "new");
});
