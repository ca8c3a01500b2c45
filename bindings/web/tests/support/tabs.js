// SPDX-License-Identifier: Apache-2.0
// Several tabs of one browser: Web Locks and BroadcastChannel between worlds of fakes.js.

import { FakeSocket, settle, world } from "./fakes.js";

export class FakeBrowser {
  #locks = new Map(); // name: those who wait; the first one holds it
  #channels = new Set();
  sockets = [];
  tabs = [];

  /** A tab with a client that shares. */
  open(options = {}) {
    const owner = { isAlive: true };
    const browser = this;
    class Channel {
      constructor(name) {
        Object.assign(this, { name, owner });
        browser.#channels.add(this);
      }

      postMessage(message) {
        if (!browser.#channels.has(this)) throw new Error("closed");
        const text = structuredClone(message);
        for (const channel of browser.#channels) {
          if (channel === this || channel.name !== this.name) continue;
          queueMicrotask(() => browser.#channels.has(channel) && channel.onmessage?.({ data: structuredClone(text) }));
        }
      }

      close() {
        browser.#channels.delete(this);
      }
    }
    const locks = { request: (name, { signal }, take) => this.#request(name, signal, take, owner) };
    const more = { BroadcastChannel: Channel, navigator: { locks } };
    const tab = world({ share: true, ...options }, undefined, (this.tabs.length + 1) / 64, more);
    FakeSocket.made = this.sockets; // of all tabs
    const { client } = tab;
    Object.assign(tab, { owner, crash: () => this.#crash(owner, client) });
    this.tabs.push(tab);
    return tab;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  #request(name, signal, take, owner) {
    return new Promise((resolve, reject) => {
      const waiter = { owner, run: () => Promise.resolve(take()).then(resolve, reject).then(() => this.#release(name, waiter)) };
      if (!this.#locks.has(name)) this.#locks.set(name, []);
      const queue = this.#locks.get(name);
      queue.push(waiter);
      signal.addEventListener("abort", () => {
        if (queue.indexOf(waiter) <= 0) return;
        queue.splice(queue.indexOf(waiter), 1);
        reject(new Error("aborted"));
      });
      if (queue[0] === waiter) queueMicrotask(() => waiter.run());
    });
  }

  #release(name, waiter) {
    const queue = this.#locks.get(name);
    const wasFirst = queue[0] === waiter;
    if (queue.includes(waiter)) queue.splice(queue.indexOf(waiter), 1);
    if (wasFirst && queue.length > 0) queueMicrotask(() => queue[0]?.run());
  }

  /** A tab ends without a word. */
  #crash(owner, client) {
    for (const channel of [...this.#channels]) if (channel.owner === owner) channel.close();
    client.sharing.role = "none"; // nothing of it runs any more
    for (const [name, queue] of this.#locks) for (const waiter of [...queue]) if (waiter.owner === owner) this.#release(name, waiter);
  }

  /** Time passes in all tabs. */
  async pass(span) {
    for (const tab of this.tabs) await tab.clock.pass(span);
    await settle();
  }
}
