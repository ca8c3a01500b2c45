// SPDX-License-Identifier: Apache-2.0
// Topics and who listens to them. It sends nothing by itself, and knows no connection but what it is told.

import { byteLength } from "./bytes.js";
import { isPublished, parseBinary, Published, snapshotItems } from "./messages.js";
import { Cursor } from "./resume.js";

const MOST_TOPICS = 256; // of one subscribe: PROTOCOL.md
const MOST_BYTES = 32 << 10; // half of what a hub takes

/** They need not wait any more: what comes from here on is theirs. */
function letIn(listeners) {
  for (const listener of listeners) if (listener.floor === Infinity) listener.floor = -1;
  listeners.clear();
}

class Entry {
  constructor(topic, history) {
    this.cursor = new Cursor(topic, history);
    this.listeners = new Set();
    this.newcomers = new Set(); // listeners that wait for a snapshot
    this.awaiting = new Set(); // those whose snapshot has been asked for
    this.binaryFor = []; // who gets the binary items of a snapshot
    this.isAsked = false; // on this connection
    this.isRefused = false;
    this.givesSnapshots = false;
  }
}

/** In pieces that a hub takes as one message. */
function* batches(wishes) {
  let batch = [];
  let bytes = 0;
  for (const wish of wishes) {
    const size = byteLength(JSON.stringify(wish)) + 1;
    if (batch.length === MOST_TOPICS || (batch.length > 0 && bytes + size > MOST_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(wish);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

/**
 * Hooks: `tell(message)` to the hub; `subscribed(message)`, `published(message)`, `gap(gap)`, `snapshot(message, items)` and
 * `state(message)` for events; `call(run, argument)` for callbacks of the application.
 */
export class Subscriptions {
  constructor(options, hooks) {
    this.areNumbersTexts = options.numbers === "text";
    this.hooks = hooks;
    this.entries = new Map();
    this.numbers = new Map(); // of binary topics, on this connection
    this.asked = new Map(); // id of a request: what for, and how many answers are due
    this.nextId = 1;
    this.isOpen = false;
    this.isDue = false;
    this.discarded = 0; // messages that were not new
  }

  // ---- of the application

  /** `place`: where the listener was, `{ epoch, offset }`, if it comes from another tab. */
  add(topic, listener, history, place = null) {
    let entry = this.entries.get(topic);
    if (!entry) {
      entry = new Entry(topic, history);
      this.entries.set(topic, entry);
      if (place !== null) Object.assign(entry.cursor, place);
    } else if (place !== null) {
      this.#join(entry, listener, place);
    } else if (entry.givesSnapshots || !entry.cursor.isLive) {
      entry.newcomers.add(listener);
      listener.floor = Infinity;
    }
    if (entry.isRefused) entry.isRefused = entry.isAsked = false; // once more
    entry.listeners.add(listener);
    this.#flushSoon();
  }

  /** A listener with a place comes to a topic that has one: all go on from the older, as far as that is possible. */
  #join({ cursor, isAsked }, listener, place) {
    if (cursor.epoch === null && !isAsked) Object.assign(cursor, place);
    if (cursor.epoch !== place.epoch) return; // the gap of the other epoch is told to all
    listener.floor = place.offset;
    if (place.offset >= cursor.offset) return;
    const gap = { type: "gap", topic: cursor.topic, from: place.offset + 1, to: cursor.offset, cause: "missed" };
    if (isAsked) this.hooks.call(listener.gap, gap);
    else cursor.offset = place.offset;
  }

  remove(topic, listener) {
    const entry = this.entries.get(topic);
    if (!entry?.listeners.delete(listener)) return;
    entry.newcomers.delete(listener);
    entry.awaiting.delete(listener);
    if (entry.listeners.size === 0) this.removeAll(topic);
  }

  removeAll(topic) {
    const entry = this.entries.get(topic);
    if (!entry) return;
    this.entries.delete(topic);
    if (entry.cursor.number !== null) this.numbers.delete(entry.cursor.number);
    if (this.isOpen && entry.isAsked) this.hooks.tell({ type: "unsubscribe", topics: [topic] });
  }

  // ---- of the connection

  opened() {
    this.isOpen = true;
    this.#flush();
  }

  ended() {
    this.isOpen = false;
    this.numbers.clear();
    this.asked.clear();
    for (const entry of this.entries.values()) {
      entry.isAsked = false;
      for (const listener of entry.awaiting) entry.newcomers.add(listener);
      entry.awaiting.clear();
      const gap = entry.cursor.ended();
      if (gap !== null) this.#tellGap(entry, gap);
    }
  }

  /** Calls that follow each other make one request. */
  #flushSoon() {
    if (!this.isOpen || this.isDue) return;
    this.isDue = true;
    queueMicrotask(() => {
      this.isDue = false;
      if (this.isOpen) this.#flush();
    });
  }

  #flush() {
    const entries = [...this.entries.values()];
    const fresh = entries.filter((entry) => !entry.isAsked);
    for (const entry of fresh) {
      entry.isAsked = true;
      entry.isRefused = false;
    }
    const late = entries.filter(({ newcomers, cursor }) => newcomers.size > 0 && cursor.isLive && cursor.refresh === null);
    for (const entry of late) [entry.awaiting, entry.newcomers] = [entry.newcomers, new Set()];
    this.#ask("refresh", late.map((entry) => entry.cursor.refreshWish()));
    this.#ask("wish", [...fresh, ...late].map((entry) => entry.cursor.wish()));
  }

  #ask(purpose, wishes) {
    for (const topics of batches(wishes)) {
      const id = `topics-${this.nextId++}`;
      this.asked.set(id, { purpose, due: topics.length });
      this.hooks.tell({ type: "subscribe", id, topics });
    }
  }

  /** What an answer is to, or null. */
  #purpose(id) {
    const request = this.asked.get(id);
    if (!request) return null;
    request.due -= 1;
    if (request.due === 0) this.asked.delete(id);
    return request.purpose;
  }

  // ---- of the hub

  /** A message with its text: true if it was about a topic, and is dealt with. */
  take(message, json) {
    if (isPublished(message)) {
      this.#published(message, json);
      return true;
    }
    switch (message.type) {
      case "subscribed":
        this.#subscribed(message);
        break;
      case "snapshot":
        this.#snapshot(message, json);
        break;
      case "gap":
        this.#gap(message);
        break;
      case "topic_state":
        this.#state(message);
        break;
      case "error":
        return this.#refused(message);
      default:
        return false;
    }
    return true;
  }

  #published(message, json) {
    const entry = this.entries.get(message.topic);
    if (!entry) return; // on its way when we unsubscribed
    const { isNew, gap } = entry.cursor.published(message);
    if (gap !== null) this.#tellGap(entry, gap);
    if (!isNew) this.discarded += 1;
    else this.#deliver(entry, new Published(message, message.topic, json, false));
  }

  takeBinary(buffer) {
    const message = parseBinary(buffer);
    const entry = this.entries.get(this.numbers.get(message?.number));
    if (!entry) return message !== null && this.numbers.size > 0;
    const { isNew, isSnapshot, skipped, gap } = entry.cursor.binary(message.o);
    if (gap !== null) this.#tellGap(entry, gap);
    if (!isNew) {
      this.discarded += 1;
      return true;
    }
    const envelope = { type: "binary", o: message.o, data: message.data };
    if (skipped > 0) envelope.skipped = skipped;
    this.#deliver(entry, new Published(envelope, entry.cursor.topic, null, isSnapshot));
    return true;
  }

  #deliver(entry, message) {
    for (const listener of message.snapshot ? entry.binaryFor : [...entry.listeners]) {
      if (message.snapshot || message.o > listener.floor) this.hooks.call(listener.message, message);
    }
    this.hooks.published(message);
  }

  #subscribed(message) {
    const purpose = this.#purpose(message.id);
    let entry = this.entries.get(message.topic);
    if (!entry) {
      if (message.id !== undefined) return; // unsubscribed since
      entry = new Entry(message.topic, 0); // the route, or the application of the hub
      entry.isAsked = true;
      this.entries.set(message.topic, entry);
    }
    const { cursor } = entry;
    const wasRefreshed = cursor.refresh === "answered";
    cursor.subscribed(message, purpose);
    if (message.number !== undefined) this.numbers.set(message.number, message.topic);
    if (purpose !== "refresh") {
      for (const listener of [...entry.listeners]) this.hooks.call(listener.state, stateOf(message));
      this.hooks.subscribed(message);
    }
    if (purpose !== "wish") return;
    if (wasRefreshed) letIn(entry.awaiting); // the hub had a snapshot for them, or has none any more
    else if (!message.recovered || !entry.givesSnapshots) letIn(entry.newcomers); // what snapshot there is goes to all
    if (entry.newcomers.size > 0) this.#flushSoon();
  }

  #snapshot(message, json) {
    const entry = this.entries.get(message.topic);
    if (!entry) return;
    const listeners = entry.cursor.refresh === "answered" ? [...entry.awaiting] : [...entry.listeners];
    if (!entry.cursor.snapshot(message)) return;
    entry.givesSnapshots = true;
    entry.binaryFor = listeners;
    const items = snapshotItems(message, json, this.areNumbersTexts);
    for (const listener of listeners) {
      listener.floor = message.offset; // what others get once more behind it is old for this one
      for (const item of items) this.hooks.call(listener.message, item);
    }
    this.hooks.snapshot(message, items);
  }

  #gap(message) {
    const entry = this.entries.get(message.topic);
    const gap = entry?.cursor.gap(message) ?? null;
    if (gap !== null) this.#tellGap(entry, gap);
  }

  #tellGap(entry, gap) {
    for (const listener of [...entry.listeners]) if (listener.floor !== Infinity) this.hooks.call(listener.gap, gap);
    this.hooks.gap(gap);
  }

  #state(message) {
    for (const listener of this.entries.get(message.topic)?.listeners ?? []) this.hooks.call(listener.state, message);
    this.hooks.state(message);
  }

  #refused(message) {
    const purpose = this.#purpose(message.id);
    const entry = this.entries.get(message.topic);
    if (entry && (purpose !== null || message.data?.code === "topic_forbidden")) {
      entry.cursor.isLive = false;
      entry.isRefused = true; // until the next connection, or the next who subscribes
      for (const listener of [...entry.listeners]) this.hooks.call(listener.error, message);
    }
    return false; // it is an event of the client as well
  }
}

function stateOf({ topic, state }) {
  return { type: "topic_state", topic, state };
}
