// SPDX-License-Identifier: Apache-2.0
// Keeps one connection to a hub: states, attempts, signs of life, tokens.

import { Backoff } from "./backoff.js";
import { base64URL } from "./bytes.js";
import { Endpoints, socketURL } from "./endpoints.js";
import { Timers } from "./environment.js";
import { closeError, PulseWSError } from "./errors.js";
import { Pulse } from "./pulse.js";
import { Machine } from "./states.js";
import { Tokens } from "./tokens.js";
import { Transport } from "./transport.js";

const SUBPROTOCOL = "pulse.v1";
const LEAST_SPACING = 1000; // between attempts that events of the page ask for
const RENEW_AGAIN = 5000;

/**
 * Hooks: `changed(change)`, `opened()`: subscriptions may go out; `ready()`: the hub has accepted us; `parse(data)`: an object,
 * or null for binary; `received(message, data)`; `ended(close)`; `failed(error)`; `pinged(latency)`; `allFailed(error)`.
 */
export class Keeper {
  constructor(urls, options, environment, hooks) {
    this.options = options;
    this.environment = environment;
    this.hooks = hooks;
    this.machine = new Machine();
    this.backoff = new Backoff(options, environment.random);
    this.endpoints = new Endpoints(urls);
    this.tokens = new Tokens(options.token, environment.wallClock);
    this.timers = new Timers(environment);
    this.pulse = new Pulse(options, environment, this.timers, {
      send: (message) => this.tell(message),
      measured: (latency) => hooks.pinged(latency),
      dead: () => this.#lost("heartbeat_timeout", "nothing came from the hub, not even the answer to a ping"),
    });
    this.transport = null;
    this.address = "";
    this.attempt = 0; // names the attempt that asynchronous steps belong to
    this.attemptedAt = -Infinity;
    this.error = null;
    this.#forget();
  }

  #forget() {
    this.isOpen = false; // the handshake is done
    this.isReady = false; // and the hub has accepted us
    this.told = null; // what the hub has said about a refusal
    this.authId = null; // of our first message, when that shows the token
  }

  get state() {
    return this.machine.state;
  }

  /** The address in use or tried last, without the query, which may have secrets. */
  get url() {
    return this.address;
  }

  start() {
    if (this.#change("start")) this.#begin();
  }

  /** A new connection now, whatever there is. */
  reconnect() {
    this.#drop(1000, "reconnect");
    this.backoff.reset();
    this.endpoints.good();
    this.tokens.accepted();
    if (this.#change("reconnect") || this.machine.state === "connecting") this.#begin();
  }

  stop(code, reason) {
    this.#drop(code, reason);
    this.timers.clearAll();
    this.backoff.reset();
    this.error = null;
    this.#change("disconnect");
  }

  /** Text or binary data, on an open connection. */
  send(data) {
    this.transport.send(data);
  }

  tell(message) {
    this.send(JSON.stringify(message));
  }

  /** Something of the page says that the line may be dead, or that a new one may be had. */
  wake(reason) {
    if (this.isReady) return this.pulse.probe(this.options.probeTimeout);
    const isTrying = this.machine.state === "connecting" || this.machine.state === "reconnecting";
    if (!isTrying || reason === "offline") return;
    const left = LEAST_SPACING - (this.environment.now() - this.attemptedAt);
    if (this.timers.has("retry")) {
      if (left > 0) return this.timers.set("retry", left, () => this.#again());
      this.timers.clear("retry");
      this.#again();
    } else if (reason !== "visible" && left <= 0) {
      // The attempt that is under way began on a network that is gone.
      this.#drop();
      if (this.machine.state === "connecting") this.#begin();
      else this.#again();
    }
  }

  #change(trigger, detail = {}) {
    const change = this.machine.fire(trigger);
    if (change !== null) this.hooks.changed({ ...change, ...detail });
    return change !== null;
  }

  #again() {
    if (this.#change("attempt", { attempt: this.backoff.failures })) this.#begin();
  }

  /** Ends the present connection or attempt without a word to the hooks but `ended`. */
  #drop(code, reason) {
    this.attempt += 1;
    for (const name of ["retry", "open", "renew"]) this.timers.clear(name);
    this.pulse.stop();
    const transport = this.transport;
    this.transport = null;
    const wasOpen = this.isOpen;
    this.#forget();
    if (transport === null) return;
    const buffered = transport.abandon(code, reason);
    if (!wasOpen) return;
    const unsent = code === undefined ? buffered : 0; // a close goes behind what waits
    this.hooks.ended({ code: code ?? 1006, reason: reason ?? "", wasClean: false, unsent });
  }

  async #begin() {
    this.attempt += 1;
    const attempt = this.attempt;
    this.attemptedAt = this.environment.now();
    this.timers.set("open", this.options.openTimeout, () => this.#lost("open_timeout", "the hub did not answer in time"));
    let token, url;
    try {
      url = await this.#address();
      if (attempt !== this.attempt) return;
      token = await this.tokens.get();
    } catch (error) {
      if (attempt !== this.attempt) return;
      this.#drop();
      const failure = new PulseWSError("token_failed", `no address or no token: ${error.message}`, { cause: error });
      this.hooks.failed(failure);
      if (this.attempt === attempt + 1) this.#next(failure, true, 0); // no fault of this hub
      return;
    }
    if (attempt !== this.attempt) return;
    try {
      this.#open(socketURL(url, this.environment.location?.href), token);
    } catch (error) {
      this.#giveUp(new PulseWSError("bad_url", `this address can't be used: ${error.message}`, { cause: error }));
    }
  }

  async #address() {
    const endpoint = this.endpoints.current;
    return typeof endpoint === "function" ? endpoint() : endpoint;
  }

  #open(url, token) {
    const { plain, tokenIn } = this.options;
    this.address = `${url.protocol}//${url.host}${url.pathname}`;
    const protocols = plain ? [] : [SUBPROTOCOL];
    if (token !== null && tokenIn === "subprotocol") protocols.push(`pulse.token.${base64URL(token)}`);
    if (token !== null && tokenIn === "url") url.searchParams.set("token", token);
    this.transport = new Transport(this.environment.WebSocket, url.href, protocols, {
      opened: () => this.#opened(tokenIn === "message" ? token : null),
      received: (data) => this.#received(data),
      closed: (close) => this.#closed(close),
    });
  }

  #opened(token) {
    this.isOpen = true;
    if (token !== null) {
      this.authId = "auth";
      this.tell({ type: "auth", id: this.authId, data: { token } });
    }
    this.pulse.start(); // its answer shows that the hub has accepted us, also on routes without a welcome
    if (token === null) this.hooks.opened();
  }

  #received(data) {
    this.pulse.heard();
    const message = this.hooks.parse(data);
    const attempt = this.attempt;
    this.told = null; // only what comes right before a close explains it
    if (message !== null && message.o === undefined) this.#look(message);
    else if (!this.isReady) this.#accept();
    const isRefusal = this.told !== null && !this.isReady; // the close that follows tells it
    if (attempt === this.attempt && !isRefusal) this.hooks.received(message, data);
  }

  /** Messages of the hub itself that the connection depends on. */
  #look(message) {
    const { type, id, data } = message;
    if (type === "error" && id === undefined) this.told = data ?? null;
    else if (type === "pong") this.pulse.answered(message);
    else if (type === "auth_expiring") this.#renew();
    if (this.isReady) return;
    const isRefused = type === "error" && (id === undefined || data?.code === "unauthenticated");
    if (this.authId !== null) {
      if (id === this.authId && (type === "auth" || data?.code === "not_expected")) this.#accept();
    } else if (!isRefused) {
      this.#accept();
    }
  }

  #accept() {
    this.isReady = true;
    this.timers.clear("open");
    this.error = null;
    this.endpoints.good();
    this.tokens.accepted();
    this.backoff.opened(this.environment.now());
    const wasHeld = this.authId !== null;
    const attempt = this.attempt;
    this.#change("opened");
    if (wasHeld && attempt === this.attempt) this.hooks.opened();
    if (attempt === this.attempt) this.hooks.ready();
  }

  /** A new token in band. */
  async #renew() {
    if (!this.tokens.canRenew) return; // the event tells the application, which may call `authenticate`
    const attempt = this.attempt;
    try {
      const token = await this.tokens.renew("expiring");
      if (attempt === this.attempt) this.authenticate(token);
    } catch (error) {
      if (attempt !== this.attempt) return;
      this.hooks.failed(new PulseWSError("token_failed", `no new token: ${error.message}`, { cause: error }));
      this.timers.set("renew", RENEW_AGAIN, () => this.#renew());
    }
  }

  authenticate(token) {
    this.tokens.token = token;
    if (this.isOpen) this.tell({ type: "auth", id: "renew", data: { token } });
  }

  /** This side ends what does not work. */
  #lost(code, sentence) {
    const wasReady = this.isReady;
    const attempt = this.attempt + 1;
    this.#drop();
    if (attempt === this.attempt) this.#next(new PulseWSError(code, sentence), wasReady, 0);
  }

  #closed(close) {
    const { isReady, isOpen } = this;
    const error = closeError(close, this.told);
    this.transport = null;
    this.#drop();
    const attempt = this.attempt;
    if (isOpen) this.hooks.ended(close);
    if (attempt === this.attempt) this.#next(error, isReady, close.code);
  }

  /** What follows the end of a connection or an attempt. */
  #next(error, wasGood, closeCode) {
    const now = this.environment.now();
    const wasStable = this.backoff.isStable(now);
    this.backoff.ended(now);
    const isTokenRefused = closeCode === 4001 || closeCode === 4009;
    const hasNewToken = isTokenRefused && this.tokens.refused();
    const isFinal = this.options.fatalCloseCodes.includes(closeCode) || (isTokenRefused && !hasNewToken);
    const isRoundOver = this.endpoints.failed(wasGood, isFinal);
    if (this.endpoints.isHopeless || !this.options.reconnect) return this.#giveUp(error);
    const isAtOnce = hasNewToken && this.tokens.refusals === 1 && (wasStable || !wasGood);
    const delay = isAtOnce ? 0 : isRoundOver ? this.backoff.delay(closeCode) : this.backoff.hop();
    const { maxReconnectAttempts } = this.options;
    if (maxReconnectAttempts > 0 && this.backoff.failures > maxReconnectAttempts) return this.#giveUp(error);
    this.error = error;
    const { attempt } = this;
    this.timers.set("retry", delay, () => this.#again());
    this.#change("retry", { attempt: this.backoff.failures, delay, error });
    if (attempt === this.attempt && this.endpoints.allFailed) this.hooks.allFailed(error);
  }

  #giveUp(error) {
    this.#drop();
    this.error = error;
    this.#change("give_up", { error });
    this.hooks.failed(error);
  }
}
