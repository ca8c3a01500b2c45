// SPDX-License-Identifier: Apache-2.0
// A WebSocket as browsers have it, as far as the client uses it: the nodes that the tests run on have none. It sends an Origin,
// as a browser does. RFC 6455 without extensions.

import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

export function webSocketOf(origin) {
  return class extends TestSocket {
    constructor(url, protocols) {
      super(url, protocols, origin);
    }
  };
}

class TestSocket {
  readyState = 0;
  protocol = "";
  #socket = null;
  #rest = Buffer.alloc(0);
  #pieces = [];
  #kind = 0;
  #closed = { code: 1006, reason: "", wasClean: false };

  constructor(url, protocols = [], origin = undefined) {
    const key = randomBytes(16).toString("base64");
    const headers = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key };
    if (origin) headers.Origin = origin;
    if (protocols.length > 0) headers["Sec-WebSocket-Protocol"] = protocols.join(", ");
    this.#request = request(url.replace(/^ws/, "http"), { headers });
    this.#request.on("upgrade", (response, socket, head) => this.#upgraded(response, socket, head, key, protocols));
    this.#request.on("response", (response) => {
      response.resume();
      this.#ended();
    });
    this.#request.on("error", () => this.#ended());
    this.#request.end();
  }

  #request;

  get bufferedAmount() {
    return this.#socket?.writableLength ?? 0;
  }

  #upgraded(response, socket, head, key, protocols) {
    const { headers } = response;
    this.protocol = headers["sec-websocket-protocol"] ?? "";
    const isRight = headers["sec-websocket-accept"] === createHash("sha1").update(key + GUID).digest("base64");
    const isOffered = this.protocol === "" ? protocols.length === 0 : protocols.includes(this.protocol);
    this.#socket = socket;
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => this.#ended());
    if (!isRight || !isOffered || this.readyState !== 0) return socket.destroy();
    this.readyState = 1;
    socket.on("data", (data) => this.#received(data));
    this.onopen?.({});
    if (head.length > 0) this.#received(head);
  }

  #ended() {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.(this.#closed);
  }

  #received(data) {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (;;) {
      if (this.#rest.length < 2) return;
      let length = this.#rest[1] & 127;
      let begin = 2;
      if (length >= 126) {
        begin = length === 126 ? 4 : 10;
        if (this.#rest.length < begin) return;
        length = length === 126 ? this.#rest.readUInt16BE(2) : Number(this.#rest.readBigUInt64BE(2));
      }
      if (this.#rest.length < begin + length) return;
      const payload = Buffer.from(this.#rest.subarray(begin, begin + length));
      const first = this.#rest[0];
      this.#rest = this.#rest.subarray(begin + length);
      this.#frame(first & 15, (first & 128) !== 0, payload);
    }
  }

  #frame(kind, isLast, payload) {
    if (kind === PING) return this.#write(PONG, payload);
    if (kind === PONG) return;
    if (kind === CLOSE) {
      const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#closed = { code, reason: payload.subarray(2).toString(), wasClean: true };
      if (this.readyState === 1) this.#write(CLOSE, payload.subarray(0, 2));
      this.readyState = 2;
      this.#socket.end();
      return;
    }
    if (kind !== 0) this.#kind = kind;
    this.#pieces.push(payload);
    if (!isLast) return;
    const whole = Buffer.concat(this.#pieces);
    this.#pieces = [];
    const data = this.#kind === TEXT ? whole.toString() : whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.length);
    this.onmessage?.({ data });
  }

  #write(kind, payload) {
    const mask = randomBytes(4);
    const { length } = payload;
    let head = Buffer.from([128 | kind, 128 | length]);
    if (length > 65535) {
      head = Buffer.from([128 | kind, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
      head.writeBigUInt64BE(BigInt(length), 2);
    } else if (length > 125) {
      head = Buffer.from([128 | kind, 254, length >> 8, length & 255]);
    }
    this.#socket.write(Buffer.concat([head, mask, payload.map((byte, index) => byte ^ mask[index % 4])]));
  }

  send(data) {
    if (this.readyState === 0) throw new Error("not open yet");
    if (this.readyState !== 1) return;
    if (typeof data === "string") this.#write(TEXT, Buffer.from(data));
    else this.#write(BINARY, ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data));
  }

  close(code = 1000, reason = "") {
    if (this.readyState === 0) this.#request.destroy();
    if (this.readyState === 1) this.#write(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));
    if (this.readyState < 2) this.readyState = 2;
  }

  /** Of the tests: the line is cut. */
  cut() {
    this.#socket?.destroy();
  }
}
