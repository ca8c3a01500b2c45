// SPDX-License-Identifier: Apache-2.0
// One connection for all tabs of a site: the tab that holds a lock keeps it, the others are served over a BroadcastChannel.

import { PulseWSError } from "./errors.js";
import { Published } from "./messages.js";

const CENSUS = 150; // ms that a new leader waits for the places of the other tabs, once

/** Whether the browser can: Web Locks need a secure context. */
export function canShare({ navigator, BroadcastChannel }) {
  return Boolean(navigator?.locks && BroadcastChannel);
}

/** What other tabs see of the connection, in a form that can be posted. */
export function reportOf(client) {
  const { state, url, error, isFailover, nextAttemptIn } = client;
  const { latency, clockOffset } = client.statistics();
  const told = error && { code: error.code, message: error.message, closeCode: error.closeCode, details: error.details };
  return { state, url, isFailover, nextAttemptIn, latency, clockOffset, error: told };
}

/** The error of a report. */
export function revived(error) {
  return error && new PulseWSError(error.code, error.message, error);
}

/**
 * Each tab has its listeners here. The leader adds those of all tabs to its own subscriptions, so that newcomers, places and
 * gaps are what they are within one tab. A tab that ends or crashes gives its lock back, and with it its place as leader or its
 * listeners.
 *
 * Hooks of the leader: `lead()`: this tab keeps the connection from now on; `report()`: what the other tabs see of it;
 * `asked(what, argument)`: another tab wants to `send`, `reconnect`, `wake` or `authenticate`. Of the others:
 * `status(status)`: the leader's report; `dropped(data)`: what was sent may be lost; `published(message)`, `gap(gap)`,
 * `event(type, detail)`; `call(run, argument)` for callbacks. Of both: `failed(error)`.
 */
export class Sharing {
  constructor(name, environment, timers, subscriptions, hooks) {
    Object.assign(this, { name, environment, timers, subscriptions, hooks });
    this.tab = `${environment.wallClock().toString(36)}-${Math.floor(environment.random() * 2 ** 40).toString(36)}`;
    this.locals = new Map(); // number: { topic, history, listener, place }
    this.wanted = new Map(); // topic: how many of them
    this.epochs = new Map(); // of topics, as the leader tells them
    this.remotes = new Map(); // of the leader, by tab: listeners by number
    this.unsettled = new Map(); // sent by way of the leader, which has not said yet that it has them
    this.nextNumber = 1;
    this.role = "none"; // then "follower", then "leader"
    this.hasLeader = false;
    this.batch = null;
  }

  get isLeader() {
    return this.role === "leader";
  }

  // ---- life

  start() {
    if (this.role !== "none") return;
    this.role = "follower";
    const { BroadcastChannel, navigator } = this.environment;
    const abort = (this.abort = new AbortController());
    this.channel = new BroadcastChannel(`pulsews:${this.name}`);
    this.channel.onmessage = ({ data }) => this.#received(data);
    this.#hold(navigator.locks, this.#tabLock(this.tab), abort, () => {
      this.#post({ kind: "hello" }); // a leader reports
      this.#hold(navigator.locks, `pulsews:${this.name}`, abort, () => this.#lead());
    });
  }

  #tabLock(tab) {
    return `pulsews:${this.name}:${tab}`;
  }

  /** Waits for a lock, and keeps it until `stop`. */
  #hold(locks, lock, abort, run) {
    const held = new Promise((done) => abort.signal.addEventListener("abort", done, { once: true }));
    const take = () => {
      if (abort.signal.aborted) return undefined;
      run();
      return held;
    };
    locks.request(lock, { signal: abort.signal }, take).catch((error) => {
      if (!abort.signal.aborted) this.hooks.failed(error);
    });
  }

  stop() {
    if (this.role === "none") return;
    this.#flush();
    for (const local of this.locals.values()) {
      const cursor = this.isLeader ? this.subscriptions.entries.get(local.topic)?.cursor : null;
      if (cursor?.epoch) local.place = { epoch: cursor.epoch, offset: cursor.offset };
      if (this.isLeader) this.subscriptions.remove(local.topic, local.listener);
    }
    for (const tab of [...this.remotes.keys()]) this.#forget(tab);
    this.#unsettle();
    this.role = "none";
    this.hasLeader = false;
    this.abort.abort();
    this.channel.close();
  }

  // ---- listeners of this tab

  add(topic, listener, history) {
    const number = this.nextNumber++;
    const local = { topic, history, listener, place: null };
    this.locals.set(number, local);
    this.wanted.set(topic, (this.wanted.get(topic) ?? 0) + 1);
    if (this.isLeader) this.subscriptions.add(topic, listener, history);
    else if (this.hasLeader) this.#ask(number, local);
  }

  remove(topic, listener) {
    for (const [number, local] of this.locals) {
      if (local.topic !== topic || local.listener !== listener) continue;
      this.locals.delete(number);
      if (this.wanted.get(topic) > 1) this.wanted.set(topic, this.wanted.get(topic) - 1);
      else this.wanted.delete(topic);
      if (this.isLeader) this.subscriptions.remove(topic, listener);
      else this.#post({ kind: "remove", number });
    }
  }

  removeAll(topic) {
    for (const local of [...this.locals.values()]) if (local.topic === topic) this.remove(topic, local.listener);
  }

  #ask(number, { topic, history, place }) {
    this.#post({ kind: "add", number, topic, history, place });
  }

  /** Whether a listener of this tab wants the topic. */
  wants(topic) {
    return this.wanted.has(topic);
  }

  get topicCount() {
    return this.wanted.size;
  }

  /** Asks the leader to do something. */
  ask(what, argument) {
    const number = this.nextNumber++;
    if (what === "send") this.unsettled.set(number, argument);
    this.#post({ kind: "ask", what, argument, number });
  }

  /** Another leader: nobody knows whether the last one had sent these. */
  #unsettle() {
    const lost = [...this.unsettled.values()];
    this.unsettled.clear();
    for (const data of lost) this.hooks.dropped(data);
  }

  /** Of the leader: how it is, to all. */
  report() {
    if (!this.isLeader) return;
    this.#flush();
    this.#post({ kind: "status", status: this.hooks.report() });
  }

  /** Of the leader: where a topic stands, to all. */
  subscribed(message) {
    if (!this.isLeader) return;
    this.#flush();
    this.#post({ kind: "subscribed", message });
  }

  /** Of the leader: a message of whichever tab that will not leave, to all. */
  dropped(detail) {
    if (this.isLeader) this.#post({ kind: "drop", detail });
  }

  /** Of the leader: what the hub tells everybody of its feeds, to all. */
  announced(message) {
    if (!this.isLeader) return;
    this.#flush();
    this.#post({ kind: "feed", message });
  }

  // ---- the leader

  #lead() {
    this.role = "leader";
    this.#unsettle();
    this.#post({ kind: "leader" }); // the others say where they are
    this.timers.set("census", CENSUS, () => {
      for (const { topic, listener, history, place } of this.locals.values()) this.subscriptions.add(topic, listener, history, place);
      this.hooks.lead();
      this.report();
    });
  }

  #adopt(tab, { number, topic, history, place }) {
    if (!this.remotes.has(tab)) {
      this.remotes.set(tab, new Map());
      // Its lock is free when it has gone, however it went.
      const options = { signal: this.abort.signal };
      this.environment.navigator.locks.request(this.#tabLock(tab), options, () => this.#forget(tab)).catch((error) => {
        if (this.role !== "none") this.hooks.failed(error);
      });
    }
    const listeners = this.remotes.get(tab);
    if (listeners.has(number)) return;
    const post = (kind) => (payload) => this.#collect(tab, number, kind, payload);
    const listener = { floor: -1, message: post("message"), gap: post("gap"), state: post("state"), error: post("error") };
    listeners.set(number, { topic, listener });
    this.subscriptions.add(topic, listener, history, place);
    const cursor = this.subscriptions.entries.get(topic)?.cursor;
    if (place === null && cursor?.isLive) this.#post({ kind: "place", to: tab, number, epoch: cursor.epoch, offset: cursor.offset });
  }

  #drop(tab, number) {
    const remote = this.remotes.get(tab)?.get(number);
    if (!remote) return;
    this.remotes.get(tab).delete(number);
    this.subscriptions.remove(remote.topic, remote.listener);
  }

  #forget(tab) {
    for (const number of [...(this.remotes.get(tab)?.keys() ?? [])]) this.#drop(tab, number);
    this.remotes.delete(tab);
  }

  /** What several listeners get goes out once. */
  #collect(tab, number, kind, payload) {
    if (this.batch?.payload !== payload || this.batch.kind !== kind) {
      this.#flush();
      this.batch = { kind, payload, to: [] };
      queueMicrotask(() => this.#flush());
    }
    this.batch.to.push([tab, number]);
  }

  #flush() {
    if (this.batch === null) return;
    const { kind, payload, to } = this.batch;
    this.batch = null;
    if (payload instanceof Published) this.#post({ kind, to, payload: payload.parts() });
    else this.#post({ kind: kind === "message" ? "fallback" : kind, to, payload });
  }

  #post(message) {
    this.channel.postMessage({ ...message, tab: this.tab });
  }

  // ---- what comes over the channel

  #received(message) {
    if (this.role === "none") return;
    const { kind, tab } = message;
    if (this.isLeader) {
      if (kind === "hello") this.report();
      else if (kind === "add") this.#adopt(tab, message);
      else if (kind === "remove") this.#drop(tab, message.number);
      else if (kind === "ask") this.#asked(message);
    } else if (kind === "leader" || kind === "status") {
      if (kind === "leader") this.#unsettle();
      if (kind === "leader" || !this.hasLeader) {
        this.hasLeader = true;
        for (const [number, local] of this.locals) this.#ask(number, local);
      }
      if (kind === "status") this.hooks.status(message.status);
    } else {
      this.#served(message);
    }
  }

  #asked({ what, argument, number, tab }) {
    if (what === "send") this.#post({ kind: "done", to: tab, number });
    this.hooks.asked(what, argument);
  }

  #served({ kind, to, number, epoch, offset, payload, detail, message }) {
    if (kind === "place" && to === this.tab) {
      const local = this.locals.get(number);
      if (!local) return;
      this.epochs.set(local.topic, epoch);
      local.place ??= { epoch, offset };
    } else if (kind === "done" && to === this.tab) {
      this.unsettled.delete(number);
    } else if (kind === "drop") {
      this.hooks.event("drop", detail);
    } else if (kind === "feed") {
      this.hooks.event("feed", message);
    } else if (kind === "subscribed") {
      this.#placed(message);
    } else if (Array.isArray(to)) {
      const mine = to.filter(([tab]) => tab === this.tab).map(([, one]) => this.locals.get(one)).filter(Boolean);
      if (mine.length > 0) this.#give(kind, payload, mine);
    }
  }

  #placed(message) {
    const { topic, epoch, offset, recovered } = message;
    this.epochs.set(topic, epoch);
    if (!this.wants(topic)) return;
    for (const local of this.locals.values()) {
      // What is not recovered is told by a gap; what is, follows as messages.
      if (local.topic === topic && !recovered) local.place = { epoch, offset };
    }
    this.hooks.event("subscribed", message);
  }

  #give(kind, payload, mine) {
    const last = kind === "message" ? payload.envelope.o : kind === "gap" ? payload.to : null;
    if (last !== null) {
      for (const local of mine) {
        local.place ??= { epoch: this.epochs.get(local.topic), offset: 0 };
        local.place.offset = Math.max(local.place.offset, last);
      }
    }
    if (kind === "message") {
      const { envelope, topic, json, snapshot } = payload;
      const made = new Published(envelope, topic, json, snapshot);
      for (const { listener } of mine) this.hooks.call(listener.message, made);
      if (!snapshot) this.hooks.published(made);
    } else if (kind === "fallback") {
      for (const { listener } of mine) this.hooks.call(listener.message, payload);
      this.hooks.published(payload);
    } else {
      for (const { listener } of mine) this.hooks.call(listener[kind], payload);
      if (kind === "gap") this.hooks.gap(payload);
      if (kind === "state") this.hooks.event("topic_state", payload);
    }
  }
}
