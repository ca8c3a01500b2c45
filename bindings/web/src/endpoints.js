// SPDX-License-Identifier: Apache-2.0
// Which hub to try next.

/** A list of hubs. The one that is good stays; one that fails gives way to the next. */
export class Endpoints {
  constructor(urls) {
    this.urls = urls;
    this.index = 0;
    this.failures = 0; // attempts that failed since a hub was good
    this.final = new Set(); // those that a retry does not help
  }

  get current() {
    return this.urls[this.index];
  }

  good() {
    this.failures = 0;
    this.final.clear();
  }

  /**
   * A connection or an attempt has ended. The hub that was good gets one more chance: it knows our places, another has an
   * epoch of its own. True: every hub has failed since one was good, so that it is time to wait.
   */
  failed(wasGood, isFinal) {
    if (isFinal) this.final.add(this.index);
    if (wasGood && !isFinal) return true;
    this.failures += 1;
    this.index = (this.index + 1) % this.urls.length;
    return this.failures % this.urls.length === 0;
  }

  /** Every hub has been tried in vain since one was good. */
  get allFailed() {
    return this.failures >= this.urls.length;
  }

  /** Every hub has refused for good. */
  get isHopeless() {
    return this.final.size === this.urls.length;
  }

  reset() {
    this.good();
    this.index = 0;
  }
}

/** The address of a hub, as a WebSocket takes it: relative ones belong to the page, http becomes ws. */
export function socketURL(text, base) {
  const url = new URL(text, base);
  if (url.protocol === "http:") url.protocol = "ws:";
  if (url.protocol === "https:") url.protocol = "wss:";
  if (url.protocol !== "ws:" && url.protocol !== "wss:") throw new TypeError(`${text}: not the address of a WebSocket`);
  url.hash = "";
  return url;
}
