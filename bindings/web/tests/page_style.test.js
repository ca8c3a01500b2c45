// SPDX-License-Identifier: Apache-2.0
// Whether the page can be read in both themes, and names only what is there.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const read = (name) => readFileSync(new URL(`../page/${name}`, import.meta.url), "utf8");
const style = read("page.css");

/** The colours of the rules for `:root` whose selector has these words. */
function colours(selector) {
  const at = style.indexOf(selector);
  assert.ok(at >= 0, selector);
  const body = style.slice(style.indexOf("{", at), style.indexOf("}", at));
  return Object.fromEntries([...body.matchAll(/--([\w-]+): (#\w{6}|rgba\(.*?\))/g)].map(([, name, value]) => [name, value]));
}

function light(colour) {
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
  const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(a, b) {
  const [dark, bright] = [light(a), light(b)].sort((x, y) => x - y);
  return (bright + 0.05) / (dark + 0.05);
}

test("words can be read on their ground in both themes", () => {
  for (const set of [colours(":root {"), colours(':root[data-theme="dark"]')]) {
    for (const name of ["text", "muted", "up", "down", "warn", "bad"]) {
      for (const ground of ["panel", "hover", "chosen"]) {
        const found = contrast(set[name], set[ground]);
        assert.ok(found >= 4.5, `${name} on ${ground}: ${found.toFixed(2)}`);
      }
    }
    assert.ok(contrast(set.bad, set["bad-ground"]) >= 4.5);
    assert.ok(contrast(set.text, set.ground) >= 4.5);
    for (const ground of ["panel", "chosen"]) assert.ok(contrast(set.focus, set[ground]) >= 3);
  }
});

test("the system's dark theme is the chosen one", () => {
  assert.deepEqual(colours(':root:not([data-theme="light"])'), colours(':root[data-theme="dark"]'));
});

test("scripts name elements that the page has, and the page needs nothing from elsewhere", () => {
  const html = read("index.html");
  const ids = new Set([...html.matchAll(/ id="([\w-]+)"/g)].map(([, id]) => id));
  const scripts = readdirSync(new URL("../page/", import.meta.url)).filter((name) => name.endsWith(".js")).map(read).join("\n");
  for (const [, id] of scripts.matchAll(/byId\("([\w-]+)"\)/g)) assert.ok(ids.has(id), id);
  for (const [, id] of html.matchAll(/aria-labelledby="([\w-]+)"/g)) assert.ok(ids.has(id), id);
  assert.deepEqual([...html.matchAll(/(?:src|href)="(https?:[^"]+)"/g)].map(([, url]) => url), ["https://www.tradingview.com/"]);
  assert.doesNotMatch(html, /style=|<style|<script>|\son\w+=/);
  assert.doesNotMatch(scripts, /innerHTML|eval\(|setAttribute\("style"/);
});
