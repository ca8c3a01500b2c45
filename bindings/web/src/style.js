// SPDX-License-Identifier: Apache-2.0
// How components look. Colours pass 4.5:1 on their ground for words, and 3:1 for icons (WCAG 2.2, 1.4.3 and 1.4.11).

const DARK = `
  --_background: var(--pulsews-background, #161b22);
  --_text: var(--pulsews-text, #e6edf3);
  --_muted: var(--pulsews-muted, #9aa7b4);
  --_border: var(--pulsews-border, #3a434e);
  --_connected: var(--pulsews-connected, #3fb950);
  --_trying: var(--pulsews-trying, #e3a008);
  --_error: var(--pulsews-error, #ff7b72);
  --_idle: var(--pulsews-idle, #9aa7b4);
  --_failover: var(--pulsews-failover, #b392f0);
  --_focus: var(--pulsews-focus, #79b8ff);
  --_hover: var(--pulsews-hover, #262d36);
`;

export const STYLE = `
:host {
  color-scheme: light dark;
  --_background: var(--pulsews-background, #ffffff);
  --_text: var(--pulsews-text, #1c2128);
  --_muted: var(--pulsews-muted, #57606a);
  --_border: var(--pulsews-border, #c4ccd4);
  --_connected: var(--pulsews-connected, #1a7f37);
  --_trying: var(--pulsews-trying, #8a5a00);
  --_error: var(--pulsews-error, #c4232c);
  --_idle: var(--pulsews-idle, #57606a);
  --_failover: var(--pulsews-failover, #6f42c1);
  --_focus: var(--pulsews-focus, #0550ae);
  --_hover: var(--pulsews-hover, #eef1f4);
  display: inline-block;
  max-width: 100%;
  color: var(--_text);
  font: var(--pulsews-font, 400 0.875rem/1.4 system-ui, sans-serif);
  font-variant-numeric: tabular-nums;
}
:host([hidden]) { display: none; }
:host([theme="light"]) { color-scheme: light; }
@media (prefers-color-scheme: dark) { :host(:not([theme="light"])) { ${DARK} } }
:host([theme="dark"]) { color-scheme: dark; ${DARK} }
* { box-sizing: border-box; }
[data-kind="connected"] { --_kind: var(--_connected); }
[data-kind="trying"] { --_kind: var(--_trying); }
[data-kind="error"] { --_kind: var(--_error); }
[data-kind="idle"] { --_kind: var(--_idle); }
[data-kind="failover"] { --_kind: var(--_failover); }
.row { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 0.5rem; min-width: 0; }
.bar {
  padding: 0.25rem 0.5rem;
  border: 1px solid var(--_border);
  border-radius: var(--pulsews-radius, 0.5rem);
  background: var(--_background);
}
.word { color: var(--_kind); font-weight: 600; }
.muted { color: var(--_muted); }
.sentence { color: var(--_muted); margin: 0; overflow-wrap: anywhere; }
.push { margin-inline-start: auto; }
svg { display: block; width: 1.125em; height: 1.125em; flex: none; color: var(--_kind); }
[data-kind="trying"] .icon svg { animation: turn 1.2s linear infinite; }
@keyframes turn { to { transform: rotate(1turn); } }
@media (prefers-reduced-motion: reduce) { [data-kind="trying"] .icon svg { animation: none; } }
button {
  display: inline-flex;
  align-items: center;
  gap: 0.375rem;
  min-width: 1.75rem;
  min-height: 1.75rem;
  justify-content: center;
  padding: 0.125rem 0.5rem;
  border: 1px solid var(--_border);
  border-radius: calc(var(--pulsews-radius, 0.5rem) * 0.75);
  background: transparent;
  color: inherit;
  font: inherit;
  cursor: pointer;
}
button svg { color: inherit; }
button:hover { background: var(--_hover); }
button:focus-visible { outline: 2px solid var(--_focus); outline-offset: 2px; }
button[hidden] { display: none; }
.compact button { padding: 0.125rem; }
.card { display: grid; gap: 0.75rem; width: var(--pulsews-card-width, 23rem); max-width: 100%; padding: 1rem; }
.card.compact { width: var(--pulsews-card-width, 16rem); gap: 0.5rem; padding: 0.75rem; }
.title { margin: 0; font-size: 1em; font-weight: 600; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0.25rem 0.75rem; margin: 0; }
dt { color: var(--_muted); }
dd { margin: 0; text-align: end; overflow-wrap: anywhere; }
.unseen {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
:host { position: relative; }
@media (forced-colors: active) { svg, .word { color: CanvasText; } .bar, button { border-color: CanvasText; } }
`;

/** Shapes that differ without their colours: 16 by 16. */
export const ICONS = {
  connected: ["M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13z", "M5 8.25l2.1 2.1L11 6.25"],
  trying: ["M8 1.5a6.5 6.5 0 1 1-6.5 6.5", "M8 1.5l2.5-1M8 1.5l1.5 2.4"],
  error: ["M8 1.75L15 14H1z", "M8 6.25v3.5M8 11.5v.6"],
  idle: ["M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13z", "M3.5 12.5l9-9"],
  failover: ["M2 5.5h10M9.5 3l2.75 2.5L9.5 8", "M14 10.5H4M6.5 8L3.75 10.5L6.5 13"],
  reconnect: ["M13.5 8A5.5 5.5 0 1 1 11.6 3.8", "M11.9 1v3.1H8.8"],
};
