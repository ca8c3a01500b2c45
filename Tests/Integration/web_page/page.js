// SPDX-License-Identifier: Apache-2.0
import { PulseWS } from "./web/pulsews.js";
import "./web/components.js";

const TOLD = ["state", "ready", "close", "error", "subscribed", "gap", "latency", "drop", "auth", "auth_expiring", "failover"];

/** A client, all that it has told, and what a topic has shown. */
class Watch {
  #looks = new Set();
  told = [];
  shown = [];

  constructor(options = {}, url = "/ws/stream") {
    this.client = new PulseWS(url, { ...options, autoConnect: false });
    for (const type of TOLD) this.client.addEventListener(type, ({ detail }) => this.#tell({ type, at: performance.now(), detail }));
    this.client.connect();
  }

  #tell(event) {
    this.told.push(event);
    this.#look();
  }

  #look() {
    for (const look of [...this.#looks]) look();
  }

  /** All that comes of the topic is kept; resolves as soon as the hub has answered. */
  follow(topic, options) {
    this.client.subscribe(topic, (message) => {
      this.shown.push(message);
      this.#look();
    }, options);
    return this.until(() => this.of("subscribed").some((message) => message.topic === topic));
  }

  /** The details of events of that type. */
  of(type) {
    return this.told.filter((event) => event.type === type).map(({ detail }) => detail);
  }

  /** Resolves with what the condition gives, when that is something. It is asked at each event and message. */
  until(condition) {
    return new Promise((resolve) => {
      const look = () => {
        const found = condition(this);
        if (!found) return;
        this.#looks.delete(look);
        resolve(found);
      };
      this.#looks.add(look);
      look();
    });
  }

  /** Resolves when the client is in that state. */
  reach(state) {
    return this.until(() => this.client.state === state);
  }

  /** Resolves with the numbers that were shown, when the last one is there. */
  async numbers(last) {
    await this.until(() => this.shown.some(({ data }) => data.n === last));
    return this.shown.map(({ data }) => data.n);
  }
}

/** Resolves with what the condition gives of an element, when that is something. It is asked when the element changes. */
function drawn(element, condition) {
  return new Promise((resolve) => {
    const look = () => {
      const found = condition(element.shadowRoot);
      if (!found) return;
      observer.disconnect();
      resolve(found);
    };
    const observer = new MutationObserver(look);
    observer.observe(element.shadowRoot, { attributes: true, characterData: true, childList: true, subtree: true });
    look();
  });
}

Object.assign(window, { Watch, drawn });
