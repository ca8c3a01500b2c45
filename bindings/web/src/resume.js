// SPDX-License-Identifier: Apache-2.0
// Where one topic stands, and what follows from each message about it: docs/PROTOCOL.md, "How a client resumes".

const NO_EPOCH = "none"; // none that a hub gives itself: it answers with all that it has

/**
 * The place of one topic: epoch and offset of the last message that was taken. It outlives connections. What a message means is
 * decided here and nowhere else: whether it is new, whether something is missing.
 */
export class Cursor {
  constructor(topic, history = 0) {
    this.topic = topic;
    this.history = history;
    this.epoch = null;
    this.offset = 0;
    this.ended();
  }

  /** Of this connection nothing is known any more. Returns the gap that the hub had no time to tell, or null. */
  ended() {
    const untold = this.untold ?? null;
    this.isLive = false; // subscribed, on this connection
    this.number = null; // of a binary topic
    this.since = null; // that the last wish said
    this.untold = null; // what `subscribed` did not recover, and neither `gap` nor `snapshot` has explained yet
    this.refresh = null; // "asked", then "answered"
    this.binaryItems = 0; // so many binary messages belong to the snapshot
    return untold;
  }

  /** An element of `topics` in a subscribe. */
  wish() {
    this.since = this.epoch === null ? null : { epoch: this.epoch, offset: this.offset };
    if (this.since === null && this.history === 0) return this.topic;
    const wish = { topic: this.topic };
    if (this.since !== null) wish.since = this.since;
    if (this.history > 0) wish.history = this.history;
    return wish;
  }

  /**
   * Asks for the snapshot once more, for who came later. Its answer is that to a place which the hub does not know; the
   * `wish` behind it goes on where the topic was, so that nothing is lost in between as far as the history reaches.
   */
  refreshWish() {
    this.refresh = "asked";
    const wish = { topic: this.topic, since: { epoch: NO_EPOCH, offset: 0 } };
    if (this.history > 0) wish.history = this.history;
    return wish;
  }

  /** What the hub answers to: "wish", "refresh", or null for what we did not ask for. */
  subscribed(message, answerTo) {
    if (message.number !== undefined) this.number = message.number;
    if (answerTo === "refresh") {
      this.refresh = "answered";
      return;
    }
    // A route or the application has subscribed us: our own place, if it was sent, is answered soon.
    if (answerTo === null && (this.since !== null || this.isLive)) return;
    // We were subscribed already and asked for no place: neither offset nor recovered counts.
    if (answerTo === "wish" && this.since === null && this.history === 0 && this.isLive) return;
    this.refresh = null;
    this.isLive = true;
    const hadPlace = answerTo === "wish" && this.since !== null;
    this.since = null;
    if (hadPlace && message.recovered) return;
    if (hadPlace) {
      const isSameLife = message.epoch === this.epoch;
      this.untold = {
        type: "gap",
        topic: this.topic,
        from: isSameLife ? this.offset + 1 : null,
        to: message.offset,
        cause: isSameLife ? "history" : "hub_restart",
      };
    }
    this.epoch = message.epoch;
    this.offset = message.offset;
  }

  /** The hub tells a loss: the part of it that is one for us, or null. */
  gap(message) {
    if (this.refresh === "answered" || !this.isLive) return null;
    const first = this.untold === null ? this.offset + 1 : this.untold.from;
    // Behind the gap the snapshot has what is left, if it comes before the connection ends.
    this.untold = this.untold !== null && message.to < this.untold.to ? { ...this.untold, from: message.to + 1 } : null;
    this.offset = Math.max(this.offset, message.to);
    if (message.from === null || first === null) return message;
    const from = Math.max(message.from, first);
    return from > message.to ? null : { ...message, from };
  }

  /** Whether the snapshot is to be shown. What it has is not missing. */
  snapshot(message) {
    if (!this.isLive && this.refresh !== "answered") return false;
    this.binaryItems = message.binary ?? 0;
    if (this.refresh !== "answered") this.untold = null;
    return true;
  }

  /** `{ isNew, gap }`: whether a published message is to be shown, and the loss in front of it or null. */
  published({ o, p }) {
    if (!this.isLive || this.refresh === "answered" || o <= this.offset) return { isNew: false, gap: null };
    let gap = this.untold;
    this.untold = null;
    if (p > this.offset) gap = { type: "gap", topic: this.topic, from: this.offset + 1, to: p, cause: "missed" };
    this.offset = o;
    return { isNew: true, gap };
  }

  /** The same of a binary one, which has no `p`: `{ isNew, isSnapshot, skipped, gap }`. */
  binary(o) {
    if (this.binaryItems > 0) {
      this.binaryItems -= 1;
      return { isNew: true, isSnapshot: true, skipped: 0, gap: null };
    }
    const skipped = o - this.offset - 1;
    const { isNew, gap } = this.published({ o, p: 0 });
    return { isNew, isSnapshot: false, skipped: isNew ? skipped : 0, gap };
  }
}
