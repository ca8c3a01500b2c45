// SPDX-License-Identifier: Apache-2.0
// Options, their defaults, and what they may be. Times are milliseconds.

const time = (value) => Number.isFinite(value) && value >= 0;
const count = (value) => Number.isSafeInteger(value) && value >= 0;
const flag = (value) => typeof value === "boolean";
const oneOf = (...words) => Object.assign((value) => words.includes(value), { says: words.join(", ") });
const optional = (check) => (value) => value === undefined || check(value);
const isFunction = (value) => typeof value === "function";
const codes = (value) => Array.isArray(value) && value.every((code) => count(code) && code >= 1000 && code <= 4999);

// Name: default, check, and what a caller reads when the value is refused.
const TABLE = {
  autoConnect: [true, flag, "true or false"],
  token: [undefined, optional((value) => isFunction(value) || (typeof value === "string" && value !== "")), "a text or a function"],
  tokenIn: [undefined, optional(oneOf("subprotocol", "message", "url")), "subprotocol, message or url"],
  plain: [false, flag, "true or false"],
  numbers: ["number", oneOf("number", "text"), "number or text"],
  openTimeout: [10000, time, "milliseconds"],
  heartbeatInterval: [15000, (value) => time(value) && value >= 10, "milliseconds, 10 and more"],
  heartbeatTimeout: [10000, (value) => time(value) && value >= 10, "milliseconds, 10 and more"],
  probeTimeout: [4000, (value) => time(value) && value >= 10, "milliseconds, 10 and more"],
  reconnect: [true, flag, "true or false"],
  maxReconnectAttempts: [0, count, "a whole number, 0 for no end"],
  reconnectBaseDelay: [1000, time, "milliseconds"],
  reconnectMaxDelay: [30000, time, "milliseconds"],
  restartDelay: [5000, time, "milliseconds"],
  stableTime: [10000, time, "milliseconds"],
  fatalCloseCodes: [[4003, 4040], codes, "a list of close codes, 1000 to 4999"],
  queueMessages: [256, count, "a whole number"],
  queueBytes: [1 << 20, count, "a whole number"],
  queuePolicy: ["drop_oldest", oneOf("drop_oldest", "reject"), "drop_oldest or reject"],
  fallback: [undefined, optional(isFunction), "a function"],
  share: [false, (value) => flag(value) || (typeof value === "string" && value !== ""), "true, false or a name"],
  environment: [undefined, optional((value) => typeof value === "object"), "an object"],
};

/** All options, those that are given and the defaults; a TypeError says what is wrong. */
export function complete(given) {
  const options = {};
  for (const [name, [preset]] of Object.entries(TABLE)) options[name] = preset;
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(TABLE, name)) throw new TypeError(`there is no option ${name}; there are: ${Object.keys(TABLE).join(", ")}`);
    if (value === undefined) continue;
    const [, check, says] = TABLE[name];
    if (!check(value)) throw new TypeError(`option ${name} is ${says}, not ${String(value)}`);
    options[name] = value;
  }
  options.tokenIn ??= options.plain ? "message" : "subprotocol";
  if (options.tokenIn === "url" && !options.plain) {
    throw new TypeError("option tokenIn: url is for plain routes; servers and proxies write URLs into their logs");
  }
  if (options.tokenIn === "subprotocol" && options.plain) {
    throw new TypeError("option tokenIn: subprotocol needs pulse.v1; plain routes take a token as message or url");
  }
  return options;
}
