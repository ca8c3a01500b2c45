// SPDX-License-Identifier: Apache-2.0
/* global React, ReactDOM */
import { componentsFor } from "./web/react_components.js";

const { ConnectionIndicator, ConnectionStatus, ConnectionStatusCard, PulseWSProvider, usePulseWS, useTopic } = componentsFor(React);
const { createElement, StrictMode, useState } = React;
const options = { reconnectBaseDelay: 100, reconnectMaxDelay: 300, restartDelay: 100 };

function Shown() {
  const [numbers, setNumbers] = useState([]);
  const { client, state, isConnected } = usePulseWS();
  window.client = client;
  useTopic("t", ({ data }) => setNumbers((all) => [...all, data.n]));
  return createElement("output", { className: isConnected ? "new" : "old" }, `${state}: ${numbers.join(" ")}`);
}

window.pressed = 0;
const root = ReactDOM.createRoot(document.querySelector("main"));
root.render(createElement(StrictMode, null, createElement(PulseWSProvider, { url: "/ws/stream", options },
  createElement(Shown),
  createElement(ConnectionIndicator, { compact: true }),
  createElement(ConnectionStatus, { onReconnect: () => { window.pressed += 1; } }),
  createElement(ConnectionStatusCard, { labels: { title: "Prices" }, theme: "dark" }))));
window.unmount = () => root.unmount();

/** Resolves when the page shows that text. */
window.reads = (text) => new Promise((resolve) => {
  const look = () => document.querySelector("output")?.textContent === text && resolve(text);
  new MutationObserver(look).observe(document.querySelector("main"), { characterData: true, childList: true, subtree: true });
  look();
});
