// SPDX-License-Identifier: Apache-2.0
// Whether docs/WEB.md has everything, and its programs can be run.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { configure } from "../page/config.js";
import { WORDS } from "../page/freshness.js";
import { complete } from "../src/options.js";
import { world } from "./support/fakes.js";

const page = readFileSync(new URL("../../../docs/WEB.md", import.meta.url), "utf8");
const declared = readFileSync(new URL("../pulsews.d.ts", import.meta.url), "utf8");

function section(title) {
  return page.split(/^## /m).find((text) => text.startsWith(`${title}\n`));
}

/** The words in backticks of a section's tables. */
function words(title) {
  const rows = section(title).split("\n").filter((line) => line.startsWith("|"));
  return new Set(rows.flatMap((row) => [...row.matchAll(/`([^`]+)`/g)].map(([, word]) => word)));
}

const quoted = (name) => [...declared.match(new RegExp(`export type ${name} = (.*);`))[1].matchAll(/"(\w+)"/g)].map(([, word]) => word);

test("every option, event and statistic has its row", () => {
  const { client } = world({ autoConnect: false });
  const details = declared.match(/interface Details \{\n(.*?)\n\}/s)[1];
  const events = [...details.matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name);
  assert.ok(events.length > 15);
  const missing = (title, names) => names.filter((name) => !words(title).has(name));
  assert.deepEqual(missing("Options", Object.keys(complete({})).filter((name) => name !== "environment")), []);
  assert.deepEqual(missing("Events", events), []);
  assert.deepEqual(missing("Statistics", Object.keys(client.statistics())), []);
  for (const cause of quoted("DropCause")) assert.ok(section("Sending").includes(`\`${cause}\``), cause);
  for (const reason of quoted("TokenReason")) assert.ok(section("Tokens").includes(`\`${reason}\``), reason);
});

test("every setting of the page has its row, and every word of its list", () => {
  const names = words("The page");
  assert.deepEqual(Object.keys(configure({})).filter((name) => !names.has(name)), []);
  const text = section("The page");
  for (const [kind, word] of Object.entries(WORDS)) if (kind !== "live") assert.match(text, new RegExp(`^\\| .*${word}.* \\|`, "m"), word);
});

test("defaults are those of the module", () => {
  const preset = complete({});
  for (const row of section("Options").split("\n").filter((line) => line.startsWith("| `"))) {
    const [, names, values] = row.split("|").map((cell) => cell.trim());
    if (values === "") continue;
    const given = values.startsWith("`") ? [values.replaceAll("`", "")] : values.split(", ").map((value) => value.replaceAll("`", ""));
    names.split(", ").forEach((name, index) => {
      const { [name.replaceAll("`", "")]: value } = preset;
      const text = given[index].replace("1 MiB", String(1 << 20));
      assert.equal(Array.isArray(value) ? JSON.stringify(value) : String(value), text.replace(", ", ","), name);
    });
  }
});

test("the codes of errors are those of the module", () => {
  const read = (name) => readFileSync(new URL(`../src/${name}.js`, import.meta.url), "utf8");
  const source = ["errors", "keeper", "client"].map(read).join("\n");
  const codes = section("Errors").split("\n").filter((line) => line.startsWith("| `")).flatMap((line) => line.split("|")[1].split(","));
  assert.ok(codes.length >= 20);
  for (const code of codes) assert.ok(source.includes(code.trim().replaceAll("`", '"')), code);
});

test("the programs of the page are JavaScript", async () => {
  const programs = [...page.matchAll(/^```js\n(.*?)^```/gms)].map(([, text]) => text);
  programs.push(...[...page.matchAll(/<script type="module">\n(.*?)<\/script>/gs)].map(([, text]) => text));
  assert.ok(programs.length >= 4);
  for (const text of programs) new Function(text.replace(/^\s*import .*$/gm, "").replace(/^export /gm, ""));
});

test("the page names what components can be told", () => {
  const style = readFileSync(new URL("../src/style.js", import.meta.url), "utf8");
  const elements = readFileSync(new URL("../components.js", import.meta.url), "utf8");
  const text = section("Components");
  for (const [, name] of style.matchAll(/var\(--pulsews-([\w-]+)/g)) assert.ok(text.includes(`-${name}\``), name);
  for (const [, name] of elements.matchAll(/part: "(\w+)"/g)) assert.ok(text.includes(`\`${name}\``), name);
});
