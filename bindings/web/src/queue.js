// SPDX-License-Identifier: Apache-2.0
// What waits to be sent.

import { byteLength } from "./bytes.js";

/**
 * Bounded in messages and bytes. Whoever is dropped or expires is told to `lost(entry, cause)`, whichever call finds it:
 * nothing leaves the queue without a fate.
 */
export class SendQueue {
  constructor({ queueMessages, queueBytes, queuePolicy }, lost) {
    this.mostMessages = queueMessages;
    this.mostBytes = queueBytes;
    this.policy = queuePolicy;
    this.lost = lost;
    this.entries = [];
    this.bytes = 0;
  }

  get length() {
    return this.entries.length;
  }

  /** False: it is not taken, and nobody is told but the caller. */
  push(data, now, ttl = Infinity) {
    const size = byteLength(data);
    if (size > this.mostBytes || this.mostMessages === 0) return false;
    this.expire(now);
    const isFull = () => this.entries.length >= this.mostMessages || this.bytes + size > this.mostBytes;
    if (isFull() && this.policy === "reject") return false;
    while (isFull()) this.#lose(this.#shift(), "full");
    this.entries.push({ data, size, expiresAt: now + ttl });
    this.bytes += size;
    return true;
  }

  /** The next to be sent, or undefined. */
  take(now) {
    this.expire(now);
    return this.#shift()?.data;
  }

  expire(now) {
    if (!this.entries.some((entry) => entry.expiresAt <= now)) return;
    const old = this.entries;
    this.entries = old.filter((entry) => entry.expiresAt > now);
    this.bytes = this.entries.reduce((sum, entry) => sum + entry.size, 0);
    for (const entry of old) if (entry.expiresAt <= now) this.#lose(entry, "expired");
  }

  /** When the next one expires. */
  nextExpiry() {
    return this.entries.reduce((first, entry) => Math.min(first, entry.expiresAt), Infinity);
  }

  clear() {
    while (this.entries.length > 0) this.#lose(this.#shift(), "closed");
  }

  #shift() {
    const entry = this.entries.shift();
    if (entry) this.bytes -= entry.size;
    return entry;
  }

  #lose(entry, cause) {
    this.lost(entry.data, cause);
  }
}
