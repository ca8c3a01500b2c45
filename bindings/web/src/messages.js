// SPDX-License-Identifier: Apache-2.0
// What the hub sends, as objects: docs/PROTOCOL.md.

import { elementTexts, memberText, quoteNumbers } from "./exact.js";

/** A published message: the members of the envelope, and where it stands. */
export class Published {
  #json;

  constructor(envelope, topic, json, isSnapshot) {
    this.type = envelope.type;
    this.topic = topic;
    this.o = envelope.o;
    if (envelope.p !== undefined) this.p = envelope.p;
    if (envelope.skipped !== undefined) this.skipped = envelope.skipped;
    if (envelope.t !== undefined) this.t = envelope.t;
    this.data = envelope.data;
    /** True: it is part of a snapshot, and may be old. */
    this.snapshot = isSnapshot;
    this.#json = json;
  }

  /** For another tab. */
  parts() {
    const { type, topic, o, p, skipped, t, data, snapshot } = this;
    return { envelope: { type, o, p, skipped, t, data }, topic, snapshot, json: this.#json };
  }

  /** What was published, byte for byte; of binary topics undefined. */
  get dataText() {
    return this.#json === null ? undefined : memberText(this.#json, "data");
  }
}

export function isPublished(message) {
  return typeof message.o === "number";
}

/**
 * A text of the hub as an object, or `{ type: "text", data }` for what is none. With `areNumbersTexts` the numbers in what was
 * published become strings, and those of the hub's own members stay numbers.
 */
export function parseMessage(json, areNumbersTexts, isPlain) {
  let message;
  try {
    message = JSON.parse(json);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { type: "text", data: json }; // the application of the hub may send any text
  }
  if (message === null || typeof message !== "object" || Array.isArray(message)) return { type: "text", data: json };
  if (!areNumbersTexts) return message;
  if (isPlain) return JSON.parse(quoteNumbers(json));
  if (isPublished(message)) message.data = JSON.parse(quoteNumbers(memberText(json, "data")));
  return message;
}

/** The items of a snapshot as published messages. */
export function snapshotItems(message, json, areNumbersTexts) {
  if (message.items.length === 0) return [];
  const texts = elementTexts(json, "items");
  return message.items.map((item, index) => {
    if (areNumbersTexts) item.data = JSON.parse(quoteNumbers(memberText(texts[index], "data")));
    return new Published(item, message.topic, texts[index], true);
  });
}

/** `{ number, o, data }` of a message of a binary topic: RFC 6455 leaves the payload to us, PROTOCOL.md says what it is. */
export function parseBinary(buffer) {
  if (buffer.byteLength < 12) return null;
  const view = new DataView(buffer);
  const o = view.getUint32(4) * 2 ** 32 + view.getUint32(8);
  return { number: view.getUint32(0), o, data: new Uint8Array(buffer, 12) };
}
