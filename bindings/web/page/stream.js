// SPDX-License-Identifier: Apache-2.0
// Orders, signals and trades as they come, newest first.

import { byId, choice, make, note } from "./dom.js";
import { entryOf, gapEntry } from "./entries.js";
import { clockText } from "./times.js";

const MOST = 200;
const SIDES = new Set(["buy", "sell", "long", "short"]);

export class StreamPanel {
  #entries = []; // newest first
  #fresh = []; // not drawn yet
  #refused = new Map();
  #shown = "all";
  #isWhole = false;
  #count = 0;

  constructor(page) {
    this.page = page;
    this.list = byId("entries");
    const { streams, streamHistory } = page.config;
    const options = [["all", "All"], ...streams.map((topic) => [topic, topic.replaceAll("_", " ")])];
    const show = choice(byId("kinds"), options, this.#shown, (topic) => {
      this.#shown = topic;
      show(topic);
      this.#isWhole = true;
      page.frames.soon(this);
    });
    page.client.subscribe(streams, (message) => this.#add(message.topic, entryOf(message, Date.now())), {
      history: streamHistory,
      onGap: (gap) => this.#add(gap.topic, gapEntry(gap, Date.now())),
      onState: ({ topic }) => this.#refused.delete(topic) && page.frames.soon(this),
      onError: ({ topic, data }) => {
        this.#refused.set(topic, data?.message ?? "");
        page.frames.soon(this);
      },
    });
    page.frames.soon(this);
  }

  #add(topic, entry) {
    this.#fresh.push({ topic, ...entry });
    this.#count += 1;
    // Also where nobody draws, as in a hidden tab.
    if (this.#fresh.length > MOST) this.#fresh.shift();
    this.page.frames.soon(this);
  }

  draw() {
    const fresh = this.#fresh.splice(0).reverse();
    this.#entries = [...fresh, ...this.#entries].slice(0, MOST);
    const isWanted = ({ topic }) => this.#shown === "all" || topic === this.#shown;
    if (this.#isWhole) this.list.replaceChildren(...this.#entries.filter(isWanted).map((entry) => this.#line(entry)));
    else this.list.prepend(...fresh.filter(isWanted).map((entry) => this.#line(entry)));
    this.#isWhole = false;
    while (this.list.children.length > MOST) this.list.lastChild.remove();
    const silent = this.#count === 0 && this.#refused.size === 0 ? ["Nothing has come yet."] : [];
    const refused = [...this.#refused].map(([topic, why]) => `${topic}: ${why || "refused"}.`);
    note(byId("stream-note"), [...silent, ...refused].join(" "));
  }

  #line({ time, type, symbol, side, status, details }) {
    const parts = [
      make("time", { className: "muted", textContent: clockText(time), title: `${new Date(time).toISOString()}` }),
      make("span", { className: "kind", textContent: type.replaceAll("_", " ") }),
    ];
    if (symbol) parts.push(make("b", { textContent: symbol }));
    if (side) {
      const word = make("span", { className: "side-word", textContent: side });
      if (SIDES.has(side)) word.dataset.side = side === "buy" || side === "long" ? "1" : "-1";
      parts.push(word);
    }
    if (status) parts.push(make("span", { className: "status", textContent: status }));
    const rest = make("span", { className: "details" });
    for (const [name, value] of details) {
      rest.append(make("span", { className: "pair" }, make("span", { className: "muted", textContent: `${name} ` }), value), " ");
    }
    const [when, kind, ...what] = parts;
    const line = make("li", {}, when, " ", kind, " ", make("span", { className: "what" }, ...what.flatMap((part) => [part, " "]), rest));
    line.dataset.type = type;
    return line;
  }
}
