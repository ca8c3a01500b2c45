// SPDX-License-Identifier: Apache-2.0
// Types of react.js and react_components.js: docs/WEB.md, "React".

import type { CSSProperties, FunctionComponent, ReactNode } from "react";

import type { Labels } from "./components.js";
import type { Address, Options, Published, PulseWS, PulseWSError, State, SubscribeOptions } from "./pulsews.js";

export interface ProviderProps {
  /** A client is made for it, and closed with the provider. */
  url?: Address | Address[];
  /** Of that client; they count when it is made. */
  options?: Options;
  /** One of the page's own, in place of `url`. */
  client?: PulseWS | null;
  children?: ReactNode;
}

export interface ConnectionProps {
  /** A client of its own, in place of the provider's. */
  url?: string;
  client?: PulseWS | null;
  compact?: boolean;
  showDetails?: boolean;
  labels?: Labels;
  theme?: "light" | "dark";
  /** The button was pressed; `event.preventDefault()` keeps the client from reconnecting. */
  onReconnect?: (event: CustomEvent<null>) => void;
  className?: string;
  style?: CSSProperties;
  id?: string;
}

export interface PulseWSStatus {
  /** null on a server, and before the first effect. */
  client: PulseWS | null;
  state: State;
  isConnected: boolean;
  isFailover: boolean;
  latency: number | null;
  error: PulseWSError | null;
  reconnect(): void;
}

export interface Components {
  PulseWSProvider: FunctionComponent<ProviderProps>;
  usePulseWS(): PulseWSStatus;
  useTopic<Data = any>(
    topics: string | string[],
    listener?: (message: Published<Data>) => void,
    options?: Omit<SubscribeOptions, "signal">,
  ): void;
  ConnectionStatus: FunctionComponent<ConnectionProps>;
  ConnectionIndicator: FunctionComponent<ConnectionProps>;
  ConnectionStatusCard: FunctionComponent<ConnectionProps>;
}

/** For a React that is no module, such as `window.React`. */
export function componentsFor(React: object): Components;

export const PulseWSProvider: Components["PulseWSProvider"];
export const usePulseWS: Components["usePulseWS"];
export const useTopic: Components["useTopic"];
export const ConnectionStatus: Components["ConnectionStatus"];
export const ConnectionIndicator: Components["ConnectionIndicator"];
export const ConnectionStatusCard: Components["ConnectionStatusCard"];
