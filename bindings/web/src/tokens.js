// SPDX-License-Identifier: Apache-2.0
// The token, and who is asked for a new one.

import { fromBase64URL } from "./bytes.js";

const MARGIN = 10; // seconds: a token that ends sooner is not worth a connection
const MOST_REFUSALS = 3;

/** When a JSON Web Token ends, in seconds since 1970; null if it does not say, or is none. */
export function expiryOf(token) {
  const parts = token.split(".");
  if (parts.length !== 3) return null;
  try {
    const { exp } = JSON.parse(fromBase64URL(parts[1]));
    return typeof exp === "number" ? exp : null;
  } catch {
    return null; // an opaque token; the hub judges it
  }
}

export class Tokens {
  /** `source`: a token, a function that gives one or a promise of one, or undefined. */
  constructor(source, wallClock) {
    this.source = source;
    this.wallClock = wallClock;
    this.token = typeof source === "string" ? source : null;
    this.refusals = 0; // in a row
    this.asking = null;
  }

  get canRenew() {
    return typeof this.source === "function";
  }

  /** The token for the next attempt, or null if there is none to show. */
  async get() {
    if (!this.canRenew) return this.token;
    if (this.token === null) return this.renew("connect");
    const expiry = expiryOf(this.token);
    if (expiry !== null && expiry - MARGIN <= this.wallClock() / 1000) return this.renew("expired");
    return this.token;
  }

  /** Asks the function, once for all who want a new one at the same time. */
  renew(reason) {
    this.asking ??= this.#ask(reason).finally(() => {
      this.asking = null;
    });
    return this.asking;
  }

  async #ask(reason) {
    const token = await this.source({ reason });
    if (typeof token !== "string" || token === "") throw new TypeError("the token function gave no text");
    this.token = token;
    return token;
  }

  /** The hub did not take it. False: there is no other to hope for. */
  refused() {
    this.refusals += 1;
    if (!this.canRenew || this.refusals >= MOST_REFUSALS) return false;
    this.token = null;
    return true;
  }

  accepted() {
    this.refusals = 0;
  }
}
