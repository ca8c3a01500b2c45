// SPDX-License-Identifier: Apache-2.0
// The equity: its last value as it was published, and a line of the values before.

import { changeOf, percentOf } from "./decimal.js";
import { byId, make, makeSvg, StateMark, Text } from "./dom.js";
import { kindOf, sentenceOf, WORDS } from "./freshness.js";
import { exactText } from "./rows.js";
import { ageText, clockText } from "./times.js";

const MOST = 1000;
const [WIDTH, HEIGHT] = [300, 72];

/** The path of points in time: a gap is where the line is broken. */
export function pathOf(points, width = WIDTH, height = HEIGHT) {
  const values = points.filter((point) => point !== null);
  if (values.length === 0) return "";
  const [from, to] = [values[0].time, values.at(-1).time];
  const numbers = values.map(({ value }) => Number(value));
  const low = numbers.reduce((a, b) => Math.min(a, b));
  const high = numbers.reduce((a, b) => Math.max(a, b));
  const x = ({ time }) => (to === from ? width : ((time - from) / (to - from)) * width);
  const y = ({ value }) => (high === low ? height / 2 : height - ((Number(value) - low) / (high - low)) * height);
  let isBegun = false;
  const steps = [];
  for (const point of points) {
    if (point !== null) steps.push(`${isBegun ? "L" : "M"}${x(point).toFixed(1)} ${y(point).toFixed(1)}`);
    isBegun = point !== null;
  }
  return steps.join("");
}

export class EquityPanel {
  #points = []; // null: a gap
  #values = { topicState: "live", cause: "", feed: "", refusal: "", isMissing: false, isConfirmed: true };

  constructor(page) {
    this.page = page;
    const { equityTopic, equityHistory } = page.config;
    this.value = new Text("output", "value");
    this.change = new Text("span", "change");
    this.since = new Text("span", "muted");
    this.path = makeSvg("path", { "vector-effect": "non-scaling-stroke" });
    const attributes = {
      viewBox: `0 -4 ${WIDTH} ${HEIGHT + 8}`, preserveAspectRatio: "none", class: "line-chart",
      role: "img", "aria-label": "Equity over time",
    };
    const figures = make("p", { className: "figures" }, this.value.element, this.change.element, this.since.element);
    byId("equity-body").append(figures, makeSvg("svg", attributes, this.path));
    this.state = new StateMark(byId("equity-state"));
    this.topic = equityTopic;
    page.client.subscribe(equityTopic, (message) => this.#take(message), {
      history: equityHistory,
      onState: ({ state, cause = "", feed = "" }) => this.#set({ topicState: state, cause, feed, refusal: "" }),
      onGap: () => {
        if (this.#points.at(-1) !== null && this.#points.length > 0) this.#points.push(null);
        this.#set({ isMissing: true });
      },
      onError: ({ data }) => this.#set({ refusal: data?.message || "no reason was given" }),
    });
    page.frames.soon(this);
  }

  #take(message) {
    const value = exactText(message, this.page.config.equityMember);
    if (value === null) return this.#set({ cause: `a message without ${this.page.config.equityMember}` });
    const time = message.t?.[0] ?? message.t?.[2] ?? Date.now();
    const last = this.#points.findLast((point) => point !== null);
    if (last === undefined || time > last.time) this.#points.push({ time, value });
    if (this.#points.length > MOST) this.#points.shift();
    return this.#set({ isMissing: false, isConfirmed: true, at: message.t?.[2] ?? Date.now() });
  }

  #set(values) {
    Object.assign(this.#values, values);
    this.page.frames.soon(this);
  }

  subscribed({ topic, recovered }) {
    if (recovered && topic === this.topic) this.#set({ isConfirmed: true });
  }

  lose() {
    this.#set({ isConfirmed: false });
  }

  draw() {
    const values = this.#points.filter((point) => point !== null);
    const [first, last] = [values[0], values.at(-1)];
    this.value.write(last?.value ?? "\u2013");
    const change = last === undefined ? null : changeOf(first.value, last.value);
    const percent = last === undefined ? null : percentOf(first.value, last.value);
    this.change.write([change, percent && `(${percent})`].filter(Boolean).join(" "));
    this.change.mark("side", change === null ? "0" : { "+": "1", "\u2212": "-1" }[change[0]] ?? "0");
    this.since.write(last === undefined || values.length < 2 ? "" : `since ${clockText(first.time)}`);
    this.path.setAttribute("d", pathOf(this.#points));
    this.tick();
  }

  tick() {
    const { isConnected, now, offset } = this.page.situation();
    const { refusal, cause, feed, at, ...values } = this.#values;
    const age = at === undefined ? null : Math.max(0, now + offset - at);
    const kind = kindOf({ ...values, topic: values.topicState, isConnected, isRefused: refusal !== "", age, staleAfter: 0 });
    const word = kind === "waiting" ? "None yet" : kind === "live" ? ageText(age) : WORDS[kind];
    const sentence = kind === "waiting" ? "No value has come yet." : sentenceOf(kind, refusal || cause, feed).replaceAll("price", "value");
    this.state.show(kind, word, sentence);
    byId("equity").classList.toggle("old", kind !== "live");
  }
}
