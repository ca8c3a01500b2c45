// SPDX-License-Identifier: Apache-2.0
// The page that stays open all day, whoever says how it is configured: docs/WEB.md, "The page".

import "../components.js";
import { PulseWS } from "../pulsews.js";
import { setUpTheme } from "./appearance.js";
import { CandlesPanel } from "./candles_panel.js";
import { byId, Frames, hide } from "./dom.js";
import { EquityPanel } from "./equity.js";
import { WORDS } from "./freshness.js";
import { HubPanel } from "./hub.js";
import { PricesPanel } from "./prices.js";
import { StreamPanel } from "./stream.js";
import { ageText, clockText } from "./times.js";

const TICK = 500;
const SAY_AGAIN = 5000;
// Quicker than the client's own: a hub that says nothing any more is found within 10 s.
const HEARTBEAT = { heartbeatInterval: 5000, heartbeatTimeout: 4000 };

const addressOf = (symbol) => `#${encodeURIComponent(symbol)}`;

class Page {
  #lostAt = null;
  #wasConnected = false;
  #said = "";
  #saidAt = -Infinity;

  constructor(config, token) {
    this.config = config;
    this.frames = new Frames();
    this.client = new PulseWS(config.route, { autoConnect: false, token, share: config.share, ...HEARTBEAT });
    document.title = byId("title").textContent = config.title;
    this.panels = {};
    const start = (name, isWanted, make) => {
      hide(byId(name), !isWanted);
      if (isWanted) this.panels[name] = make();
    };
    start("candles", config.candleTopic !== "", () => new CandlesPanel(this));
    start("stream", config.streams.length > 0, () => new StreamPanel(this));
    start("equity", config.equityTopic !== "", () => new EquityPanel(this));
    start("hub", true, () => new HubPanel(this));
    start("prices", true, () => new PricesPanel(this, (symbol) => this.#choose(symbol)));
    for (const name of ["indicator", "card"]) byId(name).client = this.client;
    setUpTheme([byId("indicator"), byId("card")], () => this.panels.candles?.paint());
    this.#listen();
    this.client.connect();
    setInterval(() => this.#tick(), TICK);
    document.addEventListener("visibilitychange", () => this.#tick());
    this.#tick();
    this.panels.prices.choose(this.#wanted());
  }

  /** What all panels look at. */
  situation() {
    const { clockOffset } = this.client.statistics();
    return { now: Date.now(), offset: clockOffset ?? 0, isConnected: this.client.isConnected, staleAfter: this.config.staleAfter * 1000 };
  }

  #each(name, argument) {
    for (const panel of Object.values(this.panels)) panel[name]?.(argument);
  }

  #listen() {
    this.client.addEventListener("state", ({ detail: { from } }) => {
      if (from === "connected") {
        this.#lostAt = Date.now();
        this.#each("lose");
      }
      if (this.client.isConnected) {
        this.#lostAt = null;
        this.#wasConnected = true;
      }
      this.#tick();
    });
    this.client.addEventListener("subscribed", ({ detail }) => {
      this.panels.prices.offer(detail.topic);
      this.#each("subscribed", detail);
    });
  }

  /** The symbol of the address, else that of the configuration, else the first. */
  #wanted() {
    const { rows } = this.panels.prices;
    const named = rows.all().find(({ symbol }) => addressOf(symbol) === location.hash);
    return named?.symbol ?? [this.config.symbol, this.config.symbols[0]].find((symbol) => rows.get(symbol) !== undefined);
  }

  #choose(symbol) {
    history.replaceState(null, "", addressOf(symbol));
    this.panels.candles?.show(symbol);
  }

  #tick() {
    byId("clock").textContent = `${clockText(Date.now())}\u00a0UTC`;
    this.#each("tick");
    this.#summarize();
    this.#warn();
  }

  #summarize() {
    const counts = this.panels.prices.rows.counts(this.situation());
    const parts = Object.keys(WORDS).filter((kind) => counts[kind] > 0).map((kind) => `${counts[kind]}\u00a0${WORDS[kind].toLowerCase()}`);
    const text = parts.join(", ");
    const summary = byId("summary");
    if (summary.textContent !== text) summary.textContent = text;
    // Symbols that go to and fro are not told one by one.
    if (text === this.#said || Date.now() - this.#saidAt < SAY_AGAIN) return;
    this.#said = byId("voice").textContent = text;
    this.#saidAt = Date.now();
  }

  /** What is said when nothing on the page is fresh. The age counts up beside it, unheard. */
  #warn() {
    const banner = byId("banner");
    const { client } = this;
    const isLost = !client.isConnected && (this.#wasConnected || client.state !== "connecting");
    document.documentElement.classList.toggle("lost", isLost);
    if (!isLost) {
      hide(banner, true);
      banner.textContent = "";
      return;
    }
    if (banner.firstChild === null) {
      banner.append(document.createTextNode(""), document.createElement("span"));
      banner.lastChild.setAttribute("aria-hidden", "true");
    }
    const since = this.#lostAt === null ? "" : ` since ${clockText(this.#lostAt)}\u00a0UTC`;
    const end = client.state === "error" ? ` It is not tried again${client.error ? `: ${client.error.message}` : ""}.` : "";
    const text = this.#wasConnected
      ? `No connection to the hub${since}. All prices are old.${end}`
      : `No connection to the hub yet.${end}`;
    if (banner.firstChild.data !== text) banner.firstChild.data = text;
    banner.lastChild.textContent = this.#lostAt === null ? "" : ` Lost ${ageText(Date.now() - this.#lostAt)} ago.`;
    hide(banner, false);
  }
}

/** `read` gives `{ config, token }`, or a promise of them; why it can't stands on the page. */
export async function start(read) {
  try {
    const { config, token } = await read();
    globalThis.pulsewsPage = new Page(config, token);
  } catch (error) {
    const banner = byId("banner");
    banner.textContent = `The page can't start: ${error.message}`;
    banner.hidden = false;
    throw error;
  }
}
