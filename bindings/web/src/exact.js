// SPDX-License-Identifier: Apache-2.0
// JSON without loss of digits. JSON.parse makes doubles of numbers: 0.10 becomes 0.1, and 0.00000012 prints as 1.2e-7.
// All texts here are JSON that JSON.parse has taken.

const NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** The same JSON, with each number as a string of its digits. */
export function quoteNumbers(json) {
  return json.replace(NUMBER, (token) => (token[0] === '"' ? token : `"${token}"`));
}

/** As JSON.parse, but numbers become strings, digit by digit. */
export function parseExact(json) {
  JSON.parse(json); // quoting would make JSON of some texts that are none, such as 1 as a member's name
  return JSON.parse(quoteNumbers(json));
}

function afterString(json, at) {
  for (let end = at + 1; ; end++) {
    end = json.indexOf('"', end);
    let backslashes = 0;
    while (json[end - 1 - backslashes] === "\\") backslashes += 1;
    if (backslashes % 2 === 0) return end + 1;
  }
}

function skipBlanks(json, at) {
  while (" \t\n\r".includes(json[at])) at += 1;
  return at;
}

function afterValue(json, at) {
  if (json[at] === '"') return afterString(json, at);
  if (json[at] !== "{" && json[at] !== "[") {
    while (at < json.length && !",]} \t\n\r".includes(json[at])) at += 1;
    return at;
  }
  let depth = 0;
  do {
    const unit = json[at];
    if (unit === '"') {
      at = afterString(json, at);
      continue;
    }
    if (unit === "{" || unit === "[") depth += 1;
    if (unit === "}" || unit === "]") depth -= 1;
    at += 1;
  } while (depth > 0);
  return at;
}

/** The text of each value of an object or array: `[name, text]`, in an array the name is null. */
function* values(json) {
  let at = skipBlanks(json, 0);
  const isObject = json[at] === "{";
  at = skipBlanks(json, at + 1);
  while (json[at] !== "}" && json[at] !== "]") {
    let name = null;
    if (isObject) {
      const end = afterString(json, at);
      name = JSON.parse(json.slice(at, end));
      at = skipBlanks(json, skipBlanks(json, end) + 1);
    }
    const end = afterValue(json, at);
    yield [name, json.slice(at, end)];
    at = skipBlanks(json, end);
    if (json[at] === ",") at = skipBlanks(json, at + 1);
  }
}

/** The text of a member of an object, byte for byte; undefined if there is none. The last one counts, as with JSON.parse. */
export function memberText(json, wanted) {
  let found;
  for (const [name, text] of values(json)) if (name === wanted) found = text;
  return found;
}

/** The text of each element of an array that is a member of an object. */
export function elementTexts(json, wanted) {
  return [...values(memberText(json, wanted))].map(([, text]) => text);
}
