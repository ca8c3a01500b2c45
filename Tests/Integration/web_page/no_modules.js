// SPDX-License-Identifier: Apache-2.0
"use strict";

const client = new PulseWS("/ws/stream");
const output = document.querySelector("output");
document.querySelector("pulsews-status").client = client;
window.shown = new Promise((resolve) => {
  client.subscribe("t", ({ data }) => {
    output.value = data.n;
    resolve([client.state, client instanceof PulseWS, PulseWS.parseExact("1.50"), output.value]);
  });
});
window.subscribed = new Promise((resolve) => {
  client.addEventListener("subscribed", resolve, { once: true });
});
