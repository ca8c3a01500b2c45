// SPDX-License-Identifier: Apache-2.0
// The page's elements: made, written to only where something changed, and drawn together once a frame.

const SVG = "http://www.w3.org/2000/svg";
const LEAST_BETWEEN = 50; // milliseconds between two drawings: nobody reads faster

/** Shapes that differ without their colours: 16 by 16. */
const ICONS = {
  live: "M8 5.25a2.75 2.75 0 1 0 0 5.5a2.75 2.75 0 1 0 0-5.5z",
  waiting: "M3 8h.1M8 8h.1M13 8h.1",
  stale: "M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12zM8 4.75V8l2.25 1.75",
  gap: "M1.5 8h4M10.5 8h4M6.5 4.5v7M9.5 4.5v7",
  failover: "M2 5.5h10M9.5 3l2.75 2.5L9.5 8M14 10.5H4M6.5 8L3.75 10.5L6.5 13",
  degraded: "M8 2.25L14.5 13.5h-13zM8 6.5v3.25M8 11.6v.1",
  ended: "M4 4h8v8H4z",
  refused: "M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12zM5.5 5.5l5 5M10.5 5.5l-5 5",
  unconfirmed: "M5.75 6a2.25 2.25 0 1 1 3.2 2.05c-.6.3-.95.7-.95 1.45M8 12v.1",
  lost: "M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12zM12.2 3.8l-8.4 8.4",
};

export const byId = (id) => document.getElementById(id);

export function make(name, { attributes = {}, ...properties } = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

export function makeSvg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** An element with one text, whose node stays the same. */
export class Text {
  #node = document.createTextNode("");

  constructor(name, className = "", attributes = {}) {
    this.element = make(name, { className, attributes }, this.#node);
  }

  write(text) {
    if (this.#node.data !== text) this.#node.data = text;
  }

  /** Properties of data-, for the style. */
  mark(name, value) {
    if (this.element.dataset[name] !== value) this.element.dataset[name] = value;
  }
}

/** Icon, word and colour of a kind of freshness. */
export class StateMark {
  #kind = null;
  #path = makeSvg("path", { "stroke-linecap": "round", "stroke-linejoin": "round" });
  #word = new Text("span", "word");

  constructor(element) {
    this.element = element;
    const svg = makeSvg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true", class: "mark" }, this.#path);
    element.append(svg, this.#word.element);
  }

  show(kind, word, sentence) {
    if (kind !== this.#kind) {
      this.#path.setAttribute("d", ICONS[kind]);
      this.element.dataset.kind = kind;
      this.#kind = kind;
    }
    this.#word.write(word);
    if (this.element.title !== sentence) this.element.title = sentence;
  }
}

export function hide(element, isHidden) {
  if (element.hidden !== isHidden) element.hidden = isHidden;
}

export function note(element, text) {
  if (element.textContent !== text) element.textContent = text;
  hide(element, text === "");
}

/** Parts of the page that have to be drawn: each once, all in one frame. What one throws disturbs no other. */
export class Frames {
  #due = new Set();
  #isAsked = false;
  #last = -Infinity;

  soon(part) {
    this.#due.add(part);
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now) {
    if (now - this.#last < LEAST_BETWEEN) {
      requestAnimationFrame((later) => this.#frame(later));
      return;
    }
    this.#last = now;
    this.#isAsked = false;
    const parts = [...this.#due];
    this.#due.clear();
    for (const part of parts) {
      try {
        part.draw();
      } catch (error) {
        reportError(error);
      }
    }
  }
}

/** Buttons of which one is pressed. */
export function choice(element, options, chosen, choose) {
  const buttons = options.map(([value, label]) => {
    const button = make("button", { type: "button", textContent: label });
    button.addEventListener("click", () => choose(value));
    return [value, button];
  });
  element.replaceChildren(...buttons.map(([, button]) => button));
  const show = (value) => {
    for (const [own, button] of buttons) button.setAttribute("aria-pressed", String(own === value));
  };
  show(chosen);
  return show;
}
