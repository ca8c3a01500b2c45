// SPDX-License-Identifier: Apache-2.0
// One WebSocket, with an end that is told once.

/** Hooks: `opened()`, `received(data)`, `closed({ code, reason, wasClean, unsent })`. None is called after `abandon`. */
export class Transport {
  #socket;
  #hooks;

  constructor(WebSocket, url, protocols, hooks) {
    this.#hooks = hooks;
    const socket = protocols.length > 0 ? new WebSocket(url, protocols) : new WebSocket(url);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#hooks?.opened();
    socket.onmessage = (event) => this.#hooks?.received(event.data);
    socket.onclose = (event) => {
      const hooks = this.#hooks;
      this.#forget();
      hooks?.closed({ code: event.code, reason: event.reason, wasClean: event.wasClean, unsent: socket.bufferedAmount });
    };
    socket.onerror = () => {}; // says nothing; a close event follows
  }

  get isOpen() {
    return this.#hooks !== null && this.#socket.readyState === 1;
  }

  get protocol() {
    return this.#socket.protocol;
  }

  get buffered() {
    return this.#socket.bufferedAmount;
  }

  send(data) {
    this.#socket.send(data);
  }

  /**
   * Lets go of it, and of what it would still tell: on a dead line a browser waits long for the answer to a close. Returns the
   * bytes that have not left.
   */
  abandon(code, reason) {
    if (this.#hooks === null) return 0;
    const unsent = this.#socket.bufferedAmount;
    this.#forget();
    if (code === undefined) this.#socket.close();
    else this.#socket.close(code, reason);
    return unsent;
  }

  #forget() {
    this.#hooks = null;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
  }
}
