// SPDX-License-Identifier: Apache-2.0
// A clock, sockets and a page that do what a test says.

import { PulseWS } from "../../pulsews.js";

globalThis.CustomEvent ??= class extends Event { // node 18 has none
  constructor(type, { detail } = {}) {
    super(type);
    this.detail = detail;
  }
};

export class FakeClock {
  time = 1000;
  timers = new Map();
  next = 1;

  setTimeout = (run, delay) => {
    if (!(delay >= 0 && delay < 2 ** 31)) throw new RangeError(`a timer of ${delay} ms`);
    this.timers.set(this.next, { at: this.time + delay, run });
    return this.next++;
  };

  clearTimeout = (id) => this.timers.delete(id);

  /** Lets time pass, timer by timer, and promises settle in between. */
  async pass(span) {
    const end = this.time + span;
    for (;;) {
      await settle();
      const [id, timer] = [...this.timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (!timer || timer.at > end) break;
      this.time = Math.max(this.time, timer.at);
      this.timers.delete(id);
      timer.run();
    }
    this.time = end;
  }

  /** Time that passes without a timer, as in sleep; what is due comes late, all at once. */
  async freeze(span) {
    this.time += span;
    await this.pass(0);
  }
}

/** Promises settle; each round of the event loop lets all that are ready run. */
export async function settle() {
  for (let i = 0; i < 3; i++) await new Promise((done) => setImmediate(done));
}

export class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  sent = [];
  closedWith = null;

  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    FakeSocket.made.push(this);
  }

  send(data) {
    if (this.readyState !== 1) throw new Error("not open");
    this.sent.push(data);
  }

  close(code, reason) {
    this.closedWith ??= { code, reason };
    this.readyState = 2;
  }

  // ---- of the test: the other side

  messages(type) {
    return this.sent.filter((data) => typeof data === "string").map((text) => JSON.parse(text)).filter((message) => message.type === type);
  }

  open() {
    this.readyState = 1;
    this.onopen?.({});
  }

  say(message) {
    this.onmessage?.({ data: typeof message === "string" || message instanceof ArrayBuffer ? message : JSON.stringify(message) });
  }

  welcome() {
    this.open();
    this.say({ type: "welcome", data: { client: "c-1", hub: "hub", heartbeat: 25, time: "2026-01-01T00:00:00.000Z", resume_window: 120 } });
  }

  /** Answers the last ping. */
  pong(time = 0) {
    const { id, data } = this.messages("ping").at(-1);
    this.say({ type: "pong", id, data: { ...data, time } });
  }

  end(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason, wasClean: code !== 1006 });
  }
}

class FakePage extends EventTarget {
  visibilityState = "visible";
  listeners = 0;

  addEventListener(...all) {
    this.listeners += 1;
    super.addEventListener(...all);
  }

  removeEventListener(...all) {
    this.listeners -= 1;
    super.removeEventListener(...all);
  }

  tell(type, more = {}) {
    this.dispatchEvent(Object.assign(new Event(type), more));
  }
}

/** A client in a world of its own. `random` is what Math.random would give. */
export function world(options = {}, url = "wss://hub.example/ws/stream", random = 0.5, more = {}) {
  FakeSocket.made = [];
  const clock = new FakeClock();
  const window = new FakePage();
  const document = new FakePage();
  const environment = {
    now: () => clock.time,
    wallClock: () => 1700000000000 + clock.time,
    random: () => random,
    setTimeout: clock.setTimeout,
    clearTimeout: clock.clearTimeout,
    WebSocket: FakeSocket,
    window,
    document,
    location: { href: "https://app.example/page" },
    ...more,
  };
  const client = new PulseWS(url, { environment, ...options });
  const events = [];
  for (const type of ALL_EVENTS) client.addEventListener(type, ({ detail }) => events.push({ type, detail }));
  return {
    client,
    clock,
    window,
    document,
    events,
    sockets: FakeSocket.made,
    get socket() {
      return FakeSocket.made.at(-1);
    },
    of: (type) => events.filter((event) => event.type === type).map((event) => event.detail),
    states: () => events.filter(({ type }) => type === "state").map(({ detail }) => detail.to),
    /** Opens the newest socket and lets the hub accept. */
    async accept() {
      await settle();
      this.socket.welcome();
      await settle();
      return this.socket;
    },
  };
}

const ALL_EVENTS = [
  "auth", "auth_expiring", "close", "drop", "error", "failover", "feed", "gap", "heartbeat", "latency", "message", "pong", "ready",
  "snapshot", "state", "subscribed", "topic_state", "unsubscribed", "welcome",
];
