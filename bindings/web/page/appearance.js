// SPDX-License-Identifier: Apache-2.0
// Dark, light, or as the system has it.

import { byId } from "./dom.js";

const KEY = "pulsews-theme";
const ORDER = ["system", "light", "dark"];

/** The button that changes it. `changed` is called when colours are others, also by the system. */
export function setUpTheme(elements, changed) {
  const root = document.documentElement;
  const button = byId("theme");
  const show = () => {
    const theme = root.dataset.theme ?? "system";
    button.textContent = `Theme: ${theme}`;
    for (const element of elements) {
      if (theme === "system") element.removeAttribute("theme");
      else element.setAttribute("theme", theme);
    }
    changed();
  };
  button.addEventListener("click", () => {
    const next = ORDER[(ORDER.indexOf(root.dataset.theme ?? "system") + 1) % ORDER.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      if (next === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, next);
    } catch {
      button.title = "The browser does not keep this choice.";
    }
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  show();
}
