// SPDX-License-Identifier: Apache-2.0
import PulseText

/// The options of everything beyond one connection: staying connected, endpoints, heartbeats, outbox, login.
extension OptionTable {
  static func sessionEntry(_ index: Int) -> OptionEntry? {
    let second: Int64 = 1_000_000_000
    let day = 86_400 * second
    switch index {
    case 18:
      return OptionEntry(
        key: .reconnect, name: "reconnect", kind: .boolean, defaultValue: "true", range: "true or false",
        meaning: "Comes back when the connection is lost. false: a lost connection, or a failed attempt, ends the client.",
        minimum: 0, maximum: 0)
    case 19:
      return OptionEntry(
        key: .maxReconnectAttempts, name: "max_reconnect_attempts", kind: .integer, defaultValue: "10", range: "0 (never stop) to 1000000000",
        meaning: "After so many failed attempts to come back in a row the client stops: state error, and who waits in a receive call gets why.",
        minimum: 0, maximum: 1000000000)
    case 20:
      return OptionEntry(
        key: .reconnectBaseDelay, name: "reconnect_base_delay", kind: .duration, defaultValue: "1s", range: "1ms to 1 day",
        meaning: "The delay before the first attempt to come back; each further one waits twice as long, but a change to an endpoint that has not failed yet.",
        minimum: 1_000_000, maximum: day)
    case 21:
      return OptionEntry(
        key: .reconnectMaxDelay, name: "reconnect_max_delay", kind: .duration, defaultValue: "60s", range: "1ms to 1 day",
        meaning: "The longest delay between two attempts.",
        minimum: 1_000_000, maximum: day)
    case 22:
      return OptionEntry(
        key: .jitter, name: "jitter", kind: .number, defaultValue: "0.5", range: "0 to 1",
        meaning: "Shortens each delay at random by up to this share, so that many clients do not come back in step; 0 gives the exact formula.",
        minimum: 0, maximum: 1000)
    case 23:
      return OptionEntry(
        key: .stableTime, name: "stable_time", kind: .duration, defaultValue: "10s", range: "0 to 1 day",
        meaning: "The count of attempts begins again after a connection that was ready for this long.",
        minimum: 0, maximum: day)
    case 24:
      return OptionEntry(
        key: .restartDelay, name: "restart_delay", kind: .duration, defaultValue: "5s", range: "0 to 1 day",
        meaning: "The least delay after close codes 1012 (restart) and 1013 (try again later); with jitter it is up to six times that, at random.",
        minimum: 0, maximum: day)
    case 25:
      return OptionEntry(
        key: .retryFatal, name: "retry_fatal", kind: .boolean, defaultValue: "false", range: "true or false",
        meaning: "Also retries after failures that a retry can hardly mend: status 401, 403 and 404, and a certificate that does not verify.",
        minimum: 0, maximum: 0)
    case 26:
      return OptionEntry(
        key: .endpoints, name: "endpoints", kind: .list, defaultValue: "", range: "a URL, ws or wss as the first one; at most 16",
        meaning: "A further endpoint that serves the same feed, in the order of preference; the client's URL is the first one.",
        minimum: 0, maximum: 0)
    case 27:
      return OptionEntry(
        key: .endpointReturn, name: "endpoint_return", kind: .duration, defaultValue: "5m", range: "0 (off), or 100ms to 1 day",
        meaning: "After this time on another endpoint the client connects to the preferred one, and changes over once that is open.",
        minimum: 100_000_000, maximum: day)
    case 28:
      return OptionEntry(
        key: .breakerFailures, name: "breaker_failures", kind: .integer, defaultValue: "5", range: "0 (off) to 1000000",
        meaning: "After so many failures in a row an endpoint is passed over for breaker_timeout while another one is usable.",
        minimum: 0, maximum: 1000000)
    case 29:
      return OptionEntry(
        key: .breakerTimeout, name: "breaker_timeout", kind: .duration, defaultValue: "30s", range: "1ms to 1 day",
        meaning: "How long an endpoint is passed over, until one attempt may try it again.",
        minimum: 1_000_000, maximum: day)
    case 30:
      return OptionEntry(
        key: .hostConnects, name: "host_connects", kind: .integer, defaultValue: "32", range: "1 to 100000",
        meaning: "The most attempts to one host and port that may be on their way at once, over all clients of the process.",
        minimum: 1, maximum: 100000)
    case 31:
      return OptionEntry(
        key: .hostConnectRate, name: "host_connect_rate", kind: .text, defaultValue: "50/s", range: "COUNT/TIME, such as 50/s or 300/5m; COUNT up to 100000, TIME 1ms to 1 day",
        meaning: "The most attempts to one host and port in any such time, over all clients of the process.",
        minimum: 0, maximum: 0)
    case 32:
      return OptionEntry(
        key: .heartbeatMessage, name: "heartbeat_message", kind: .text, defaultValue: "", range: "text with ${id}, ${ms}, ${s}, ${time}",
        meaning: "Sent as the heartbeat in place of a ping, such as ping or {\"type\":\"ping\"}.",
        minimum: 0, maximum: 4096)
    case 33:
      return OptionEntry(
        key: .heartbeatReply, name: "heartbeat_reply", kind: .list, defaultValue: "", range: "a pattern",
        meaning: "Which message answers heartbeat_message; to ping and {\"type\":\"ping\"} that is pong and {\"type\":\"pong\"} unless set.",
        minimum: 0, maximum: 0)
    case 34:
      return OptionEntry(
        key: .heartbeatRequest, name: "heartbeat_request", kind: .list, defaultValue: "", range: "a pattern",
        meaning: "Which message of the server asks for heartbeat_answer.",
        minimum: 0, maximum: 0)
    case 35:
      return OptionEntry(
        key: .heartbeatAnswer, name: "heartbeat_answer", kind: .text, defaultValue: "", range: "text with ${id}, ${ms}, ${s}, ${time}, or ${path} for a value of the request",
        meaning: "Answers heartbeat_request.",
        minimum: 0, maximum: 4096)
    case 36:
      return OptionEntry(
        key: .serverHeartbeat, name: "server_heartbeat", kind: .list, defaultValue: "", range: "a pattern",
        meaning: "Which message is the heartbeat of the server.",
        minimum: 0, maximum: 0)
    case 37:
      return OptionEntry(
        key: .serverHeartbeatTimeout, name: "server_heartbeat_timeout", kind: .duration, defaultValue: "0", range: "0 (off), or 10ms to 1 day",
        meaning: "Without a server_heartbeat for this long the connection counts as dead.",
        minimum: 10_000_000, maximum: day)
    case 38:
      return OptionEntry(
        key: .deliverHeartbeats, name: "deliver_heartbeats", kind: .boolean, defaultValue: "false", range: "true or false",
        meaning: "Delivers the messages that heartbeat_reply, heartbeat_request and server_heartbeat match, instead of only counting them.",
        minimum: 0, maximum: 0)
    case 39:
      return OptionEntry(
        key: .staleTimeout, name: "stale_timeout", kind: .duration, defaultValue: "0", range: "0 (off), or 10ms to 1 day",
        meaning: "Without a data message for this long the feed is stale; pongs and the messages of a heartbeat do not count as data.",
        minimum: 10_000_000, maximum: day)
    case 40:
      return OptionEntry(
        key: .staleAction, name: "stale_action", kind: .choice, defaultValue: "event", range: "event or reconnect",
        meaning: "What a stale feed leads to.",
        minimum: 0, maximum: 1)
    case 41:
      return OptionEntry(
        key: .messageQueuePolicy, name: "message_queue_policy", kind: .choice, defaultValue: "drop_oldest", range: "drop_oldest, drop_newest, reject or block",
        meaning: "What a full outbox does: drops the oldest or the new message, refuses it, or makes the sender wait.",
        minimum: 0, maximum: 3)
    case 42:
      return OptionEntry(
        key: .messageTTL, name: "message_ttl", kind: .duration, defaultValue: "0", range: "0 (for ever), or 1ms to 365 days",
        meaning: "A message that is not written so long after it was accepted expires, unless its own time to live says otherwise.",
        minimum: 1_000_000, maximum: 365 * day)
    case 43:
      return OptionEntry(
        key: .backlogInterval, name: "backlog_interval", kind: .duration, defaultValue: "100ms", range: "0 to 1h",
        meaning: "The time between two messages of those that waited for the connection; later ones line up behind.",
        minimum: 0, maximum: 3600 * second)
    case 44:
      return OptionEntry(
        key: .rateLimit, name: "rate_limit", kind: .list, defaultValue: "", range: "COUNT/TIME as host_connect_rate, such as 100/60s or 5/s; at most 8",
        meaning: "The most messages to send in any such time, several limits at once; what is over waits in the outbox.",
        minimum: 0, maximum: 0)
    case 45:
      return OptionEntry(
        key: .rateLimitControl, name: "rate_limit_control", kind: .boolean, defaultValue: "false", range: "true or false",
        meaning: "Counts pings and pongs in rate_limit, too. A pong is never held up; messages wait for it.",
        minimum: 0, maximum: 0)
    case 46:
      return OptionEntry(
        key: .login, name: "login", kind: .list, defaultValue: "", range: "text with ${id}, ${ms}, ${s}, ${time}",
        meaning: "A message to send on every connect, before everything else; in the order given.",
        minimum: 0, maximum: 0)
    case 47:
      return OptionEntry(
        key: .loginConfirm, name: "login_confirm", kind: .list, defaultValue: "", range: "a pattern; ${id} is a login's id",
        meaning: "Which message confirms the login; until then only login messages are sent.",
        minimum: 0, maximum: 0)
    case 48:
      return OptionEntry(
        key: .loginReject, name: "login_reject", kind: .list, defaultValue: "", range: "as login_confirm",
        meaning: "Which message rejects the login while that is not confirmed: the attempt has failed, and login_reject_action follows.",
        minimum: 0, maximum: 0)
    case 49:
      return OptionEntry(
        key: .loginTimeout, name: "login_timeout", kind: .duration, defaultValue: "10s", range: "10ms to 1h",
        meaning: "How long a hold may last, and how long a login may wait for its confirmation.",
        minimum: 10_000_000, maximum: 3600 * second)
    case 50:
      return OptionEntry(
        key: .holdLogin, name: "hold_login", kind: .boolean, defaultValue: "false", range: "true or false",
        meaning: "Every connect waits, after the login messages, until the application has sent its own and released it; turns events on.",
        minimum: 0, maximum: 0)
    case 51:
      return OptionEntry(
        key: .holdConnect, name: "hold_connect", kind: .boolean, defaultValue: "false", range: "true or false",
        meaning: "Every attempt waits, before it connects, until the application has set what is new (headers, URL) and released it; turns events on.",
        minimum: 0, maximum: 0)
    case 52:
      return OptionEntry(
        key: .subscribeMessage, name: "subscribe_message", kind: .text, defaultValue: "", range: "text with ${keys}, ${id}, ${ms}, ${s}, ${time}",
        meaning: "The text that subscribes keys, such as {\"method\":\"SUBSCRIBE\",\"params\":[${keys}],\"id\":${id}}.",
        minimum: 0, maximum: 4096)
    case 53:
      return OptionEntry(
        key: .unsubscribeMessage, name: "unsubscribe_message", kind: .text, defaultValue: "", range: "as subscribe_message",
        meaning: "The text that ends the subscription of keys.",
        minimum: 0, maximum: 4096)
    case 54:
      return OptionEntry(
        key: .subscribeBatch, name: "subscribe_batch", kind: .integer, defaultValue: "100", range: "1 to 10000",
        meaning: "The most keys in one subscribe_message.",
        minimum: 1, maximum: 10000)
    case 55:
      return OptionEntry(
        key: .subscribeInterval, name: "subscribe_interval", kind: .duration, defaultValue: "0", range: "0 to 1h",
        meaning: "The least time between two messages that subscribe.",
        minimum: 0, maximum: 3600 * second)
    case 56:
      return OptionEntry(
        key: .subscribeConfirm, name: "subscribe_confirm", kind: .list, defaultValue: "", range: "a pattern; ${id} is the id of a message that waits for it, ${key} one of its keys",
        meaning: "Which message confirms a message that subscribes, one for each, or with ${key} one for each key; without ${id} and ${key} the oldest.",
        minimum: 0, maximum: 0)
    case 57:
      return OptionEntry(
        key: .subscribeReject, name: "subscribe_reject", kind: .list, defaultValue: "", range: "as subscribe_confirm",
        meaning: "Which message rejects one that waits for its confirmation; of several keys the bad one is found in halves. subscribe_reject_action follows.",
        minimum: 0, maximum: 0)
    case 58:
      return OptionEntry(
        key: .subscribeTimeout, name: "subscribe_timeout", kind: .duration, defaultValue: "10s", range: "10ms to 1h",
        meaning: "How long a message that subscribes may wait for its confirmation.",
        minimum: 10_000_000, maximum: 3600 * second)
    default:
      return feedEntry(index)
    }
  }
}
