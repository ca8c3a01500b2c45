// SPDX-License-Identifier: Apache-2.0
// The page in one file, which tools/single makes of it: the configuration stands in it, and the hub may stand in its address.
// docs/WEB.md, "In one file".

import { configure } from "./config.js";
import { start } from "./main.js";

start(() => {
  const attributes = { ...document.documentElement.dataset };
  const named = new URLSearchParams(location.search).get("hub");
  if (named !== null) attributes.hub = named;
  const config = configure(JSON.parse(document.getElementById("config").textContent), attributes);
  if (config.token !== "") throw new TypeError("setting token names a module, and a page in one file loads none");
  if (config.hub === "" && !location.protocol.startsWith("http")) {
    throw new Error("it needs to know its hub: put ?hub=wss://host:port behind its address, or into data-hub of its <html>");
  }
  return { config, token: undefined };
});
