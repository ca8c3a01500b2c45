// SPDX-License-Identifier: Apache-2.0
// A feed of the application, for the time that no hub is there.

/** Hooks: `changed({ active, cause })`, `message(message)`, `failed(error)`. */
export class Failover {
  #abort = null;

  constructor(open, hooks) {
    this.open = open;
    this.hooks = hooks;
  }

  get isActive() {
    return this.#abort !== null;
  }

  async start(cause) {
    if (this.isActive || !this.open) return;
    const abort = (this.#abort = new AbortController());
    this.hooks.changed({ active: true, cause });
    const { signal } = abort;
    const emit = (message) => {
      if (!signal.aborted) this.hooks.message(message);
    };
    try {
      const stop = await this.open({ signal, emit, cause });
      if (typeof stop !== "function") return;
      if (signal.aborted) stop();
      else signal.addEventListener("abort", () => this.#call(stop), { once: true });
    } catch (error) {
      if (!signal.aborted) this.hooks.failed(error);
    }
  }

  stop(cause) {
    const abort = this.#abort;
    if (abort === null) return;
    this.#abort = null;
    abort.abort();
    this.hooks.changed({ active: false, cause });
  }

  #call(stop) {
    try {
      stop();
    } catch (error) {
      this.hooks.failed(error);
    }
  }
}
