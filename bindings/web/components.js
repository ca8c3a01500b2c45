// SPDX-License-Identifier: Apache-2.0
// Elements that show a client: <pulsews-indicator>, <pulsews-status>, <pulsews-status-card>. docs/WEB.md, "Components".

import { PulseWS } from "./src/client.js";
import { ICONS, STYLE } from "./src/style.js";
import { describe } from "./src/view.js";

const WATCHED = ["state", "ready", "latency", "failover", "gap", "drop"];
const SECOND = 1000;
const SVG = "http://www.w3.org/2000/svg";

// Without a page, as in a server that renders React, the module can be loaded all the same.
const Base = globalThis.HTMLElement ?? class {};
let sheet = null;

function make(name, { part, ...properties } = {}, ...children) {
  const element = document.createElement(name);
  if (part) element.setAttribute("part", part);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = { viewBox: "0 0 16 16", fill: "none", stroke: "currentColor", "stroke-width": "1.75", "aria-hidden": "true" };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  for (const d of ICONS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    path.setAttribute("stroke-linecap", "round");
    path.setAttribute("stroke-linejoin", "round");
    svg.append(path);
  }
  return svg;
}

/** Constructed style sheets pass a Content-Security-Policy that forbids styles in the page. */
function dress(root) {
  if (sheet === null) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
  }
  root.adoptedStyleSheets = [sheet];
}

class StatusElement extends Base {
  static observedAttributes = ["url", "compact", "show-details"];

  #client = null;
  #owned = null; // made by attribute `url`; ours to close
  #labels = {};
  #watched = null;
  #ticker = null;
  #isDue = false;
  #said = null;
  #redraw = () => this.#drawSoon();

  /** The client to show. It stays the page's: the element does not close it. */
  get client() {
    return this.#client ?? this.#owned;
  }

  set client(client) {
    this.#client = client ?? null;
    this.#follow();
  }

  /** Texts in place of the English ones. */
  get labels() {
    return this.#labels;
  }

  set labels(labels) {
    this.#labels = labels ?? {};
    this.#drawSoon();
  }

  get compact() {
    return this.hasAttribute("compact");
  }

  set compact(value) {
    this.toggleAttribute("compact", Boolean(value));
  }

  get showDetails() {
    return this.hasAttribute("show-details");
  }

  set showDetails(value) {
    this.toggleAttribute("show-details", Boolean(value));
  }

  connectedCallback() {
    for (const name of ["client", "labels", "compact", "showDetails"]) this.#adopt(name);
    if (!this.shadowRoot) {
      dress(this.attachShadow({ mode: "open" }));
      // What a screen reader says: the state when it changes, and neither latency nor countdown.
      this.voice = make("span", { className: "unseen" });
      this.voice.setAttribute("role", "status");
      this.voice.setAttribute("aria-live", "polite");
      this.frame = this.build();
      this.shadowRoot.append(this.frame, this.voice);
    }
    this.#follow();
    this.#ticker = setInterval(() => document.visibilityState === "visible" && this.#drawSoon(), SECOND);
  }

  disconnectedCallback() {
    clearInterval(this.#ticker);
    this.#follow();
  }

  attributeChangedCallback(name, before, after) {
    if (name === "url" && before !== after) {
      this.#owned?.close();
      this.#owned = null;
    }
    this.#follow();
  }

  /** A property that was set before the element was defined. */
  #adopt(name) {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name];
    delete this[name];
    this[name] = value;
  }

  /** Listens to the present client, while the element is in the page. */
  #follow() {
    const url = this.getAttribute("url");
    const needsOwn = this.isConnected && this.#client === null && url !== null;
    if (needsOwn && this.#owned === null) this.#owned = new PulseWS(url);
    if (!needsOwn && this.#owned !== null) {
      this.#owned.close();
      this.#owned = null;
    }
    const client = this.isConnected ? this.client : null;
    if (client !== this.#watched) {
      for (const type of WATCHED) this.#watched?.removeEventListener(type, this.#redraw);
      for (const type of WATCHED) client?.addEventListener(type, this.#redraw);
      this.#watched = client;
    }
    this.#drawSoon();
  }

  #drawSoon() {
    if (this.#isDue || !this.shadowRoot) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      if (this.isConnected) this.#draw();
    });
  }

  #draw() {
    const view = describe(this.client, this.#labels, navigator.onLine === false);
    const { frame } = this;
    if (frame.dataset.kind !== view.kind) this.symbol?.replaceChildren(icon(view.kind));
    frame.dataset.kind = view.kind;
    frame.classList.toggle("compact", this.compact);
    this.draw(view);
    const words = `${view.labels.title}: ${view.word}`;
    if (this.#said !== null && this.#said !== words) this.voice.textContent = words;
    this.#said = words;
  }

  /** The button; a press is event `pulsews-reconnect` first, which may be prevented. */
  button() {
    this.label = make("span");
    const button = make("button", { type: "button", part: "button" }, icon("reconnect"), this.label);
    button.addEventListener("click", () => {
      const event = new CustomEvent("pulsews-reconnect", { bubbles: true, composed: true, cancelable: true });
      if (this.dispatchEvent(event)) this.client?.reconnect();
    });
    return button;
  }

  /** Icon and word. */
  mark() {
    this.symbol = make("span", { className: "icon", part: "icon" });
    this.word = make("span", { className: "word", part: "label" });
    return [this.symbol, this.word];
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Icon and word; compact the icon alone, with the word for screen readers and as a hint. */
export class PulseWSIndicator extends StatusElement {
  build() {
    return make("span", { className: "row", part: "indicator" }, ...this.mark());
  }

  draw(view) {
    write(this.word, view.word);
    this.word.classList.toggle("unseen", this.compact);
    this.frame.title = this.compact ? `${view.labels.title}: ${view.word}` : view.sentence;
  }
}

/** One line: icon, word, latency, and a button. */
export class PulseWSStatus extends StatusElement {
  build() {
    this.latency = make("span", { className: "muted", part: "latency" });
    this.sentence = make("p", { className: "sentence", part: "details" });
    this.reconnect = this.button();
    const parts = [...this.mark(), this.latency, this.sentence, this.reconnect];
    return make("div", { className: "row bar", part: "status" }, ...parts);
  }

  draw(view) {
    const { compact, showDetails, reconnect } = this;
    write(this.word, view.word);
    write(this.latency, view.latency ?? "");
    this.latency.hidden = view.latency === null || (compact && !showDetails);
    this.latency.title = view.latency === null ? "" : view.labels.latency;
    const rows = showDetails ? [...view.main.slice(1), ...view.more].filter(([, value]) => value !== view.labels.none) : [];
    const figures = rows.map(([label, value]) => `${label}: ${value}`).join(", ");
    write(this.sentence, compact ? "" : [view.sentence, figures].filter(Boolean).join(" "));
    this.sentence.hidden = this.sentence.textContent === "";
    write(this.label, view.labels.reconnect);
    this.label.classList.toggle("unseen", compact);
    reconnect.title = compact ? view.labels.reconnect : "";
    // Not taken away under a finger or while it has the focus.
    reconnect.hidden = this.client === null || (compact && view.kind === "connected" && this.shadowRoot.activeElement !== reconnect);
  }
}

/** All of it: state, sentence, statistics, a button. */
export class PulseWSStatusCard extends StatusElement {
  build() {
    this.heading = make("h2", { className: "title", part: "title" });
    this.sentence = make("p", { className: "sentence", part: "details" });
    this.list = make("dl", { part: "statistics" });
    this.reconnect = this.button();
    const head = make("div", { className: "row", part: "head" }, this.heading, make("span", { className: "push row" }, ...this.mark()));
    return make("section", { className: "bar card", part: "card" }, head, this.sentence, this.list, this.reconnect);
  }

  draw(view) {
    const { labels } = view;
    write(this.heading, labels.title);
    this.frame.setAttribute("aria-label", labels.title);
    write(this.word, view.word);
    write(this.sentence, view.sentence);
    this.sentence.hidden = view.sentence === "";
    write(this.label, labels.reconnect);
    this.reconnect.hidden = this.client === null;
    const rows = this.compact && !this.showDetails ? view.main : [...view.main, ...view.more];
    while (this.list.children.length > rows.length * 2) this.list.lastChild.remove();
    while (this.list.children.length < rows.length * 2) this.list.append(make("dt"), make("dd"));
    rows.forEach(([label, value], index) => {
      write(this.list.children[index * 2], label);
      write(this.list.children[index * 2 + 1], value);
    });
  }
}

const ELEMENTS = {
  "pulsews-indicator": PulseWSIndicator,
  "pulsews-status": PulseWSStatus,
  "pulsews-status-card": PulseWSStatusCard,
};

if (globalThis.customElements) {
  for (const [name, element] of Object.entries(ELEMENTS)) {
    if (!customElements.get(name)) customElements.define(name, element);
  }
}
