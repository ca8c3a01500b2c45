// SPDX-License-Identifier: Apache-2.0
// What the hub tells of itself, of its feeds and of its peers. Where it does not, a sentence stands there.

import { duration } from "../src/view.js";
import { byId, make, note } from "./dom.js";
import { clockText } from "./times.js";

const EVERY = 5000;
const PATIENCE = 4000;
// Name, label, and whether it is left out while it is 0.
const FIGURES = [
  ["active_connections", "Peers"], ["topics", "Topics"], ["subscriptions", "Subscriptions"], ["messages_published", "Published"],
  ["messages_written", "Written"], ["messages_queued", "Queued"], ["messages_conflated", "Conflated", true],
  ["messages_dropped", "Dropped", true], ["peers_slow", "Slow peers", true], ["feed_messages", "From feeds", true],
  ["feed_unmatched", "Unmatched", true],
];
const PEERS = [["peer", "Peer"], ["address", "Address"], ["queued", "Queued"], ["dropped", "Dropped"]];
const MOST_PEERS = 50;

const count = (value) => Number(value).toLocaleString("en-US").replaceAll(",", "\u202f");

/** Which feeds the topics come from, and how many topics of each are in which state. */
export class Feeds {
  #topics = new Map();

  take({ topic, state, feed }) {
    const before = this.#topics.get(topic);
    this.#topics.set(topic, { state, feed: feed ?? before?.feed ?? "" });
  }

  /**
   * `[name, topics, those where it stands in for another feed, those that are not live]` of each, by name; nothing where no feed
   * has told its name.
   */
  list() {
    const feeds = new Map();
    for (const { feed, state } of this.#topics.values()) {
      if (feed === "") continue;
      const row = feeds.get(feed) ?? [feed, 0, 0, 0];
      row[1] += 1;
      if (state === "failover") row[2] += 1;
      else if (state !== "live") row[3] += 1;
      feeds.set(feed, row);
    }
    return [...feeds.values()].sort(([a], [b]) => a.localeCompare(b));
  }
}

export class HubPanel {
  #asks = { status: { value: null, refusal: "" }, peers: { value: null, refusal: "" } };
  #askedAt = -Infinity;
  #isAsking = false;
  #knownAt = null;
  #events = []; // of feeds

  constructor(page) {
    this.page = page;
    this.feeds = new Feeds();
    this.body = byId("hub-body");
    page.client.addEventListener("ready", () => {
      for (const ask of Object.values(this.#asks)) ask.refusal = ""; // another hub may tell it
      this.#askedAt = -Infinity;
    });
    page.client.addEventListener("feed", ({ detail: { data } }) => {
      this.#events = [changeOver(data, Date.now()), ...this.#events].slice(0, 3);
      page.frames.soon(this);
    });
    page.client.addEventListener("topic_state", ({ detail }) => {
      this.feeds.take(detail);
      page.frames.soon(this);
    });
    page.frames.soon(this);
  }

  /** Asks again every few seconds, while somebody can see it. */
  tick() {
    const now = Date.now();
    const isOld = !this.page.client.isConnected;
    byId("hub").classList.toggle("old", isOld);
    note(byId("hub-note"), isOld && this.#knownAt !== null ? `As it was at ${clockText(this.#knownAt)}\u00a0UTC.` : "");
    if (this.#isAsking || !this.page.client.isConnected || document.hidden || now - this.#askedAt < EVERY) return;
    this.#askedAt = now;
    this.#isAsking = true;
    const asks = Object.entries(this.#asks).filter(([name, { refusal }]) => this.page.config[name] !== "" && refusal === "");
    Promise.all(asks.map(([name, ask]) => this.#ask(this.page.config[name], ask))).finally(() => {
      this.#isAsking = false;
      this.page.frames.soon(this);
    });
  }

  async #ask(address, ask) {
    try {
      const answer = await fetch(address, { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
      if (answer.ok) {
        ask.value = await answer.json();
        this.#knownAt = Date.now();
      } else ask.refusal = `${answer.status} ${answer.statusText}`.trim();
    } catch (error) {
      ask.refusal = this.page.client.isConnected ? error.message : ""; // a hub that has gone is told elsewhere
    }
    if (ask.refusal !== "") ask.value = null;
  }

  draw() {
    const parts = [this.#status(), ...this.#feedParts(), this.#peers()].filter((part) => part !== null);
    this.body.replaceChildren(...(parts.length === 0 ? [sentence("Nothing is known yet.")] : parts));
  }

  #status() {
    const { value, refusal } = this.#asks.status;
    if (value === null) return refusal === "" ? null : sentence(`The hub does not show its figures here (${refusal}).`);
    const { hub, state, version, uptime, statistics } = value;
    const rows = [["Hub", `${hub} ${version}, ${state}`], ["Runs for", duration(uptime * 1000)]];
    for (const [name, label, isQuiet = false] of FIGURES) {
      const figure = statistics?.[name];
      if (figure !== undefined && (figure !== 0 || !isQuiet)) rows.push([label, count(figure)]);
    }
    const cells = rows.flatMap(([label, text]) => [make("dt", { textContent: label }), make("dd", { textContent: text })]);
    return make("dl", { className: "pairs" }, ...cells);
  }

  #feedParts() {
    const feeds = this.feeds.list();
    const heads = ["Feed", "Topics", "Standing in", "Not live"];
    const parts = feeds.length === 0 ? [] : [table("Feeds", heads, feeds.map((row) => row.map(String)))];
    return [...parts, ...this.#events.map(sentence)];
  }

  #peers() {
    const { value, refusal } = this.#asks.peers;
    if (refusal !== "") return sentence(`The list of peers is not shown here (${refusal}).`);
    if (!Array.isArray(value)) return null;
    const rows = value.slice(0, MOST_PEERS).map((peer) => PEERS.map(([name]) => String(peer?.[name] ?? "")));
    return table(`Peers: ${value.length}`, PEERS.map(([, label]) => label), rows);
  }
}

/** What the hub told of another source, as a line. */
export function changeOver({ from, to, cause }, time) {
  return `${clockText(time)}\u00a0UTC: from ${from} to ${to}${cause ? `, ${cause}` : ""}`;
}

const sentence = (text) => make("p", { className: "note", textContent: text });

function table(title, heads, rows) {
  const caption = make("caption", { textContent: title });
  const head = make("tr", {}, ...heads.map((text) => make("th", { textContent: text, scope: "col" })));
  const lines = rows.map(([first, ...rest]) =>
    make("tr", {}, make("th", { textContent: first, scope: "row" }), ...rest.map((text) => make("td", { textContent: text }))));
  return make("table", { className: "table" }, caption, make("thead", {}, head), make("tbody", {}, ...lines));
}
