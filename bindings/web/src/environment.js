// SPDX-License-Identifier: Apache-2.0
// What the browser gives: clock, timers, sockets, and the events of the page.

/** The real one. Tests give another as option `environment`. */
export function browser() {
  return {
    now: () => performance.now(),
    wallClock: () => Date.now(),
    random: () => Math.random(),
    setTimeout: (run, delay) => globalThis.setTimeout(run, delay),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
    WebSocket: globalThis.WebSocket,
    document: globalThis.document,
    window: globalThis.window,
    navigator: globalThis.navigator,
    location: globalThis.location,
    BroadcastChannel: globalThis.BroadcastChannel,
  };
}

/** Timers by name, one of each. */
export class Timers {
  #running = new Map();

  constructor(environment) {
    this.environment = environment;
  }

  set(name, delay, run) {
    this.clear(name);
    const timer = this.environment.setTimeout(() => {
      this.#running.delete(name);
      run();
    }, Math.max(0, delay));
    this.#running.set(name, timer);
  }

  has(name) {
    return this.#running.has(name);
  }

  clear(name) {
    if (!this.#running.has(name)) return;
    this.environment.clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }

  clearAll() {
    for (const name of [...this.#running.keys()]) this.clear(name);
  }
}

/** Tells `wake(reason)` when something says that the line may have died, or be there again. */
export class PageEvents {
  #listeners = [];

  constructor(environment, wake) {
    this.environment = environment;
    this.wake = wake;
  }

  start() {
    if (this.#listeners.length > 0) return;
    const { window, document } = this.environment;
    this.#listen(window, "online", () => this.wake("online"));
    this.#listen(window, "offline", () => this.wake("offline"));
    this.#listen(window, "pageshow", (event) => event.persisted && this.wake("pageshow"));
    this.#listen(document, "resume", () => this.wake("resume")); // of the page lifecycle: it was frozen
    this.#listen(document, "visibilitychange", () => document.visibilityState === "visible" && this.wake("visible"));
  }

  #listen(target, type, run) {
    if (!target?.addEventListener) return;
    target.addEventListener(type, run);
    this.#listeners.push(() => target.removeEventListener(type, run));
  }

  stop() {
    for (const remove of this.#listeners.splice(0)) remove();
  }
}
