// SPDX-License-Identifier: Apache-2.0
// The client: what an application sees.

import { byteLength } from "./bytes.js";
import { browser, PageEvents, Timers } from "./environment.js";
import { PulseWSError } from "./errors.js";
import { Failover } from "./failover.js";
import { Keeper } from "./keeper.js";
import { parseMessage } from "./messages.js";
import { complete } from "./options.js";
import { SendQueue } from "./queue.js";
import { canShare, reportOf, revived, Sharing } from "./sharing.js";
import { Subscriptions } from "./subscriptions.js";

const DRAIN_AGAIN = 50;

/** Messages of the hub itself that are events of the same name. */
const HUB_TYPES = new Set(["auth", "auth_expiring", "feed", "heartbeat", "pong", "unsubscribed", "welcome"]);
/** Other events. A message of such a type is event `message` alone. */
const OWN_EVENTS = new Set([
  ...HUB_TYPES, "close", "drop", "error", "failover", "gap", "latency", "message", "ready", "snapshot", "state", "subscribed",
  "topic_state",
]);

export class PulseWS extends EventTarget {
  #types = new Set(); // of events that somebody has listened to
  #counts = { messages: 0, bytes: 0, sent: 0, connections: 0, gaps: 0, skipped: 0, dropped: 0, failovers: 0 };
  #acceptedAt = null;
  #upBefore = 0;
  #nextAttemptAt = null;
  #seen = null; // with option `share`: what the tab that has the connection has told

  /** `url`: the address of a hub, or several in the order of preference; relative ones belong to the page. */
  constructor(url, options = {}) {
    super();
    this.options = complete(options);
    const urls = Array.isArray(url) ? [...url] : [url];
    if (urls.length === 0) throw new TypeError("PulseWS needs the address of a hub");
    const environment = (this.environment = this.options.environment ?? browser());
    this.timers = new Timers(environment);
    this.page = new PageEvents(environment, (reason) => this.#act("wake", reason));
    this.queue = new SendQueue(this.options, (data, cause) => this.#dropped(data, cause));
    this.subscriptions = new Subscriptions(this.options, {
      tell: (message) => this.keeper.tell(message),
      subscribed: (message) => {
        if (this.#wants(message)) this.#emit("subscribed", message);
        this.sharing?.subscribed(message);
      },
      published: (message) => this.#wants(message) && this.#published(message),
      gap: (gap) => this.#wants(gap) && this.#gap(gap),
      snapshot: (message, items) => this.#wants(message) && this.#emit("snapshot", { ...message, items }),
      state: (message) => this.#wants(message) && this.#emit("topic_state", message),
      call: (run, argument) => this.#call(run, argument),
    });
    this.failover = new Failover(this.options.fallback, {
      changed: (change) => this.#failedOver(change),
      message: (message) => this.#fromFallback(message),
      failed: (error) => this.#failed(new PulseWSError("fallback_failed", error.message, { cause: error })),
    });
    this.keeper = new Keeper(urls, this.options, environment, {
      changed: (change) => this.#changed(change),
      opened: () => this.subscriptions.opened(),
      ready: () => this.#ready(),
      parse: (data) => this.#parse(data),
      received: (message, data) => this.#received(message, data),
      ended: (close) => this.#ended(close),
      failed: (error) => this.#failed(error),
      pinged: (latency) => this.#pinged({ latency, ...this.keeper.pulse.latency.summary() }),
      allFailed: (error) => this.failover.start(error.message),
    });
    this.sharing = this.options.share && canShare(environment) ? this.#share(urls) : null;
    /** Whoever holds the listeners of this tab. */
    this.topics = this.sharing ?? this.subscriptions;
    if (this.options.autoConnect) this.connect();
  }

  // ---- state

  /** One of STATES. */
  get state() {
    return this.#seen?.state ?? this.keeper.state;
  }

  get isConnected() {
    return this.state === "connected";
  }

  /** The address in use or tried last, without its query; empty before the first attempt. */
  get url() {
    return this.#seen?.url ?? this.keeper.url;
  }

  /** Why it is not connected: the last failure, or null. */
  get error() {
    return this.#seen === null ? this.keeper.error : this.#seen.error;
  }

  /** The last round trip in milliseconds, or null. */
  get latency() {
    return this.#seen === null ? this.keeper.pulse.latency.last : this.#seen.latency.last;
  }

  /** The feed of option `fallback` is in use. */
  get isFailover() {
    return this.#seen?.isFailover ?? this.failover.isActive;
  }

  /** Milliseconds until the next attempt; null if none waits. */
  get nextAttemptIn() {
    return this.#nextAttemptAt === null ? null : Math.max(0, this.#nextAttemptAt - this.environment.now());
  }

  // ---- connection

  connect() {
    this.page.start();
    if (this.sharing) this.sharing.start();
    else this.keeper.start();
  }

  /** A new connection at once, whatever the state. */
  reconnect() {
    this.page.start();
    if (this.sharing?.role === "none") this.sharing.start();
    else this.#act("reconnect");
  }

  /** Ends the connection and all trying; timers and listeners of the page go. `connect` begins again, where topics were. */
  close(code = 1000, reason = "") {
    this.page.stop();
    this.sharing?.stop();
    if (this.#seen !== null) this.#see(null);
    this.keeper.stop(code, reason);
    this.failover.stop("closed");
    this.queue.clear();
    this.timers.clearAll();
  }

  /** Shows a new token on the open connection, and on later ones where no function gives one. */
  authenticate(token) {
    this.#act("authenticate", token);
  }

  /** What is done where the connection is: here, or in the tab that keeps it for all. */
  #act(what, argument) {
    if (this.sharing?.role === "follower") this.sharing.ask(what, argument);
    else if (what === "send") this.send(argument);
    else this.keeper[what](argument);
  }

  // ---- topics

  /**
   * Subscribes to a topic, or to several, on this and every later connection. `listener` gets each published message, those
   * of a snapshot included (`message.snapshot`). Returns what ends it: `{ topics, close() }`.
   */
  subscribe(topics, listener, { history = 0, onGap, onState, onError, signal } = {}) {
    if (typeof listener === "object" && listener !== null) return this.subscribe(topics, undefined, listener);
    if (this.options.plain && listener) {
      throw new TypeError("a message of a plain route does not say its topic: listen to event message");
    }
    const names = Array.isArray(topics) ? [...topics] : [topics];
    const places = names.map((topic) => [topic, { message: listener, gap: onGap, state: onState, error: onError, floor: -1 }]);
    const close = () => {
      for (const [topic, place] of places) this.topics.remove(topic, place);
    };
    if (!signal?.aborted) {
      for (const [topic, place] of places) this.topics.add(topic, place, history);
      signal?.addEventListener("abort", close, { once: true });
    }
    return { topics: names, close };
  }

  /** Ends all subscriptions to a topic, or to several. */
  unsubscribe(topics) {
    for (const topic of Array.isArray(topics) ? topics : [topics]) this.topics.removeAll(topic);
  }

  // ---- sending

  /**
   * Sends to the application of the hub: text, binary data, or an object as JSON. Without a connection it waits, as far as the
   * queue takes it and at most `ttl` milliseconds; with `liveOnly` it does not wait. True: it is sent, or waits.
   */
  send(data, { liveOnly = false, ttl = Infinity } = {}) {
    const isData = typeof data === "string" || data instanceof ArrayBuffer || ArrayBuffer.isView(data);
    const payload = isData ? data : JSON.stringify(data);
    const { queue } = this;
    if (queue.length === 0 && this.#canSend) {
      this.#send(payload);
      return true;
    }
    if (liveOnly || !queue.push(payload, this.environment.now(), ttl)) {
      this.#dropped(payload, liveOnly ? "not_live" : "refused");
      return false;
    }
    this.#drain();
    return true;
  }

  get #canSend() {
    if (this.#seen !== null) return this.isConnected;
    return this.keeper.isReady && this.keeper.transport.buffered < this.options.queueBytes;
  }

  #send(payload) {
    if (this.#seen !== null) this.sharing.ask("send", payload);
    else this.keeper.send(payload);
    this.#counts.sent += 1;
  }

  /** What waits goes out, as far as the socket takes it. */
  #drain() {
    const { keeper, queue, environment } = this;
    while (queue.length > 0 && this.#canSend) {
      const payload = queue.take(environment.now());
      if (payload !== undefined) this.#send(payload);
    }
    if (queue.length === 0) return this.timers.clear("drain");
    const again = keeper.isReady ? DRAIN_AGAIN : queue.nextExpiry() - environment.now();
    if (again === Infinity) return this.timers.clear("drain");
    this.timers.set("drain", again, () => {
      queue.expire(environment.now());
      this.#drain();
    });
  }

  #dropped(data, cause) {
    this.#counts.dropped += 1;
    const detail = { cause, data, dropped: this.#counts.dropped };
    this.#emit("drop", detail);
    this.sharing?.dropped(detail);
  }

  // ---- statistics

  /** Counts since the client was made; times in milliseconds. */
  statistics() {
    const now = this.environment.now();
    const uptime = this.#acceptedAt === null ? 0 : now - this.#acceptedAt;
    return {
      ...this.#counts,
      reconnects: Math.max(0, this.#counts.connections - 1),
      attempts: this.keeper.backoff.isStable(now) ? 0 : this.keeper.backoff.failures,
      discarded: this.subscriptions.discarded,
      subscriptions: this.sharing?.topicCount ?? this.subscriptions.entries.size,
      queued: this.queue.length,
      queuedBytes: this.queue.bytes,
      latency: this.#seen?.latency ?? this.keeper.pulse.latency.summary(),
      clockOffset: this.#seen === null ? this.keeper.pulse.clockOffset : this.#seen.clockOffset,
      uptime,
      uptimeTotal: this.#upBefore + uptime,
    };
  }

  // ---- what the keeper tells

  #changed(change) {
    this.#nextAttemptAt = change.delay === undefined ? null : this.environment.now() + change.delay;
    this.#emit("state", { attempt: 0, delay: null, error: this.error, ...change });
    this.sharing?.report();
  }

  #pinged(summary) {
    this.#emit("latency", summary);
    this.sharing?.report();
  }

  #ready() {
    this.#counts.connections += 1;
    this.#acceptedAt = this.environment.now();
    this.failover.stop("a hub is there again");
    this.#emit("ready", { url: this.url });
    this.#drain();
  }

  #ended(close) {
    if (this.#acceptedAt !== null) this.#upBefore += this.environment.now() - this.#acceptedAt;
    this.#acceptedAt = null;
    this.subscriptions.ended();
    this.#emit("close", close);
  }

  #failed(error) {
    this.#emit("error", error);
  }

  #parse(data) {
    return typeof data === "string" ? parseMessage(data, this.options.numbers === "text", this.options.plain) : null;
  }

  #received(message, data) {
    this.#counts.messages += 1;
    this.#counts.bytes += byteLength(data);
    if (message === null) {
      const isOfTopic = !this.options.plain && this.subscriptions.takeBinary(data);
      if (!isOfTopic) this.#published({ type: "binary", data: new Uint8Array(data), snapshot: false });
    } else if (this.options.plain || !this.subscriptions.take(message, data)) {
      this.#fromHub(message);
    }
  }

  /** A message of the hub itself, or of its application to us alone; on plain routes any. */
  #fromHub(message) {
    const { type, data, topic } = message;
    if (type === "error") {
      const error = new PulseWSError(data?.code ?? "error", data?.message ?? "", { details: data?.details });
      this.#emit("error", topic === undefined ? error : Object.assign(error, { topic }));
    } else if (HUB_TYPES.has(type)) {
      if (type === "feed") this.sharing?.announced(message);
      this.#emit(type, message);
    } else {
      this.#published(message);
    }
  }

  #published(message) {
    if (message.skipped !== undefined) this.#counts.skipped += message.skipped;
    this.#emit("message", message);
    if (!OWN_EVENTS.has(message.type)) this.#emit(message.type, message);
  }

  #gap(gap) {
    this.#counts.gaps += 1;
    this.#emit("gap", gap);
  }

  // ---- the feed of the application

  #failedOver(change) {
    if (change.active) this.#counts.failovers += 1;
    this.#emit("failover", change);
    this.sharing?.report();
  }

  #fromFallback(given) {
    const message = { type: "message", snapshot: false, ...given, source: "fallback" };
    for (const listener of this.subscriptions.entries.get(message.topic)?.listeners ?? []) this.#call(listener.message, message);
    if (message.topic === undefined || this.#wants(message)) this.#published(message);
  }

  // ---- one connection for all tabs

  #share(urls) {
    const name = this.options.share === true ? urls.map(String).join(" ") : this.options.share;
    return new Sharing(name, this.environment, this.timers, this.subscriptions, {
      lead: () => {
        this.#seen = null;
        this.keeper.start();
      },
      report: () => reportOf(this),
      asked: (what, argument) => this.#act(what, argument),
      status: (status) => this.#see(status),
      dropped: (data) => this.#dropped(data, "tab_gone"),
      published: (message) => {
        this.#counts.messages += 1;
        this.#published(message);
      },
      gap: (gap) => this.#gap(gap),
      event: (type, detail) => this.#emit(type, detail),
      call: (run, argument) => this.#call(run, argument),
      failed: (error) => this.#failed(new PulseWSError("share_failed", error.message, { cause: error })),
    });
  }

  /** The connection of another tab, or null when it is none of ours any more. */
  #see(status) {
    const from = this.state;
    const wasReady = this.isConnected && this.#seen !== null;
    const { latency, isFailover } = this;
    this.#seen = status === null ? null : { ...status, error: revived(status.error) };
    const wait = status?.nextAttemptIn ?? null;
    this.#nextAttemptAt = wait === null ? null : this.environment.now() + wait;
    const { state: to, error } = this;
    if (from !== to) this.#emit("state", { from, to, trigger: "shared", attempt: 0, delay: this.nextAttemptIn, error });
    if (!this.isConnected) this.#acceptedAt = null;
    else if (!wasReady) this.#ready();
    if (this.isFailover !== isFailover) this.#failedOver({ active: !isFailover, cause: error?.message ?? "a hub is there again" });
    if (status !== null && this.latency !== latency) this.#emit("latency", { latency: this.latency, ...status.latency });
  }

  /** Of the messages for all tabs those that this one has asked for. */
  #wants({ topic }) {
    return !this.sharing?.isLeader || this.sharing.wants(topic) || this.subscriptions.entries.get(topic)?.listeners.size === 0;
  }

  // ---- events

  addEventListener(type, ...more) {
    this.#types.add(type);
    super.addEventListener(type, ...more);
  }

  #emit(type, detail) {
    if (this.#types.has(type)) this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** A callback of the application: what it throws is its own, and disturbs neither the topic nor the others. */
  #call(run, argument) {
    if (run === undefined) return;
    try {
      run(argument);
    } catch (error) {
      this.environment.setTimeout(() => {
        throw error; // reported as any uncaught error of the page
      }, 0);
    }
  }
}
