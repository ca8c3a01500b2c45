// SPDX-License-Identifier: Apache-2.0
// The single script for pages without modules.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createContext, runInContext } from "node:vm";

import * as components from "../components.js";
import * as module from "../pulsews.js";
import { FakeSocket, settle, world } from "./support/fakes.js";

const TOOL = fileURLToPath(new URL("../../../tools/web", import.meta.url));

test("it has all that the modules export, and connects", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "pulsews-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "pulsews.global.js");
  await promisify(execFile)(TOOL, [file]);
  const page = createContext({ Event, EventTarget, CustomEvent, URL, TextEncoder, queueMicrotask, AbortController });
  runInContext(await readFile(file, "utf8"), page, { filename: file });
  const { PulseWS } = page;
  const wanted = [...Object.keys(module), ...Object.keys(components), "componentsFor"].filter((name) => name !== "PulseWS");
  for (const name of wanted) assert.notEqual(PulseWS[name], undefined, name);
  assert.deepEqual(Object.keys(page).filter((name) => /[Pp]ulse|module/.test(name)), ["PulseWS"]);
  assert.equal(PulseWS.VERSION, module.VERSION);
  const { environment } = world({ autoConnect: false }).client;
  const client = new PulseWS("/ws/stream", { environment });
  await settle();
  FakeSocket.made.at(-1).welcome();
  assert.equal(client.state, "connected");
  client.close();
});
