// SPDX-License-Identifier: Apache-2.0
// How fresh a price is: one kind for each symbol, with its word. Only what is live may look alive.

export const WORDS = Object.freeze({
  live: "Live",
  waiting: "No price",
  stale: "Stale",
  gap: "Gap",
  failover: "Failover",
  degraded: "Degraded",
  ended: "Ended",
  refused: "Refused",
  unconfirmed: "Checking",
  lost: "Offline",
});

const SENTENCES = {
  live: "The price is fresh.",
  waiting: "No price has come yet.",
  stale: "The price is old.",
  gap: "Messages of this topic are missing.",
  failover: "The price comes from another feed.",
  degraded: "The feed is degraded.",
  ended: "The topic has ended.",
  refused: "The hub refuses this topic.",
  unconfirmed: "Nothing has come since the connection was lost; the price may be old.",
  lost: "The connection to the hub is lost; the price is old.",
};

/**
 * What counts most comes first. `topic` is the state that the hub told of the topic, `age` that of the price in milliseconds or
 * null if there is none, `staleAfter` the page's own limit in milliseconds or 0.
 */
export function kindOf({ isConnected, isRefused, isConfirmed, topic, age, staleAfter, isMissing }) {
  if (!isConnected) return "lost";
  if (isRefused) return "refused";
  if (topic === "ended") return "ended";
  if (topic === "stale") return "stale";
  if (age === null) return "waiting";
  if (!isConfirmed) return "unconfirmed";
  if (staleAfter > 0 && age > staleAfter) return "stale";
  if (isMissing || topic === "gap") return "gap";
  return Object.hasOwn(WORDS, topic) ? topic : "degraded"; // a state of a later version is not taken for a good one
}

export const isLive = (kind) => kind === "live";

/** A sentence: what it means, and the cause that the hub gave. */
export function sentenceOf(kind, cause, feed) {
  const reason = cause ? ` ${cause[0].toUpperCase()}${cause.slice(1)}.` : "";
  return `${SENTENCES[kind]}${reason}${feed ? ` Feed: ${feed}.` : ""}`;
}
