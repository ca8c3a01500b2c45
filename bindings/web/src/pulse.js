// SPDX-License-Identifier: Apache-2.0
// Pings on an open connection: whether it lives, and how long a round trip takes.

import { Heartbeat } from "./heartbeat.js";
import { Latency } from "./latency.js";

const MOST_OPEN = 8; // pings without an answer that are remembered

/** Hooks: `send(message)`, `measured(latency)`, `dead()`. */
export class Pulse {
  constructor(options, environment, timers, hooks) {
    this.heartbeat = new Heartbeat(options);
    this.latency = new Latency();
    this.environment = environment;
    this.timers = timers;
    this.hooks = hooks;
    this.sent = new Map(); // id -> when
    this.nextId = 1;
    this.clockOffset = null; // the hub's clock minus ours, in milliseconds
    this.bestTrip = Infinity;
  }

  start() {
    this.heartbeat.start(this.environment.now());
    this.#ping();
  }

  stop() {
    this.heartbeat.stop();
    this.timers.clear("beat");
    this.sent.clear();
    this.bestTrip = Infinity;
  }

  probe(timeout) {
    this.heartbeat.probe(this.environment.now(), timeout);
    this.#ping();
  }

  heard() {
    this.heartbeat.heard(this.environment.now());
    this.#schedule();
  }

  answered({ id, data }) {
    const sent = this.sent.get(id);
    if (sent === undefined) return; // a ping of the application
    this.sent.delete(id);
    const trip = this.environment.now() - sent;
    this.latency.add(trip);
    if (typeof data?.time === "number" && trip <= this.bestTrip) {
      this.bestTrip = trip;
      this.clockOffset = data.time + trip / 2 - this.environment.wallClock();
    }
    this.hooks.measured(trip);
  }

  #ping() {
    const id = `pulse-${this.nextId++}`;
    this.sent.set(id, this.environment.now());
    if (this.sent.size > MOST_OPEN) this.sent.delete(this.sent.keys().next().value);
    this.hooks.send({ type: "ping", id, data: { sent: this.environment.wallClock() } });
    this.#schedule();
  }

  #schedule() {
    if (!this.heartbeat.isRunning) return;
    if (this.scheduledFor === this.heartbeat.dueAt && this.timers.has("beat")) return;
    this.scheduledFor = this.heartbeat.dueAt;
    this.timers.set("beat", this.heartbeat.dueAt - this.environment.now(), () => this.#tick());
  }

  #tick() {
    const verdict = this.heartbeat.tick(this.environment.now());
    if (verdict === "ping") this.#ping();
    else if (verdict === "dead") this.hooks.dead();
    else this.#schedule(); // a timer may fire a little early
  }
}
