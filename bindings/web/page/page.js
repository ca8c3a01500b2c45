// SPDX-License-Identifier: Apache-2.0
// The page as modules: its configuration and its function for tokens are files of the site. docs/WEB.md, "The page".

import { configure } from "./config.js";
import { start } from "./main.js";

async function readConfig() {
  const { dataset } = document.documentElement;
  if (!dataset.config) return configure({}, dataset);
  const answer = await fetch(dataset.config, { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${dataset.config}: ${answer.status} ${answer.statusText}`);
  return configure(await answer.json(), dataset);
}

/** The function of a module of the site that gives tokens; docs/WEB.md, "Tokens". */
async function readToken({ token }) {
  if (token === "") return undefined;
  const module = await import(new URL(token, document.baseURI));
  const give = module.token ?? module.default;
  if (typeof give !== "function") throw new TypeError(`${token} exports no function token`);
  return give;
}

await start(async () => {
  const config = await readConfig();
  return { config, token: await readToken(config) };
});
