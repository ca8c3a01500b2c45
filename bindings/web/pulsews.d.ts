// SPDX-License-Identifier: Apache-2.0
// Types of pulsews.js: docs/WEB.md.

/* generated: states, by tools/generate.py from contract/ */
export type State = "disconnected" | "connecting" | "connected" | "reconnecting" | "error";
/* end of states */

export type Trigger = "start" | "reconnect" | "opened" | "retry" | "give_up" | "disconnect" | "attempt" | "shared";
export type TopicState = "live" | "stale" | "gap" | "failover" | "degraded" | "ended";
/** `missed`: found by this side; the others are the hub's. */
export type GapCause = "history" | "slow" | "upstream" | "hub_restart" | "cluster" | "missed";
export type DropCause = "full" | "expired" | "closed" | "refused" | "not_live" | "tab_gone";
export type TokenReason = "connect" | "expired" | "expiring";
/** When a message was made at its source, received by the publisher, and published: milliseconds since 1970, null if not known. */
export type Stamps = [source: number | null, received: number | null, published: number | null];
export type Id = number | string;
export type Address = string | (() => string | Promise<string>);
export type TokenFunction = (why: { reason: TokenReason }) => string | Promise<string>;
export type Sendable = string | ArrayBuffer | ArrayBufferView | object;

/** A published message, as subscriptions and event `message` give it. Messages of the hub's application have no topic. */
export interface Message<Data = any> {
  readonly type: string;
  readonly topic?: string;
  /** Its offset in the topic. */
  readonly o?: number;
  /** The offset before it, for this page. */
  readonly p?: number;
  /** So many between the two were left out, since newer ones of their keys stand for them. */
  readonly skipped?: number;
  readonly t?: Stamps;
  readonly data: Data;
  /** True: part of a snapshot; it may be old. */
  readonly snapshot?: boolean;
  /** What was published, byte for byte. */
  readonly dataText?: string;
  /** It comes from the function of option `fallback`. */
  readonly source?: "fallback";
}

/** A message of a topic. */
export interface Published<Data = any> extends Message<Data> {
  readonly topic: string;
  readonly snapshot: boolean;
}

export interface Welcome {
  type: "welcome";
  data: { client: string; hub: string; heartbeat: number; time: string; resume_window: number };
}

export interface Subscribed {
  type: "subscribed";
  id?: Id;
  topic: string;
  number?: number;
  epoch: string;
  offset: number;
  recovered: boolean;
  state: TopicState;
}

export interface Unsubscribed {
  type: "unsubscribed";
  id?: Id;
  topic: string;
}

export interface Snapshot {
  type: "snapshot";
  topic: string;
  epoch: string;
  offset: number;
  /** Of a binary topic: so many binary messages follow in place of items. */
  binary?: number;
  items: Published[];
}

export interface Gap {
  type: "gap";
  topic: string;
  /** null: not known; all that the page has may be of another life of the hub. */
  from: number | null;
  to: number;
  cause: GapCause;
}

export interface TopicStateMessage {
  type: "topic_state";
  topic: string;
  state: TopicState;
  /** Seconds since the last message. */
  age?: number | null;
  feed?: string;
  cause?: string;
}

export interface Feed {
  type: "feed";
  data: { from: string; to: string; cause: string };
}

export interface Pong {
  type: "pong";
  id?: Id;
  data: { sent?: number | string; time: number };
}

export interface HeartbeatMessage {
  type: "heartbeat";
  data: { time: number };
}

export interface Authenticated {
  type: "auth";
  id?: Id;
  data: { user: string; expires: string | null };
}

export interface AuthExpiring {
  type: "auth_expiring";
  data: { in: number };
}

/** A refusal in band of one topic, for `onError` of a subscription. */
export interface ErrorMessage {
  type: "error";
  id?: Id;
  topic?: string;
  data: { code: string; message: string; details: Record<string, unknown> };
}

export interface StateChange {
  from: State;
  to: State;
  trigger: Trigger;
  /** Attempts that have failed in a row. */
  attempt: number;
  /** Milliseconds until the next attempt, or null. */
  delay: number | null;
  error: PulseWSError | null;
}

export interface Close {
  code: number;
  reason: string;
  wasClean: boolean;
  /** Bytes that had been sent and had not left. */
  unsent: number;
}

export interface Drop {
  cause: DropCause;
  data: string | ArrayBuffer | ArrayBufferView;
  /** So many since the client was made. */
  dropped: number;
}

export interface LatencySummary {
  /** Milliseconds; null before the first pong. */
  last: number | null;
  min: number | null;
  avg: number | null;
  p95: number | null;
  max: number | null;
}

export interface Failover {
  active: boolean;
  cause: string;
}

export interface Statistics {
  messages: number;
  bytes: number;
  sent: number;
  connections: number;
  reconnects: number;
  /** That have failed in a row. */
  attempts: number;
  gaps: number;
  /** Left out by the hub for newer ones of their keys. */
  skipped: number;
  /** That came again, or before their topic's answer. */
  discarded: number;
  /** That were given to `send` and never left. */
  dropped: number;
  failovers: number;
  subscriptions: number;
  queued: number;
  queuedBytes: number;
  latency: LatencySummary;
  /** The hub's clock minus this one, in milliseconds; null if not known. */
  clockOffset: number | null;
  /** Milliseconds of this connection, and of all. */
  uptime: number;
  uptimeTotal: number;
}

/** The detail of each event. Messages of other types are events of their type, with a `Message`. */
export interface Details {
  state: StateChange;
  ready: { url: string };
  close: Close;
  error: PulseWSError;
  latency: LatencySummary & { latency: number };
  drop: Drop;
  failover: Failover;
  message: Message;
  gap: Gap;
  snapshot: Snapshot;
  topic_state: TopicStateMessage;
  subscribed: Subscribed;
  unsubscribed: Unsubscribed;
  welcome: Welcome;
  feed: Feed;
  pong: Pong;
  heartbeat: HeartbeatMessage;
  auth: Authenticated;
  auth_expiring: AuthExpiring;
}

export type Listener<Detail> = ((event: CustomEvent<Detail>) => void) | { handleEvent(event: CustomEvent<Detail>): void };

/** What the function of option `fallback` gets. */
export interface FallbackFeed {
  /** Aborted when a hub is there again, or the client is closed. */
  signal: AbortSignal;
  cause: string;
  emit(message: { type?: string; topic?: string; data: unknown; t?: Stamps }): void;
}

/** Times are milliseconds. */
export interface Options {
  /** false: `connect()` begins. Default true. */
  autoConnect?: boolean;
  token?: string | TokenFunction;
  /** Default: subprotocol; on plain routes message. */
  tokenIn?: "subprotocol" | "message" | "url";
  /** A route that speaks plain: without offsets, resume and topics in messages. Default false. */
  plain?: boolean;
  /** text: numbers of published JSON become strings of their digits. Default number. */
  numbers?: "number" | "text";
  openTimeout?: number;
  heartbeatInterval?: number;
  heartbeatTimeout?: number;
  probeTimeout?: number;
  reconnect?: boolean;
  /** Default 0: it never stops. */
  maxReconnectAttempts?: number;
  reconnectBaseDelay?: number;
  reconnectMaxDelay?: number;
  restartDelay?: number;
  stableTime?: number;
  fatalCloseCodes?: number[];
  queueMessages?: number;
  queueBytes?: number;
  queuePolicy?: "drop_oldest" | "reject";
  fallback?: (feed: FallbackFeed) => void | (() => void) | Promise<void | (() => void)>;
  /** One connection for all tabs of the site that share under this name; true: under the address. Default false. */
  share?: boolean | string;
  /** Clock, timers and sockets in place of the browser's, for tests. */
  environment?: object;
}

export interface SubscribeOptions {
  /** So many past messages, as a snapshot. */
  history?: number;
  onGap?: (gap: Gap) => void;
  onState?: (state: TopicStateMessage) => void;
  onError?: (error: ErrorMessage) => void;
  signal?: AbortSignal;
}

export interface Subscription {
  readonly topics: string[];
  close(): void;
}

export interface SendOptions {
  /** Now, or not at all. */
  liveOnly?: boolean;
  /** So long it may wait. */
  ttl?: number;
}

export class PulseWSError extends Error {
  readonly name: "PulseWSError";
  /** A word for programs: of the hub, or of this side. */
  readonly code: string;
  readonly closeCode: number | null;
  readonly details: Record<string, unknown>;
  /** Of an error about one topic. */
  readonly topic?: string;
}

export class PulseWS extends EventTarget {
  constructor(url: Address | Address[], options?: Options);

  readonly state: State;
  readonly isConnected: boolean;
  readonly isFailover: boolean;
  readonly url: string;
  readonly error: PulseWSError | null;
  readonly latency: number | null;
  readonly nextAttemptIn: number | null;

  connect(): void;
  reconnect(): void;
  close(code?: number, reason?: string): void;
  authenticate(token: string): void;

  subscribe<Data = any>(
    topics: string | string[],
    listener?: (message: Published<Data>) => void,
    options?: SubscribeOptions,
  ): Subscription;
  subscribe(topics: string | string[], options: SubscribeOptions): Subscription;
  unsubscribe(topics: string | string[]): void;
  send(data: Sendable, options?: SendOptions): boolean;
  statistics(): Statistics;

  addEventListener<Type extends keyof Details>(
    type: Type,
    listener: Listener<Details[Type]> | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: Listener<Message> | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<Type extends keyof Details>(
    type: Type,
    listener: Listener<Details[Type]> | null,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(type: string, listener: Listener<Message> | null, options?: boolean | EventListenerOptions): void;
}

export const STATES: readonly State[];
export const VERSION: string;

/** As JSON.parse, but numbers become strings, digit by digit. */
export function parseExact(json: string): unknown;
