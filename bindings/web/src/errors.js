// SPDX-License-Identifier: Apache-2.0
// Why something failed: the codes of the hub, and those of this side.

export class PulseWSError extends Error {
  /** `code`: a word for programs; `message`: a sentence for people. */
  constructor(code, message, { closeCode = null, details = {}, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "PulseWSError";
    this.code = code;
    this.closeCode = closeCode;
    this.details = details;
  }
}

// Of docs/PROTOCOL.md, and RFC 6455 §7.4.1.
const CLOSES = {
  1001: ["going_away", "the hub went away"],
  1002: ["protocol_error", "the hub found a breach of the protocol"],
  1006: ["connection_lost", "the connection was cut, or never came about"],
  1007: ["invalid_data", "the hub got text that is not UTF-8"],
  1009: ["message_too_big", "the hub takes no messages of that size"],
  1011: ["internal_error", "the hub failed"],
  1012: ["restarting", "the hub is being restarted"],
  1013: ["unavailable", "the hub is full or draining"],
  4001: ["unauthenticated", "the hub wants a token that holds"],
  4003: ["forbidden", "the hub refuses this page"],
  4008: ["too_slow", "this page read too slowly"],
  4009: ["token_expired", "the token has expired"],
  4029: ["rate_limited", "too much came from here"],
  4040: ["no_such_path", "the hub has no such path"],
};

/** What a close means. What the hub has said in band explains more than its code. */
export function closeError({ code, reason }, told) {
  const [word, sentence] = CLOSES[code] ?? ["closed", `the hub closed with ${code}`];
  if (told !== null) return new PulseWSError(told.code, told.message, { closeCode: code, details: told.details });
  return new PulseWSError(word, reason ? `${sentence}: ${reason}` : sentence, { closeCode: code });
}
