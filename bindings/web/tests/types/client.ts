// SPDX-License-Identifier: Apache-2.0
// A program in TypeScript: what it writes is allowed, and what it should not is an error.

import { parseExact, PulseWS, PulseWSError, STATES } from "../../pulsews.js";
import type { Gap, Options, Published, State, Subscription } from "../../pulsews.js";

interface Price {
  symbol: string;
  price: string;
}

const options: Options = {
  token: async ({ reason }) => (reason === "expiring" ? "new" : "first"),
  numbers: "text",
  fallback: ({ emit, signal }) => {
    const socket = new WebSocket("wss://stream.example.com/ws");
    socket.onmessage = ({ data }) => emit({ type: "price_update", topic: "price.SOL", data: JSON.parse(data) });
    signal.addEventListener("abort", () => socket.close());
  },
};
const ws = new PulseWS(["/ws/stream", () => "wss://b.example/ws/stream"], options);

const prices: Subscription = ws.subscribe<Price>(
  "price.SOL",
  (message) => {
    const price: string = message.data.price;
    const offset: number | undefined = message.o;
    const isOld: boolean = message.snapshot;
    void [price, offset, isOld];
  },
  { history: 10, onGap: (gap: Gap) => void gap.cause, onState: ({ state }) => void (state === "stale") },
);
ws.subscribe(["a", "b"], { signal: new AbortController().signal });

ws.addEventListener("state", ({ detail }) => {
  const to: State = detail.to;
  const error: PulseWSError | null = detail.error;
  void [to, error?.closeCode];
});
ws.addEventListener("gap", (event) => void event.detail.from);
ws.addEventListener("price_update", ({ detail }) => void detail.dataText);
ws.addEventListener("snapshot", ({ detail }) => detail.items.forEach((item: Published) => item.topic));
const sent: boolean = ws.send({ type: "order" }, { liveOnly: true, ttl: 100 });
const p95: number | null = ws.statistics().latency.p95;
const all: readonly State[] = STATES;
void [sent, p95, all, parseExact("1")];
prices.close();
ws.close();

// @ts-expect-error: there is no such option
new PulseWS("/ws", { openTimeOut: 1 });
// @ts-expect-error: a state is one of five
const odd: State = "open";
// @ts-expect-error: prices are texts here
ws.subscribe<Price>("price.SOL", (message) => message.data.price.toFixed(2));
// @ts-expect-error: it can't be set
ws.state = "connected";
// @ts-expect-error: the detail of a gap has no such member
ws.addEventListener("gap", (event) => event.detail.code);
void odd;
