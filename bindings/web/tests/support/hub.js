// SPDX-License-Identifier: Apache-2.0
// A real hub in a process of its own, and clients of it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

import { PulseWS } from "../../pulsews.js";
import { browser } from "../../src/environment.js";
import "./fakes.js";
import { webSocketOf } from "./websocket.js";

const ORIGIN = "https://app.example";
const SCRIPT = fileURLToPath(new URL("hub.py", import.meta.url));
const PACKAGE = fileURLToPath(new URL("../../../python", import.meta.url));
const PATIENCE = 60000;

// Whatever becomes of the tests of a file, it leaves nothing that runs.
const clients = [];
const hubs = [];
after(async () => {
  for (const client of clients) client.close();
  await Promise.all(hubs.map((hub) => hub.stop()));
});

/** `hub.publish(...)` and the other calls of hub.py are methods that give a promise. */
export async function startHub(settings = {}) {
  const whole = { ...settings, options: { origin: [ORIGIN], ...settings.options } };
  const process_ = spawn(process.env.PYTHON ?? "python3", [SCRIPT, JSON.stringify(whole)], {
    env: { ...process.env, PYTHONPATH: PACKAGE },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: process_.stdout })[Symbol.asyncIterator]();
  const ended = once(process_, "exit");
  const { value, done } = await lines.next();
  if (done) throw new Error("the hub did not start");
  const [address] = JSON.parse(value);
  let last = Promise.resolve();
  const call = (name, ...parameters) => {
    process_.stdin.write(`${JSON.stringify([name, parameters, {}])}\n`);
    last = last.then(async () => JSON.parse((await lines.next()).value));
    return last;
  };
  const hub = {
    address,
    call,
    url: (path = "/ws/stream") => `ws://${address}${path}`,
    async stop() {
      process_.stdin.end();
      await ended;
    },
    async drain() {
      process_.stdin.write('["drain", [], {}]\n');
      await ended;
    },
  };
  hubs.push(hub);
  return hub;
}

/** A client of it with short delays, that remembers its sockets and events. */
export function clientOf(url, options = {}) {
  const sockets = [];
  const Base = webSocketOf(ORIGIN);
  const environment = {
    ...browser(),
    WebSocket: class extends Base {
      constructor(...all) {
        super(...all);
        sockets.push(this);
      }
    },
  };
  const client = new PulseWS(url, { reconnectBaseDelay: 20, reconnectMaxDelay: 200, restartDelay: 50, environment, ...options });
  clients.push(client);
  return { client, sockets, cut: () => sockets.at(-1).cut() };
}

/** The detail of the next event of that kind for which `check` holds; fails after a while. */
export function next(target, type, check = () => true) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${type} came`)), PATIENCE);
    const look = ({ detail }) => {
      if (!check(detail)) return;
      clearTimeout(timer);
      target.removeEventListener(type, look);
      resolve(detail);
    };
    target.addEventListener(type, look);
  });
}

/** What a subscription gives, to be awaited one by one. */
export function inbox(client, topic, options) {
  const waiting = [];
  const takers = [];
  const put = (item) => (takers.length > 0 ? takers.shift()(item) : waiting.push(item));
  const subscription = client.subscribe(topic, put, { onGap: put, ...options });
  return {
    subscription,
    waiting,
    async get() {
      if (waiting.length > 0) return waiting.shift();
      let timer;
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`nothing came of ${topic}`)), PATIENCE);
      });
      return Promise.race([new Promise((done) => takers.push(done)), late]).finally(() => clearTimeout(timer));
    },
  };
}
