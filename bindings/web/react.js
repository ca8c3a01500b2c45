// SPDX-License-Identifier: Apache-2.0
// The components for the React that the page imports as "react". For a React of another kind: componentsFor(React).

import * as React from "react";

import { componentsFor } from "./react_components.js";

export { componentsFor };
export const {
  PulseWSProvider,
  usePulseWS,
  useTopic,
  ConnectionStatus,
  ConnectionIndicator,
  ConnectionStatusCard,
} = componentsFor(React);
