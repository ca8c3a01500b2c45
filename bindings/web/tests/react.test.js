// SPDX-License-Identifier: Apache-2.0
// The React wrapper, with the real React and a renderer without a page.

import assert from "node:assert/strict";
import { mkdtemp, cp, mkdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { componentsFor } from "../react_components.js";
import { FakeSocket, settle, world } from "./support/fakes.js";
import { React, Root } from "./support/react.js";

const { createElement } = React;
const { PulseWSProvider, usePulseWS, useTopic, ConnectionStatus, ConnectionIndicator, ConnectionStatusCard } = componentsFor(React);

/** Draws what the hook gives, and keeps it. */
function watcher() {
  const seen = [];
  return [seen, () => (seen.push(usePulseWS()), null)];
}

test("the hook draws anew when the state changes", async () => {
  const w = world();
  const [seen, Watcher] = watcher();
  const root = new Root();
  root.render(createElement(PulseWSProvider, { client: w.client }, createElement(Watcher)));
  assert.equal(seen.at(-1).state, "connecting");
  await w.accept();
  assert.equal(seen.at(-1).isConnected, true);
  w.socket.end();
  await settle();
  assert.equal(seen.at(-1).state, "reconnecting");
  assert.equal(seen.at(-1).error.code, "connection_lost");
  seen.at(-1).reconnect();
  await settle();
  assert.equal(w.sockets.length, 2);
  root.unmount();
  assert.equal(w.client.state, "reconnecting"); // it is the page's
});

test("a provider makes a client, gives it on, and closes it when it goes or the address changes", async () => {
  const { client: model } = world({ autoConnect: false });
  const options = { environment: model.environment };
  FakeSocket.made = [];
  const [seen, Watcher] = watcher();
  const root = new Root();
  const tree = (url) => createElement(PulseWSProvider, { url, options: { ...options } }, createElement(Watcher));
  root.render(tree("/a"));
  assert.equal(seen[0].client, null); // as on a server
  await settle();
  root.render(tree("/a"));
  await settle();
  assert.equal(FakeSocket.made.length, 1);
  const first = seen.at(-1).client;
  root.render(tree("/b"));
  await settle();
  assert.equal(first.state, "disconnected");
  assert.equal(new URL(FakeSocket.made.at(-1).url).pathname, "/b");
  const second = seen.at(-1).client;
  root.unmount();
  assert.equal(second.state, "disconnected");
});

test("useTopic subscribes while the component is there, and calls the newest listener", async () => {
  const w = world();
  const got = [];
  const Price = ({ name, mark }) => (useTopic(name, (message) => got.push([mark, message.o])), null);
  const root = new Root();
  const tree = (child) => createElement(PulseWSProvider, { client: w.client }, child);
  root.render(tree(createElement(Price, { name: "x", mark: "old" })));
  const socket = await w.accept();
  const [{ id }] = socket.messages("subscribe");
  socket.say({ type: "subscribed", id, topic: "x", epoch: "e", offset: 0, recovered: false, state: "live" });
  root.render(tree(createElement(Price, { name: "x", mark: "new" })));
  socket.say({ type: "t", topic: "x", o: 1, p: 0, data: {} });
  assert.deepEqual(got, [["new", 1]]);
  assert.equal(socket.messages("subscribe").length, 1);
  root.render(tree(createElement(Price, { name: "y", mark: "new" })));
  await settle();
  assert.deepEqual(socket.messages("unsubscribe").map(({ topics }) => topics), [["x"]]);
  assert.deepEqual(socket.messages("subscribe").at(-1).topics, ["y"]);
  root.render(tree(null));
  assert.equal(w.client.statistics().subscriptions, 0);
});

test("components are the elements, with the client of the provider, of a prop, or one for their address", () => {
  const { client } = world({ autoConnect: false });
  const { client: other } = world({ autoConnect: false });
  const root = new Root();
  const labels = { title: "Verbindung" };
  root.render(createElement(PulseWSProvider, { client },
    createElement(ConnectionIndicator, { compact: true, className: "small", id: "a" }),
    createElement(ConnectionStatus, { showDetails: true, client: other, labels }),
    createElement(ConnectionStatusCard, { url: "/ws/stream", theme: "dark" })));
  const [indicator] = root.all("pulsews-indicator");
  assert.equal(indicator.node.client, client);
  assert.equal(indicator.props.compact, true); // what the property takes, and what becomes an attribute
  assert.equal(indicator.props.class, "small");
  assert.equal(indicator.props.id, "a");
  assert.equal(indicator.props["show-details"], undefined);
  const [status] = root.all("pulsews-status");
  assert.equal(status.props.compact, undefined);
  assert.equal(status.node.client, other);
  assert.equal(status.node.labels, labels);
  assert.equal(status.props["show-details"], "");
  assert.equal(status.props.url, undefined);
  const [card] = root.all("pulsews-status-card");
  assert.equal(card.node.client, null);
  assert.equal(card.props.url, "/ws/stream");
  assert.equal(card.props.theme, "dark");
});

test("onReconnect is the newest, and may prevent", () => {
  const calls = [];
  const root = new Root();
  for (const name of ["old", "new"]) {
    const onReconnect = (event) => {
      calls.push(name);
      event.preventDefault();
    };
    root.render(createElement(ConnectionStatus, { onReconnect }));
  }
  const { node } = root.all("pulsews-status")[0];
  assert.equal(node.dispatchEvent(new Event("pulsews-reconnect", { cancelable: true })), false);
  assert.deepEqual(calls, ["new"]);
  root.unmount();
  node.dispatchEvent(new Event("pulsews-reconnect"));
  assert.equal(calls.length, 1);
});

test("react.js takes the React that the page imports", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "pulsews-"));
  t.after(() => rm(folder, { recursive: true }));
  const source = fileURLToPath(new URL("..", import.meta.url));
  for (const name of ["package.json", "react.js", "react_components.js", "components.js", "src"]) {
    await cp(join(source, name), join(folder, name), { recursive: true });
  }
  await mkdir(join(folder, "node_modules"));
  await symlink("/usr/share/nodejs/react", join(folder, "node_modules/react"));
  const module = await import(pathToFileURL(join(folder, "react.js")).href);
  const wanted = ["componentsFor", ...Object.keys(componentsFor(React))];
  assert.deepEqual(Object.keys(module).sort(), wanted.sort());
});
