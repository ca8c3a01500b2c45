// SPDX-License-Identifier: Apache-2.0
// Types of components.js: docs/WEB.md, "Components".

import type { PulseWS } from "./pulsews.js";

/** Texts of the elements; those that are left out stay English. */
export interface Labels {
  title?: string;
  connected?: string;
  connecting?: string;
  reconnecting?: string;
  error?: string;
  disconnected?: string;
  failover?: string;
  offline?: string;
  /** With `{time}` in it. */
  nextAttempt?: string;
  attempting?: string;
  onFallback?: string;
  reconnect?: string;
  latency?: string;
  average?: string;
  p95?: string;
  uptime?: string;
  messages?: string;
  received?: string;
  reconnects?: string;
  gaps?: string;
  dropped?: string;
  hub?: string;
  none?: string;
}

declare class StatusElement extends HTMLElement {
  /** The client to show. It stays the page's; without one, attribute `url` makes one that the element closes. */
  client: PulseWS | null;
  labels: Labels;
  compact: boolean;
  showDetails: boolean;
}

export class PulseWSIndicator extends StatusElement {}
export class PulseWSStatus extends StatusElement {}
export class PulseWSStatusCard extends StatusElement {}

declare global {
  interface HTMLElementTagNameMap {
    "pulsews-indicator": PulseWSIndicator;
    "pulsews-status": PulseWSStatus;
    "pulsews-status-card": PulseWSStatusCard;
  }
  interface HTMLElementEventMap {
    /** The button was pressed; `preventDefault()` keeps the client from reconnecting. */
    "pulsews-reconnect": CustomEvent<null>;
  }
}
