// SPDX-License-Identifier: Apache-2.0
// How long to wait before the next attempt.

const RESTART = 1012; // RFC 6455 §7.4.1 and its registry
const TRY_LATER = 1013;
const RATE_LIMITED = 4029;

/**
 * Full jitter: each delay is anything from 0 to a bound that doubles. The bound begins anew only after a connection that was
 * good for `stableTime`, so that a hub that accepts and drops at once is not hammered.
 */
export class Backoff {
  constructor({ reconnectBaseDelay, reconnectMaxDelay, restartDelay, stableTime }, random) {
    this.base = reconnectBaseDelay;
    this.most = reconnectMaxDelay;
    this.restartDelay = restartDelay;
    this.stableTime = stableTime;
    this.random = random;
    this.goodSince = null;
    this.failures = 0; // in a row, since the last stable connection
  }

  /** The connection is accepted. */
  opened(now) {
    this.goodSince = now;
  }

  isStable(now) {
    return this.goodSince !== null && now - this.goodSince >= this.stableTime;
  }

  /** The connection or attempt is over; the count begins anew if it was a good one. */
  ended(now) {
    if (this.isStable(now)) this.failures = 0;
    this.goodSince = null;
  }

  /** The milliseconds to wait after one more failure. */
  delay(closeCode = 0) {
    let bound = Math.min(this.most, this.base * 2 ** Math.min(this.failures, 30));
    this.failures += 1;
    if (closeCode === RESTART || closeCode === TRY_LATER) bound = Math.max(bound, this.restartDelay);
    const least = closeCode === RATE_LIMITED ? this.restartDelay : 0; // who is told that it is too much waits
    return least + this.random() * bound;
  }

  /** To a hub that has not failed yet: soon, and not counted. */
  hop() {
    return this.random() * this.base;
  }

  reset() {
    this.failures = 0;
    this.goodSince = null;
  }
}
