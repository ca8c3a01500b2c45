// SPDX-License-Identifier: Apache-2.0
// A client in React: the provider and the hooks.

import { PulseWS } from "./client.js";

const CHANGES = ["state", "ready", "latency", "failover"];

/** `Context` has the client of the provider around, or null. */
export function hooksFor(React) {
  const { createContext, createElement, useContext, useEffect, useMemo, useReducer, useRef, useState } = React;
  const Context = createContext(null);

  /** The newest value, for effects that do not begin anew with it. */
  function useLatest(value) {
    const ref = useRef(value);
    useEffect(() => {
      ref.current = value;
    });
    return ref;
  }

  /**
   * Gives a client to what is inside. With `url` it makes one, closed when it goes or the address changes; `options` count
   * when it is made. With `client` it passes that one on, and leaves it open.
   */
  function PulseWSProvider({ url, options, client: given = null, children }) {
    const [made, setMade] = useState(null);
    const newest = useLatest(options);
    const address = [url].flat().map((one) => (typeof one === "function" ? "function" : one)).join(" ");
    useEffect(() => {
      if (given !== null || url === undefined) return undefined;
      const client = new PulseWS(url, newest.current);
      setMade(client);
      return () => {
        client.close();
        setMade(null);
      };
    }, [address, given]);
    return createElement(Context.Provider, { value: given ?? made }, children);
  }

  /** Draws anew when the client changes. */
  function useChanges(client) {
    const [, draw] = useReducer((count) => count + 1, 0);
    useEffect(() => {
      if (client === null) return undefined;
      for (const type of CHANGES) client.addEventListener(type, draw);
      draw(); // what happened between drawing and listening
      return () => {
        for (const type of CHANGES) client.removeEventListener(type, draw);
      };
    }, [client]);
  }

  /** The client of the provider and how it is; `client` is null on a server and before the first effect. */
  function usePulseWS() {
    const client = useContext(Context);
    useChanges(client);
    const reconnect = useMemo(() => () => client?.reconnect(), [client]);
    return {
      client,
      state: client?.state ?? "disconnected",
      isConnected: client?.isConnected ?? false,
      isFailover: client?.isFailover ?? false,
      latency: client?.latency ?? null,
      error: client?.error ?? null,
      reconnect,
    };
  }

  /** Subscribes while the component is there. `listener` and the callbacks of `options` may change with each drawing. */
  function useTopic(topics, listener, options = {}) {
    const client = useContext(Context);
    const newest = useLatest({ listener, ...options });
    const names = Array.isArray(topics) ? topics.join("\n") : topics;
    const { history } = options;
    useEffect(() => {
      if (client === null || !names) return undefined;
      const call = (name) => (argument) => newest.current[name]?.(argument);
      const callbacks = { history, onGap: call("onGap"), onState: call("onState"), onError: call("onError") };
      const subscription = client.subscribe(names.split("\n"), call("listener"), callbacks);
      return () => subscription.close();
    }, [client, names, history]);
  }

  return { Context, useLatest, PulseWSProvider, usePulseWS, useTopic };
}
