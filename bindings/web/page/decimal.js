// SPDX-License-Identifier: Apache-2.0
// Exact arithmetic on decimals as texts. Prices are shown as they were published; only what is derived from them comes from here.

const DECIMAL = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/;
const MOST_DIGITS = 100; // nobody may make the page compute with a million of them

/** `{ units, scale }`, which is units / 10 ** scale; null for what is no decimal, or too long. */
export function parseDecimal(text) {
  const match = DECIMAL.exec(text);
  if (match === null) return null;
  const [, sign, whole, fraction = "", exponent = "0"] = match;
  const scale = fraction.length - Number(exponent);
  if (whole.length + fraction.length + Math.abs(scale) > MOST_DIGITS) return null;
  const units = BigInt(`${whole}${fraction}`) * (sign === "-" ? -1n : 1n);
  return scale < 0 ? { units: units * 10n ** BigInt(-scale), scale: 0 } : { units, scale };
}

/** Both with the same scale: `[a, b, scale]`, or null if one of them is no decimal. */
function aligned(a, b) {
  const [left, right] = [parseDecimal(a), parseDecimal(b)];
  if (left === null || right === null) return null;
  const scale = Math.max(left.scale, right.scale);
  const raised = ({ units, scale: own }) => units * 10n ** BigInt(scale - own);
  return [raised(left), raised(right), scale];
}

/** -1, 0 or 1; null if one of them is no decimal. */
export function compareDecimals(a, b) {
  const pair = aligned(a, b);
  if (pair === null) return null;
  return pair[0] === pair[1] ? 0 : pair[0] < pair[1] ? -1 : 1;
}

function print(units, scale, sign) {
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, "0");
  return sign + (scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`);
}

const signOf = (units) => (units > 0n ? "+" : units < 0n ? "\u2212" : "");

/** How far it is from `from` to `to`, exactly, with its sign and the more digits of the two. */
export function changeOf(from, to) {
  const pair = aligned(to, from);
  if (pair === null) return null;
  const units = pair[0] - pair[1];
  return print(units, pair[2], signOf(units));
}

/** The change in per cent of `from`, rounded half away from zero to two decimals; null where that is nothing. */
export function percentOf(from, to) {
  const pair = aligned(to, from);
  if (pair === null || pair[1] === 0n) return null;
  const change = pair[0] - pair[1];
  const [size, base] = [change < 0n ? -change : change, pair[1] < 0n ? -pair[1] : pair[1]];
  const hundredths = (size * 20000n + base) / (2n * base);
  return `${print(hundredths, 2, hundredths === 0n ? "" : signOf(change))}\u00a0%`;
}

/** How many decimals the text has. */
export function decimalsOf(text) {
  return parseDecimal(text)?.scale ?? 0;
}
