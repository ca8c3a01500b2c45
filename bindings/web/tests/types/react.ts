// SPDX-License-Identifier: Apache-2.0
// A program in TypeScript that uses components.

import * as React from "react";

import {
  componentsFor,
  ConnectionIndicator,
  ConnectionStatus,
  ConnectionStatusCard,
  PulseWSProvider,
  usePulseWS,
  useTopic,
} from "../../react.js";

function Price(): React.ReactElement {
  const [price, setPrice] = React.useState("");
  const { state, latency, reconnect } = usePulseWS();
  useTopic<{ price: string }>("price.SOL", ({ data }) => setPrice(data.price), { history: 1, onGap: ({ from }) => void from });
  return React.createElement("button", { onClick: reconnect }, state, latency, price);
}

export const page = React.createElement(
  PulseWSProvider,
  { url: ["/ws/stream"], options: { numbers: "text" } },
  React.createElement(Price),
  React.createElement(ConnectionIndicator, { compact: true }),
  React.createElement(ConnectionStatus, { url: "/ws/stream", showDetails: true, onReconnect: (event) => event.preventDefault() }),
  React.createElement(ConnectionStatusCard, { theme: "dark", labels: { connected: "Verbunden" } }),
);
void componentsFor(React).ConnectionStatus;

// @ts-expect-error: no such prop
React.createElement(ConnectionStatus, { small: true });
