// SPDX-License-Identifier: Apache-2.0
// Draws trees of the real React without a page: function components, hooks, contexts, and elements with a ref. With React DOM and a
// page: Tests/Integration/test_web_components.py.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
export const React = require("/usr/share/nodejs/react");
const { ReactCurrentDispatcher } = React.__SECRET_INTERNALS_DO_NOT_USE_OR_YOU_WILL_BE_FIRED;

/** What an element is in place of one of the page. */
export class FakeElement extends EventTarget {
  constructor(tag) {
    super();
    this.tag = tag;
  }
}

export class Root {
  #instances = new Map(); // path: hooks of the component there
  #effects = [];
  #isDue = false;
  #seen = new Set();
  elements = new Map(); // path: { node, props }

  render(tree) {
    this.tree = tree;
    this.#draw();
  }

  unmount() {
    this.render(null);
  }

  /** The elements of that name, in order. */
  all(tag) {
    return [...this.elements.values()].filter(({ node }) => node.tag === tag);
  }

  #draw() {
    this.#seen = new Set();
    this.#walk(this.tree, "", new Map());
    for (const [path, hooks] of this.#instances) {
      if (this.#seen.has(path)) continue;
      this.#instances.delete(path);
      for (const hook of hooks) hook.cleanup?.();
    }
    for (const path of this.elements.keys()) if (!this.#seen.has(path)) this.elements.delete(path);
    for (const effect of this.#effects.splice(0)) effect();
  }

  #drawSoon = () => {
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      this.#draw();
    });
  };

  #walk(node, path, contexts) {
    if (Array.isArray(node)) return node.forEach((child, index) => this.#walk(child, `${path}/${index}`, contexts));
    if (node === null || typeof node !== "object") return undefined;
    const { type, props, ref } = node;
    const place = `${path}/${typeof type === "string" ? type : type.displayName ?? type.name ?? "provider"}`;
    this.#seen.add(place);
    if (typeof type === "function") {
      return this.#walk(this.#call(type, props, place, contexts), place, contexts);
    }
    if (typeof type !== "string") { // a provider
      return this.#walk(props.children, place, new Map(contexts).set(type._context, props.value));
    }
    if (!this.elements.has(place)) this.elements.set(place, { node: new FakeElement(type) });
    Object.assign(this.elements.get(place), { props });
    if (ref) ref.current = this.elements.get(place).node;
    return this.#walk(props.children, place, contexts);
  }

  #call(component, props, place, contexts) {
    if (!this.#instances.has(place)) this.#instances.set(place, []);
    const hooks = this.#instances.get(place);
    let next = 0;
    const hook = (make) => (hooks[next] ??= make()) && hooks[next++];
    const isSame = (a, b) => a !== undefined && b !== undefined && a.every((item, index) => Object.is(item, b[index]));
    const useReducer = (reduce, initial) => {
      const own = hook(() => ({ value: initial }));
      own.dispatch ??= (action) => {
        const value = reduce(own.value, action);
        if (Object.is(value, own.value)) return;
        own.value = value;
        this.#drawSoon();
      };
      return [own.value, own.dispatch];
    };
    const before = ReactCurrentDispatcher.current;
    ReactCurrentDispatcher.current = {
      useReducer,
      useState: (initial) => useReducer((old, value) => value, initial),
      useRef: (initial) => hook(() => ({ current: initial })),
      useContext: (context) => (contexts.has(context) ? contexts.get(context) : context._currentValue),
      useMemo: (make, inputs) => {
        const own = hook(() => ({}));
        if (!isSame(own.inputs, inputs)) Object.assign(own, { inputs, value: make() });
        return own.value;
      },
      useEffect: (run, inputs) => {
        const own = hook(() => ({}));
        if (isSame(own.inputs, inputs)) return;
        own.inputs = inputs;
        this.#effects.push(() => {
          own.cleanup?.();
          own.cleanup = run();
        });
      },
    };
    try {
      return component(props);
    } finally {
      ReactCurrentDispatcher.current = before;
    }
  }
}
