// SPDX-License-Identifier: Apache-2.0
// Whether the types are those of the modules.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import * as module from "../pulsews.js";
import { complete } from "../src/options.js";
import { LABELS } from "../src/view.js";
import { world } from "./support/fakes.js";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const typesOf = (name) => readFileSync(path(`../${name}.d.ts`), "utf8");
const declared = typesOf("pulsews");

/** The members of an interface or class, in order of the alphabet. */
function members(name, file = "pulsews") {
  const body = typesOf(file).match(new RegExp(`(?:interface|class) ${name}(?:<.*>)?(?: extends \\w+)? \\{\\n(.*?)\\n\\}`, "s"))[1];
  return [...new Set([...body.matchAll(/^ {2}(?:readonly )?(\w+)[?:<(]/gm)].map(([, member]) => member))].sort();
}

for (const project of ["tsconfig", "tsconfig_react"]) {
  test(`tsc takes programs that use them as they should, and refuses what it should not: ${project}`, async () => {
    const { stdout } = await promisify(execFile)("tsc", ["--project", path(`types/${project}.json`)]).catch((error) => error);
    assert.equal(stdout, "");
  });
}

test("each option, event, statistic and method is declared, and no other", () => {
  assert.deepEqual(members("Options"), Object.keys(complete({})).sort());
  const { client } = world({ autoConnect: false });
  assert.deepEqual(members("Statistics"), Object.keys(client.statistics()).sort());
  const own = Object.getOwnPropertyNames(Object.getPrototypeOf(client));
  assert.deepEqual(members("PulseWS"), [...own, "removeEventListener"].sort());
  const exported = [...declared.matchAll(/^export (?:class|const|function) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(exported.sort(), Object.keys(module).sort());
  assert.deepEqual(members("Labels", "components"), Object.keys(LABELS).sort());
});
