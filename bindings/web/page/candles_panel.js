// SPDX-License-Identifier: Apache-2.0
// The candles of the chosen symbol: a chart, or a table of the same, which also stands there when there is no chart.

import { Candles } from "./candles.js";
import { CandleChart, loadLibrary } from "./chart.js";
import { topicOf } from "./config.js";
import { byId, choice, hide, make, note, StateMark } from "./dom.js";
import { kindOf, sentenceOf, WORDS } from "./freshness.js";
import { minuteText } from "./times.js";

const MOST_LINES = 200; // of the table
const HEADS = ["Open time, UTC", "Open", "High", "Low", "Close", "Volume", "State"];
const FIGURES = ["open", "high", "low", "close", "volume"];
const DAY = 86_400_000;

export class CandlesPanel {
  #subscription = null;
  #chart = null;
  #library = null;
  #whyNot = "";
  #view = "chart";
  #pointed = null;
  #isWhole = true; // all of it has to be drawn, not the last candle alone
  #isNew = true; // nothing of this topic was drawn

  constructor(page) {
    this.page = page;
    this.state = new StateMark(byId("candles-state"));
    this.symbol = "";
    [this.interval] = page.config.intervals;
    this.showInterval = choice(byId("intervals"), page.config.intervals.map((one) => [one, one]), this.interval, (interval) => {
      this.interval = interval;
      this.show(this.symbol);
    });
    this.showView = choice(byId("views"), [["chart", "Chart"], ["table", "Table"]], this.#view, (view) => this.#choose(view));
    this.#empty();
    if (page.config.chart === "") this.#failed(new Error("no chart library is configured"));
    else {
      loadLibrary(page.config.chart).then(
        (library) => {
          this.#library = library;
          this.#choose(this.#view);
        },
        (error) => this.#failed(error),
      );
    }
  }

  // ---- what comes

  #empty() {
    this.candles = new Candles(this.interval);
    Object.assign(this, { topicState: "live", cause: "", feed: "", refusal: "", isMissing: false, isConfirmed: true });
    this.#isWhole = this.#isNew = true;
    this.#pointed = null;
  }

  show(symbol) {
    const { config, client, frames } = this.page;
    this.#subscription?.close();
    this.symbol = symbol;
    this.showInterval(this.interval);
    this.#empty();
    const name = `${symbol} ${this.interval}`;
    byId("candles-title").textContent = symbol === "" ? "Candles" : name;
    if (symbol === "") return;
    byId("chart").setAttribute("aria-label", `Candle chart of ${name}; choose Table to read the candles`);
    this.#subscription = client.subscribe(topicOf(config.candleTopic, symbol, this.interval), (message) => this.#candle(message), {
      history: config.candleHistory,
      onState: ({ state, cause = "", feed = this.feed }) => this.#changed({ topicState: state, cause, feed, refusal: "" }),
      onGap: () => this.#changed({ isMissing: true }),
      onError: ({ data }) => this.#changed({ refusal: data?.message || "no reason was given" }),
    });
    frames.soon(this);
  }

  #candle(message) {
    const result = this.candles.take(message);
    Object.assign(this, { isMissing: false, isConfirmed: true, at: message.t?.[2] ?? Date.now() });
    // A candle that is added may come behind a hole.
    if (result === "added" || result === "filled") this.#isWhole = true;
    this.page.frames.soon(this);
  }

  #changed(values) {
    Object.assign(this, values);
    this.page.frames.soon(this);
  }

  subscribed({ topic, recovered }) {
    if (recovered && this.#subscription?.topics.includes(topic)) this.#changed({ isConfirmed: true });
  }

  lose() {
    this.#changed({ isConfirmed: false });
  }

  // ---- chart or table

  #choose(view) {
    this.#view = view;
    this.showView(view);
    if (view === "chart" && this.#chart === null && this.#library !== null) this.#begin();
    const isChart = view === "chart" && this.#chart !== null;
    hide(byId("chart"), !isChart);
    hide(byId("attribution"), !isChart);
    hide(byId("candle-table"), isChart);
    this.#isWhole = true;
    this.page.frames.soon(this);
  }

  #begin() {
    this.#whyNot = "";
    const element = byId("chart");
    hide(element, false); // it is measured
    const chart = new CandleChart(this.#library, element, {
      failed: (error) => this.#failed(error),
      pointed: (start) => {
        this.#pointed = start;
        this.#drawLegend();
      },
    });
    if (chart.isAlive) this.#chart = chart;
    this.#isNew = true;
  }

  #failed(error) {
    this.#chart = null;
    this.#library = null; // it is not tried again
    this.#whyNot = `No chart: ${error.message}. The table has the same candles.`;
    byId("chart").replaceChildren();
    for (const button of byId("views").children) if (button.textContent === "Chart") button.disabled = true;
    this.#choose("table");
  }

  paint() {
    this.#chart?.paint();
  }

  // ---- what is seen

  draw() {
    this.#drawState();
    this.#drawLegend();
    const { candles } = this;
    const holes = this.#isWhole ? candles.holes() : [];
    if (this.#isWhole) this.#drawHoles(holes);
    if (this.#chart !== null && this.#view === "chart") this.#drawChart(holes);
    else this.#drawTable();
    this.#isWhole = false;
  }

  tick() {
    this.#drawState();
  }

  #drawState() {
    const { isConnected, now, offset, staleAfter } = this.page.situation();
    const age = this.candles.size === 0 ? null : Math.max(0, now + offset - this.at);
    const kind = kindOf({
      isConnected, isRefused: this.refusal !== "", isConfirmed: this.isConfirmed, topic: this.topicState, age, isMissing: this.isMissing,
      staleAfter: staleAfter > 0 && this.candles.length !== null ? staleAfter + this.candles.length : 0,
    });
    const word = kind === "waiting" ? "No candles" : WORDS[kind];
    const sentence = kind === "waiting" ? "No candle has come yet." : sentenceOf(kind, this.refusal || this.cause, this.feed);
    this.state.show(kind, word, sentence.replaceAll("price", "candle"));
    byId("candles").classList.toggle("old", kind !== "live");
  }

  #drawLegend() {
    const { candles } = this;
    const candle = candles.get(this.#pointed) ?? candles.last;
    const parts = candle === null || candle.isGap ? [] : [
      minuteText(candle.start),
      ...FIGURES.map((name) => (candle[name] === null ? "" : `${name[0].toUpperCase()}\u00a0${candle[name]}`)),
      candle.isClosed || candle.isOver ? "" : "open",
    ];
    const text = parts.filter(Boolean).join("  ");
    const legend = byId("legend");
    if (legend.textContent !== text) legend.textContent = text;
  }

  #drawHoles(holes) {
    const words = holes.slice(-3).map(({ from, to, missing }) =>
      `${minuteText(from)}${to === from ? "" : ` to ${minuteText(to, to - from >= DAY)}`} (${missing})`);
    const text = holes.length === 0 ? "" : `Missing candles: ${holes.length > 3 ? "... " : ""}${words.join(", ")}`;
    note(byId("candles-note"), [this.#whyNot, text].filter(Boolean).join(" "));
  }

  #drawChart(holes) {
    const { candles } = this;
    if (!this.#isWhole) {
      if (candles.last?.isGap === false) this.#chart.update(candles.last);
      return;
    }
    this.#chart.fill(candles.list(), holes, candles.length);
    if (this.#isNew && candles.size > 0) this.#chart?.showEnd();
    this.#isNew = candles.size === 0;
  }

  #drawTable() {
    const element = byId("candle-table");
    if (element.firstChild === null || this.#isWhole) {
      const heads = HEADS.map((text) => make("th", { textContent: text, scope: "col" }));
      this.body = make("tbody");
      const attributes = { "aria-label": `Candles of ${this.symbol} ${this.interval}` };
      element.replaceChildren(make("table", { className: "table", attributes }, make("thead", {}, make("tr", {}, ...heads)), this.body));
      this.body.append(...this.#tableRows());
    } else if (this.candles.last?.isGap === false) this.body.firstChild?.replaceWith(this.#candleRow(this.candles.last));
  }

  *#tableRows() {
    const holes = this.candles.holes().reverse();
    for (const candle of this.candles.list().slice(-MOST_LINES).reverse()) {
      while (holes.length > 0 && holes[0].from >= candle.start) yield this.#holeRow(holes.shift());
      if (!candle.isGap) yield this.#candleRow(candle);
    }
  }

  #candleRow(candle) {
    const texts = [minuteText(candle.start), candle.open, candle.high, candle.low, candle.close, candle.volume ?? "",
      candle.isClosed || candle.isOver ? "" : "open"];
    const [time, ...rest] = texts;
    const head = make("th", { textContent: time, scope: "row" });
    return make("tr", {}, head, ...rest.map((text) => make("td", { textContent: text })));
  }

  #holeRow({ from, to, missing }) {
    const span = to === from ? minuteText(from) : `${minuteText(from)} to ${minuteText(to)}`;
    const text = `${span}: ${missing === 1 ? "one candle is" : `${missing} candles are`} missing`;
    return make("tr", { className: "hole" }, make("td", { textContent: text, colSpan: HEADS.length }));
  }
}
