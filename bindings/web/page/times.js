// SPDX-License-Identifier: Apache-2.0
// Ages and times in words. Times of day are UTC, as exchanges have them.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How old something is, in as few letters as say it. */
export function ageText(age) {
  if (age === null) return "";
  if (age < 1000) return "<\u20091\u00a0s";
  if (age < MINUTE) return `${Math.floor(age / 1000)}\u00a0s`;
  if (age < HOUR) return `${Math.floor(age / MINUTE)}\u00a0min`;
  if (age < DAY) return `${Math.floor(age / HOUR)}\u00a0h`;
  return `${Math.floor(age / DAY)}\u00a0d`;
}

const iso = (time) => new Date(time).toISOString();
const isTime = (time) => Number.isFinite(time) && Math.abs(time) < 8.64e15;

/** 11:02:13 */
export const clockText = (time) => (isTime(time) ? iso(time).slice(11, 19) : "");

/** 2026-11-30 11:02, or without the day when the interval of candles makes hours and minutes enough. */
export function minuteText(time, withDay = true) {
  return isTime(time) ? iso(time).slice(withDay ? 0 : 11, 16).replace("T", " ") : "";
}

const UNITS = { s: 1000, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY };

/** Milliseconds of an interval such as 1m, 4h or 1d; null where it has no fixed length, such as 1M. */
export function intervalLength(text) {
  const match = /^([1-9]\d{0,3})([smhdw])$/.exec(text);
  return match === null ? null : Number(match[1]) * UNITS[match[2]];
}
