// SPDX-License-Identifier: Apache-2.0
// Whether the hub is still there.

const LATE = 1000; // a timer that comes so much later than it was due was held back
const CHANCES = 3;

/**
 * Without clock and timers of its own: `tick` is to be called at `dueAt`, and says what to do: "ping", "dead" or null.
 *
 * Any message is a sign of life. Browsers hold timers of hidden pages back (up to a minute), and stop them while the machine
 * sleeps; the hub's answer may then wait behind the timer that finds it missing. So a tick that comes late judges nothing: it
 * pings again, and gives the answer its time.
 */
export class Heartbeat {
  constructor({ heartbeatInterval, heartbeatTimeout }) {
    this.interval = heartbeatInterval;
    this.timeout = heartbeatTimeout;
    this.stop();
  }

  /** The connection is open; a ping goes out at once. */
  start(now) {
    this.isRunning = true;
    this.probe(now);
  }

  stop() {
    this.isRunning = false;
    this.dueAt = Infinity;
    this.isWaiting = false; // for a sign of life after a ping
    this.chances = 0;
  }

  /** A ping goes out now, and something has to come within that time. */
  probe(now, timeout = this.timeout) {
    this.isWaiting = true;
    this.chances = CHANCES;
    this.dueAt = Math.min(now + timeout, now + this.timeout);
  }

  heard(now) {
    if (!this.isWaiting || !this.isRunning) return;
    this.isWaiting = false;
    this.dueAt = now + this.interval;
  }

  tick(now) {
    if (!this.isRunning || now < this.dueAt) return null;
    const isLate = now - this.dueAt > LATE;
    if (!this.isWaiting) {
      this.probe(now);
      return "ping";
    }
    if (isLate && this.chances > 0) {
      this.chances -= 1;
      this.dueAt = now + this.timeout;
      return "ping";
    }
    return "dead";
  }
}
