// SPDX-License-Identifier: Apache-2.0
// React components and hooks, for a React that the page gives: docs/WEB.md, "React".

import "./components.js";
import { hooksFor } from "./src/react_hooks.js";

/** `{ PulseWSProvider, usePulseWS, useTopic, ConnectionStatus, ConnectionIndicator, ConnectionStatusCard }` */
export function componentsFor(React) {
  const { createElement, useContext, useEffect, useRef } = React;
  const { Context, useLatest, PulseWSProvider, usePulseWS, useTopic } = hooksFor(React);

  function componentOf(name, tag) {
    function Component({ url, client = null, compact = false, showDetails = false, labels, theme, onReconnect, className, ...more }) {
      const provided = useContext(Context);
      const shown = client ?? (url === undefined ? provided : null);
      const element = useRef(null);
      const newest = useLatest(onReconnect);
      useEffect(() => {
        element.current.client = shown;
        element.current.labels = labels;
      }, [shown, labels]);
      useEffect(() => {
        const node = element.current;
        const tell = (event) => newest.current?.(event);
        node.addEventListener("pulsews-reconnect", tell);
        return () => node.removeEventListener("pulsews-reconnect", tell);
      }, []);
      return createElement(tag, {
        ...more,
        ref: element,
        url: shown === null ? url : undefined,
        class: className,
        theme,
        compact: compact || undefined, // React 19 sets the property, which takes no "" for true; React 18 the attribute
        "show-details": showDetails ? "" : undefined,
      });
    }
    Component.displayName = name;
    return Component;
  }

  return {
    PulseWSProvider,
    usePulseWS,
    useTopic,
    ConnectionStatus: componentOf("ConnectionStatus", "pulsews-status"),
    ConnectionIndicator: componentOf("ConnectionIndicator", "pulsews-indicator"),
    ConnectionStatusCard: componentOf("ConnectionStatusCard", "pulsews-status-card"),
  };
}
