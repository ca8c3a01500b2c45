// SPDX-License-Identifier: Apache-2.0
// Candles drawn by Lightweight Charts 4. Whatever it throws, now or in a frame of its own, ends the chart and nothing else.

import { decimalsOf } from "./decimal.js";
import { make } from "./dom.js";

const MOST_SLOTS = 60; // of one hole: a weekend is not drawn minute by minute
const SHOWN = 90;
const PATIENCE = 10_000;

const isLibrary = (library) => typeof library?.createChart === "function";

/** The library, which sets a global. It is one script for all charts of the page; a page in one file has it already. */
export function loadLibrary(address) {
  if (isLibrary(globalThis.LightweightCharts)) return Promise.resolve({ library: globalThis.LightweightCharts, source: address });
  const script = make("script", { src: address });
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`${address} did not come in ${PATIENCE / 1000} s`)), PATIENCE);
    script.addEventListener("load", () => {
      clearTimeout(timer);
      const library = globalThis.LightweightCharts;
      if (isLibrary(library)) done({ library, source: script.src });
      else fail(new Error(`${address} is no Lightweight Charts`));
    });
    script.addEventListener("error", () => {
      clearTimeout(timer);
      fail(new Error(`${address} can't be loaded`));
    });
    document.head.append(script);
  });
}

/** Colours of the style sheet, for a canvas. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

const seconds = (time) => Math.floor(time / 1000);
const bar = ({ start, open, high, low, close }) => ({
  time: seconds(start), open: Number(open), high: Number(high), low: Number(low), close: Number(close),
});

export class CandleChart {
  #chart = null;
  #series = null;
  #holes = null;
  #remove = null;

  /** `failed(error)` is called once, when the chart is over; `pointed(start)` with the candle under the pointer, or null. */
  constructor({ library, source }, element, { failed, pointed }) {
    this.failed = failed;
    const caught = (event) => {
      if (event.filename !== source) return;
      event.preventDefault(); // told on the page
      this.#fail(event.error ?? new Error(event.message));
    };
    addEventListener("error", caught);
    this.#remove = () => removeEventListener("error", caught);
    this.#try(() => {
      this.#chart = library.createChart(element, { autoSize: true });
      this.#holes = this.#chart.addHistogramSeries({
        priceScaleId: "holes", priceLineVisible: false, lastValueVisible: false, base: 0,
        autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 1 } }),
      });
      this.#chart.priceScale("holes").applyOptions({ scaleMargins: { top: 0, bottom: 0 } });
      this.#series = this.#chart.addCandlestickSeries({ borderVisible: false });
      this.#chart.subscribeCrosshairMove(({ time }) => pointed(time === undefined ? null : time * 1000));
      this.paint();
    });
  }

  get isAlive() {
    return this.#chart !== null;
  }

  #try(run) {
    try {
      run();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error) {
    if (this.#remove === null) return;
    this.close();
    this.failed(error);
  }

  close() {
    this.#remove?.();
    this.#remove = null;
    const chart = this.#chart;
    this.#chart = null;
    try {
      chart?.remove();
    } catch (error) {
      this.lastError = error; // a chart that is broken may not even be removed; its element is emptied by who owns it
    }
  }

  paint() {
    if (!this.isAlive) return;
    const colour = colours();
    this.#try(() => {
      this.#chart.applyOptions({
        layout: { background: { color: colour("panel") }, textColor: colour("muted"), fontSize: 11, fontFamily: colour("font") },
        grid: { vertLines: { color: colour("line") }, horzLines: { color: colour("line") } },
        rightPriceScale: { borderColor: colour("border") },
        timeScale: { borderColor: colour("border"), timeVisible: true, secondsVisible: false, rightOffset: 3 },
        crosshair: { mode: 0 },
      });
      const [up, down] = [colour("up"), colour("down")];
      this.#series.applyOptions({ upColor: up, wickUpColor: up, downColor: down, wickDownColor: down });
      this.#holes.applyOptions({ color: colour("hole") });
    });
  }

  /** All candles, with room where some are missing. */
  fill(list, holes, length) {
    if (!this.isAlive) return;
    this.#try(() => {
      const empty = holes.flatMap(({ from, missing }) =>
        Array.from({ length: Math.min(missing, MOST_SLOTS) }, (_, index) => ({ time: seconds(from + index * (length ?? 1000)) })));
      const bars = [...list.filter(({ isGap }) => !isGap).map(bar), ...empty].sort((a, b) => a.time - b.time);
      const decimals = Math.min(12, Math.max(0, ...list.slice(-50).map(({ close }) => (close === null ? 0 : decimalsOf(close)))));
      this.#series.applyOptions({ priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
      this.#series.setData(bars);
      this.slots = bars.length;
      this.#holes.setData(empty.map(({ time }) => ({ time, value: 1 })));
    });
  }

  update(candle) {
    if (this.isAlive) this.#try(() => this.#series.update(bar(candle)));
  }

  /** The newest candles, as many as can be told apart. */
  showEnd() {
    if (!this.isAlive) return;
    this.#try(() => {
      this.#chart.timeScale().setVisibleLogicalRange({ from: Math.max(-3, this.slots - SHOWN), to: Math.max(30, this.slots) + 3 });
    });
  }
}
