// SPDX-License-Identifier: Apache-2.0
// The list of prices. A row is drawn when it has changed and can be seen; its text nodes stay.

import { symbolOf, topicOf } from "./config.js";
import { byId, make, note, StateMark, Text } from "./dom.js";
import { isLive, WORDS } from "./freshness.js";
import { memberOf, Rows } from "./rows.js";
import { ageText } from "./times.js";

const COLUMNS = [
  ["symbol", "Symbol", "symbol"],
  [null, "Price", "price"],
  [null, "Change", "change"],
  ["change", "Change, %", "percent"],
  ["age", "Age", "age"],
  ["state", "State", "state"],
];
const ARROWS = { "-1": "\u25bc", 0: "", 1: "\u25b2" };
const MOST_DIGITS = 10; // of a price beside which its change has room
const SORT_AGAIN = 2000;

class Line {
  constructor(row) {
    this.row = row;
    this.isSeen = false;
    const cell = (className) => new Text("span", className, { role: "gridcell" });
    this.price = cell("price");
    this.change = cell("change");
    this.percent = cell("percent");
    this.age = cell("age");
    this.arrow = new Text("span", "arrow", { "aria-hidden": "true" });
    this.price.element.prepend(this.arrow.element);
    const state = make("span", { className: "state", attributes: { role: "gridcell" } });
    this.state = new StateMark(state);
    const symbol = make("span", { className: "symbol", textContent: row.symbol, title: row.symbol, attributes: { role: "rowheader" } });
    const cells = [symbol, this.price.element, this.change.element, this.percent.element, this.age.element, state];
    this.element = make("div", { className: "line", tabIndex: -1, attributes: { role: "row", "aria-selected": "false" } }, ...cells);
    this.element.dataset.symbol = row.symbol;
  }

  draw(situation) {
    const { change, percent, direction, side } = this.row.change();
    this.drawAge(situation);
    this.price.write(this.row.price ?? "\u2013");
    this.arrow.write(ARROWS[direction]);
    this.change.write(change ?? "");
    this.percent.write(percent ?? "");
    this.change.mark("side", String(side));
    this.percent.mark("side", String(side));
    this.arrow.mark("side", String(direction));
  }

  drawAge(situation) {
    const { age, kind, sentence } = this.row.view(situation);
    this.age.write(ageText(age));
    this.state.show(kind, WORDS[kind], sentence);
    if (this.element.dataset.kind !== kind) {
      this.element.dataset.kind = kind;
      this.element.classList.toggle("old", !isLive(kind));
    }
  }
}

export class PricesPanel {
  #lines = new Map();
  #dirty = new Set();
  #topics = new Map(); // topic: its rows, and what the hub said of it last
  #list = [];
  #selected = null;
  #sortedAt = 0;
  #isListDue = true;
  #digits = 8;

  /** `page`: what all panels share; `select(symbol)` shows its candles. */
  constructor(page, select) {
    this.page = page;
    this.select = select;
    this.rows = new Rows();
    this.grid = byId("grid");
    this.shown = byId("shown");
    this.body = make("div", { className: "lines", attributes: { role: "rowgroup" } });
    this.grid.append(this.#head(), this.body);
    this.observer = new IntersectionObserver((entries) => this.#seen(entries));
    byId("filter").addEventListener("input", ({ target }) => {
      this.rows.filter = target.value;
      this.#listSoon();
    });
    this.body.addEventListener("click", ({ target }) => this.choose(target.closest(".line")?.dataset.symbol));
    this.body.addEventListener("keydown", (event) => this.#key(event));
    const { symbols, topics, priceTopic } = page.config;
    this.follow([...symbols.map((symbol) => topicOf(priceTopic, symbol)), ...topics]);
    for (const symbol of symbols) this.#row(symbol, topicOf(priceTopic, symbol));
  }

  // ---- what comes

  follow(topics) {
    const fresh = topics.filter((topic) => !this.#topics.has(topic));
    for (const topic of fresh) this.#topics.set(topic, { rows: new Set(), state: null });
    if (fresh.length === 0) return;
    this.page.client.subscribe(fresh, (message) => this.#price(message), {
      onState: (state) => {
        this.#topics.get(state.topic).state = state;
        this.#each(state.topic, (row) => row.takeState(state));
      },
      onGap: ({ topic }) => this.#each(topic, (row) => row.takeGap()),
      onError: ({ topic, data }) => this.#each(topic, (row) => row.takeRefusal(data?.message)),
    });
  }

  /** A topic that the route or the hub's application chose for this page. */
  offer(topic) {
    if (symbolOf(this.page.config.priceTopic, topic) !== null) this.follow([topic]);
  }

  /** The hub has answered a subscription: with all that was missed, or there was nothing to miss. */
  subscribed({ topic, recovered }) {
    if (recovered) this.#each(topic, (row) => row.confirm());
  }

  lose() {
    this.rows.lose();
  }

  #row(symbol, topic) {
    const known = this.rows.get(symbol);
    if (known !== undefined) return known;
    const row = this.rows.add(symbol);
    const { rows, state } = this.#topics.get(topic);
    rows.add(row);
    if (state !== null) row.takeState(state);
    this.#listSoon();
    return row;
  }

  #price(message) {
    const named = memberOf(message.data, "symbol");
    const symbol = typeof named === "string" && named !== "" ? named : symbolOf(this.page.config.priceTopic, message.topic);
    const row = this.#row(symbol ?? message.topic, message.topic);
    row.take(message, Date.now());
    this.#touch(row);
  }

  #each(topic, run) {
    for (const row of this.#topics.get(topic)?.rows ?? []) {
      run(row);
      this.#touch(row);
    }
  }

  #touch(row) {
    const line = this.#lines.get(row.symbol);
    if (line !== undefined) this.#dirty.add(line);
    this.page.frames.soon(this);
  }

  // ---- what is seen

  #listSoon() {
    this.#isListDue = true;
    this.page.frames.soon(this);
  }

  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const line = this.#lines.get(target.dataset.symbol);
      line.isSeen = isIntersecting;
      if (isIntersecting) this.#dirty.add(line);
    }
    this.page.frames.soon(this);
  }

  draw() {
    const situation = this.page.situation();
    if (this.#isListDue) this.#drawList(situation);
    for (const line of this.#dirty) {
      if (!line.isSeen) continue;
      line.draw(situation);
      this.#widen(line.row.price?.length ?? 0);
    }
    this.#dirty.clear();
  }

  /** Columns are as wide as the longest price; they never become narrower again, so that nothing jumps. */
  #widen(digits) {
    if (digits <= this.#digits) return;
    this.#digits = digits;
    this.grid.style.setProperty("--digits", String(digits));
    this.grid.classList.toggle("long", digits > MOST_DIGITS);
  }

  /** Twice a second: ages grow by themselves, and an order that depends on them is looked at again. */
  tick() {
    const situation = this.page.situation();
    for (const line of this.#lines.values()) if (line.isSeen) line.drawAge(situation);
    const isMoving = this.rows.sort.by !== "symbol" && !this.body.contains(document.activeElement);
    if (isMoving && situation.now - this.#sortedAt >= SORT_AGAIN) this.#listSoon();
  }

  #drawList(situation) {
    this.#isListDue = false;
    this.#sortedAt = situation.now;
    const lines = this.rows.list(situation).map((row) => this.#line(row));
    const isSame = lines.length === this.#list.length && lines.every((line, index) => line === this.#list[index]);
    if (!isSame) {
      const focused = document.activeElement;
      this.body.replaceChildren(...lines.map((line) => line.element));
      if (this.body.contains(focused)) focused.focus({ preventScroll: true });
    }
    this.#list = lines;
    this.grid.setAttribute("aria-rowcount", String(lines.length + 1));
    const { size } = this.rows;
    this.shown.textContent = lines.length === size ? String(size) : `${lines.length} of ${size}`;
    const why = size > 0 ? "No symbol matches." : "No symbols: name some in page.json, or let the route choose topics.";
    note(byId("prices-note"), lines.length === 0 ? why : "");
    this.#reach();
  }

  #line(row) {
    if (!this.#lines.has(row.symbol)) {
      const line = new Line(row);
      this.#lines.set(row.symbol, line);
      this.observer.observe(line.element);
    }
    return this.#lines.get(row.symbol);
  }

  // ---- what is chosen

  #head() {
    const cells = COLUMNS.map(([sort, label, className]) => {
      const cell = make("span", { className, attributes: { role: "columnheader" } });
      if (sort === null) cell.textContent = label;
      else this.#sorter(cell, sort, label);
      if (className === "change") cell.title = "Since this page got its first price of the symbol; exact";
      if (className === "percent") cell.title = "The same in per cent, rounded to two decimals";
      return cell;
    });
    const row = make("div", { className: "line heads", attributes: { role: "row" } }, ...cells);
    return make("div", { attributes: { role: "rowgroup" } }, row);
  }

  #sorter(cell, by, label) {
    const button = make("button", { type: "button", textContent: label });
    if (by === "symbol") cell.setAttribute("aria-sort", "ascending");
    button.addEventListener("click", () => {
      const isSame = this.rows.sort.by === by;
      this.rows.sort = { by, down: isSame ? !this.rows.sort.down : by === "change" || by === "age" };
      for (const other of this.grid.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", this.rows.sort.down ? "descending" : "ascending");
      this.#listSoon();
    });
    cell.append(button);
  }

  choose(symbol) {
    if (symbol === undefined || this.rows.get(symbol) === undefined) return;
    this.#selected = symbol;
    for (const line of this.#lines.values()) line.element.setAttribute("aria-selected", String(line.row.symbol === symbol));
    this.#reach();
    this.select(symbol);
  }

  /** One row can be reached with the tab key: the chosen one, or the first. */
  #reach(wanted = this.#list.find((line) => line.row.symbol === this.#selected) ?? this.#list[0]) {
    for (const line of this.#lines.values()) {
      line.element.tabIndex = line === wanted ? 0 : -1;
      line.element.setAttribute("aria-selected", String(line.row.symbol === this.#selected));
    }
  }

  #key(event) {
    const at = this.#list.findIndex((line) => line.element === event.target);
    if (at < 0) return;
    const last = this.#list.length - 1;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, PageDown: at + 10, PageUp: at - 10 }[event.key];
    if (event.key === "Enter" || event.key === " ") this.choose(event.target.dataset.symbol);
    else if (to === undefined) return;
    else {
      const line = this.#list[Math.min(last, Math.max(0, to))];
      this.#reach(line);
      line.element.focus();
    }
    event.preventDefault();
  }
}
