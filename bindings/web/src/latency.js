// SPDX-License-Identifier: Apache-2.0
// Round trips of pings, in milliseconds.

const KEPT = 128;

export class Latency {
  constructor() {
    this.samples = [];
    this.next = 0;
    this.last = null;
  }

  add(sample) {
    this.samples[this.next] = sample;
    this.next = (this.next + 1) % KEPT;
    this.last = sample;
  }

  /** Of the last 128; null without any. */
  summary() {
    const count = this.samples.length;
    if (count === 0) return { last: null, min: null, avg: null, p95: null, max: null };
    const sorted = [...this.samples].sort((a, b) => a - b);
    const avg = sorted.reduce((sum, sample) => sum + sample, 0) / count;
    return { last: this.last, min: sorted[0], avg, p95: sorted[Math.ceil(count * 0.95) - 1], max: sorted[count - 1] };
  }
}
