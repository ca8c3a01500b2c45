// SPDX-License-Identifier: Apache-2.0
// What there is to see of a client, in words: for components, and without a page.

/** Every text that components show; an element's property `labels` replaces some. */
export const LABELS = Object.freeze({
  title: "Connection",
  connected: "Connected",
  connecting: "Connecting",
  reconnecting: "Reconnecting",
  error: "Stopped",
  disconnected: "Disconnected",
  failover: "Fallback feed",
  offline: "The browser is offline.",
  nextAttempt: "Next attempt in {time}.",
  attempting: "Trying now.",
  onFallback: "No hub answers; prices come from the fallback feed.",
  reconnect: "Reconnect",
  latency: "Latency",
  average: "Average",
  p95: "95th percentile",
  uptime: "Connected for",
  messages: "Messages",
  received: "Received",
  reconnects: "Reconnects",
  gaps: "Gaps",
  dropped: "Not sent",
  hub: "Hub",
  none: "–",
});

const KINDS = { connected: "connected", connecting: "trying", reconnecting: "trying", error: "error", disconnected: "idle" };

export function milliseconds(value) {
  if (value === null) return null;
  if (value < 1) return "< 1 ms";
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function duration(value) {
  const seconds = Math.floor(value / 1000);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor((seconds % 3600) / 60))} min`;
  return hours < 24 ? `${hours} h ${rest}` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (bytes >= 1000 && step < units.length - 1) {
    bytes /= 1000;
    step += 1;
  }
  return `${step === 0 ? bytes : bytes.toFixed(1)} ${units[step]}`;
}

function explain(client, labels, isOffline) {
  const { state, error, nextAttemptIn } = client;
  if (state === "connected") return "";
  const sentences = [];
  if (isOffline) sentences.push(labels.offline);
  if (client.isFailover) sentences.push(labels.onFallback);
  if (error !== null) sentences.push(`${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
  if (state === "reconnecting") {
    const wait = nextAttemptIn === null ? null : `${Math.ceil(nextAttemptIn / 1000)}\u00a0s`;
    sentences.push(wait === null ? labels.attempting : labels.nextAttempt.replace("{time}", wait));
  }
  return sentences.join(" ");
}

function rowsOf(client, labels) {
  const { latency, uptime, messages, bytes, reconnects, gaps, dropped } = client.statistics();
  const count = (value) => value.toLocaleString("en-US").replaceAll(",", "\u202f");
  const main = [
    [labels.latency, client.isConnected ? milliseconds(latency.last) : null],
    [labels.uptime, client.isConnected ? duration(uptime) : null],
  ];
  const more = [
    [labels.average, milliseconds(latency.avg)],
    [labels.p95, milliseconds(latency.p95)],
    [labels.messages, count(messages)],
    [labels.received, size(bytes)],
    [labels.reconnects, count(reconnects)],
    [labels.gaps, count(gaps)],
    [labels.dropped, count(dropped)],
    [labels.hub, client.url.replace(/^wss?:\/\//, "") || null],
  ];
  const known = ([label, value]) => [label, value ?? labels.none];
  return { main: main.map(known), more: more.map(known) };
}

/**
 * `kind` picks colour and icon; `word` and `sentence` are for people; `latency` is null while it means nothing; `main` and
 * `more` are rows of a label and a value.
 */
export function describe(client, given = {}, isOffline = false) {
  const labels = { ...LABELS, ...given };
  if (client === null) {
    return { kind: "idle", word: labels.disconnected, sentence: "", latency: null, main: [], more: [], labels };
  }
  const isFailover = client.isFailover && client.state !== "connected";
  return {
    kind: isFailover ? "failover" : KINDS[client.state],
    word: isFailover ? labels.failover : labels[client.state],
    sentence: explain(client, labels, isOffline),
    latency: client.isConnected ? milliseconds(client.latency) : null,
    ...rowsOf(client, labels),
    labels,
  };
}
