// SPDX-License-Identifier: Apache-2.0
// A page in TypeScript that uses elements.

import "../../components.js";
import { PulseWS } from "../../pulsews.js";

const card = document.createElement("pulsews-status-card");
card.compact = true;
card.labels = { title: "Verbindung" };
card.addEventListener("pulsews-reconnect", (event) => event.preventDefault());
card.client = new PulseWS("/ws/stream");
// @ts-expect-error: no such text
card.labels = { titel: "" };
