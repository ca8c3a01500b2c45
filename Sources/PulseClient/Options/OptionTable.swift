// SPDX-License-Identifier: Apache-2.0
import PulseText

/// The one table of options. Validation, the reference page, `pulsews_option_at` and the bindings' keyword arguments
/// come from it.
package struct OptionEntry: Sendable {
  package enum Kind: Sendable { case duration, size, integer, number, boolean, text, choice, header, list }

  package let key: OptionKey
  package let name: Literal
  package let kind: Kind
  package let defaultValue: Literal
  package let range: Literal
  package let meaning: Literal
  /// In the unit of the kind: nanoseconds, bytes, a plain number, or thousandths of one.
  let minimum: Int64
  let maximum: Int64

  package var kindName: Literal {
    switch kind {
    case .duration: "duration"
    case .size: "size"
    case .integer: "integer"
    case .number: "number"
    case .boolean: "boolean"
    case .text: "text"
    case .choice: "choice"
    case .header: "header"
    case .list: "list"
    }
  }
}

package enum OptionKey: Sendable {
  case headers, subprotocols, openTimeout, closeTimeout, heartbeatInterval, heartbeatTimeout
  case maxMessageSize, receiveQueueBytes, messageQueueSize, messageQueueBytes
  case compression, compressionThreshold, compressionContextTakeover, compressionWindowBits
  case caFile, verify, events, name
  case reconnect, maxReconnectAttempts, reconnectBaseDelay, reconnectMaxDelay, jitter, stableTime, restartDelay
  case retryFatal
  case endpoints, endpointReturn, breakerFailures, breakerTimeout, hostConnects, hostConnectRate
  case heartbeatMessage, heartbeatReply, heartbeatRequest, heartbeatAnswer, serverHeartbeat, serverHeartbeatTimeout
  case deliverHeartbeats, staleTimeout, staleAction
  case messageQueuePolicy, messageTTL, backlogInterval, rateLimit, rateLimitControl
  case login, loginConfirm, loginReject, loginTimeout, holdLogin, holdConnect
  case subscribeMessage, unsubscribeMessage, subscribeBatch, subscribeInterval, subscribeConfirm, subscribeReject
  case subscribeTimeout
  case journal, journalSize, receiveQueuePolicy, keyPath, sequencePath, sequencePrevious, sequenceKey, sequenceRule
  case sequenceScope, staleKeyTimeout, maxAge, rotateOn, rotationOverlap, twin, twinWait
  case clientCertificate, clientKey, clientKeyPassword, pinSHA256, tlsMinVersion, serverName, tlsResumption
  case proxy, proxyCAFile, maxRedirects, preset
  case loginRejectAction, subscribeRejectAction, fatalCloseCodes
}

package enum OptionTable {
  /// A switch instead of an array: nothing to initialise at run time, and no lock in the way.
  package static func entry(_ index: Int) -> OptionEntry? {
    let second: Int64 = 1_000_000_000
    let day = 86_400 * second
    switch index {
    case 0:
      return OptionEntry(
        key: .headers, name: "headers", kind: .header, defaultValue: "",
        range: "Name: value; names are RFC 9110 tokens, values hold no CR, LF or NUL",
        meaning: "A header of the upgrade request; every call adds one. Host and the headers of the handshake itself are not allowed.",
        minimum: 0, maximum: 0)
    case 1:
      return OptionEntry(
        key: .subprotocols, name: "subprotocols", kind: .list, defaultValue: "",
        range: "an RFC 9110 token, no name twice",
        meaning: "A subprotocol to offer, the preferred one first; every call adds one.", minimum: 0, maximum: 0)
    case 2:
      return OptionEntry(
        key: .openTimeout, name: "open_timeout", kind: .duration, defaultValue: "10s", range: "1ms to 1h",
        meaning: "The most that one attempt may take: name resolution, TCP, TLS and the WebSocket handshake together.",
        minimum: 1_000_000, maximum: 3600 * second)
    case 3:
      return OptionEntry(
        key: .closeTimeout, name: "close_timeout", kind: .duration, defaultValue: "5s", range: "1ms to 1h",
        meaning: "How long a close waits for the peer's close frame, once its own has left, before it cuts the connection.",
        minimum: 1_000_000, maximum: 3600 * second)
    case 4:
      return OptionEntry(
        key: .heartbeatInterval, name: "heartbeat_interval", kind: .duration, defaultValue: "30s",
        range: "0 (off), or 10ms to 1 day", meaning: "The time between two heartbeats to the peer (pings, or heartbeat_message); each answer gives a round-trip time.",
        minimum: 10_000_000, maximum: day)
    case 5:
      return OptionEntry(
        key: .heartbeatTimeout, name: "heartbeat_timeout", kind: .duration, defaultValue: "60s",
        range: "0 (off), or 10ms to 1 day",
        meaning: "Without any byte from the peer for this long the connection counts as dead, unless it goes on acknowledging a message that takes long to write.",
        minimum: 10_000_000, maximum: day)
    case 6:
      return OptionEntry(
        key: .maxMessageSize, name: "max_message_size", kind: .size, defaultValue: "16MiB", range: "1 to 1GiB",
        meaning: "The largest message to receive, after decompression; a larger one closes the connection with 1009.",
        minimum: 1, maximum: 1 << 30)
    case 7:
      return OptionEntry(
        key: .receiveQueueBytes, name: "receive_queue_bytes", kind: .size, defaultValue: "4MiB", range: "4KiB to 16GiB",
        meaning: "When received messages wait with this many bytes, 40 for each message included, the queue is full; receive_queue_policy says what then happens.",
        minimum: 4096, maximum: 16 << 30)
    case 8:
      return OptionEntry(
        key: .messageQueueSize, name: "message_queue_size", kind: .integer, defaultValue: "1000", range: "1 to 1000000000",
        meaning: "The most messages that wait in the outbox, while there is no connection or the network does not take them.",
        minimum: 1, maximum: 1_000_000_000)
    case 9:
      return OptionEntry(
        key: .messageQueueBytes, name: "message_queue_bytes", kind: .size, defaultValue: "16MiB", range: "4KiB to 16GiB",
        meaning: "The most bytes that wait in the outbox, 40 for each message included; one message may exceed it when the outbox is empty.",
        minimum: 4096, maximum: 16 << 30)
    case 10:
      return OptionEntry(
        key: .compression, name: "compression", kind: .boolean, defaultValue: "true", range: "true or false",
        meaning: "Offers permessage-deflate (RFC 7692).", minimum: 0, maximum: 0)
    case 11:
      return OptionEntry(
        key: .compressionThreshold, name: "compression_threshold", kind: .size, defaultValue: "256", range: "0 to 1GiB",
        meaning: "Smaller messages are sent uncompressed.", minimum: 0, maximum: 1 << 30)
    case 12:
      return OptionEntry(
        key: .compressionContextTakeover, name: "compression_context_takeover", kind: .boolean, defaultValue: "true",
        range: "true or false",
        meaning: "Lets a message refer to earlier ones: smaller messages, more memory for each connection. false offers client_no_context_takeover and server_no_context_takeover.",
        minimum: 0, maximum: 0)
    case 13:
      return OptionEntry(
        key: .compressionWindowBits, name: "compression_window_bits", kind: .integer, defaultValue: "15", range: "9 to 15",
        meaning: "The base-2 logarithm of the compression window to offer for both directions.", minimum: 9, maximum: 15)
    case 14:
      return OptionEntry(
        key: .caFile, name: "ca_file", kind: .text, defaultValue: "", range: "a path",
        meaning: "A PEM file with the certificate authorities to trust in place of the system's.", minimum: 0, maximum: 0)
    case 15:
      return OptionEntry(
        key: .verify, name: "verify", kind: .boolean, defaultValue: "true", range: "true or false",
        meaning: "Checks the server's certificate and host name. Only for tests: false lets anyone read and change the traffic.",
        minimum: 0, maximum: 0)
    case 16:
      return OptionEntry(
        key: .events, name: "events", kind: .boolean, defaultValue: "false", range: "true or false",
        meaning: "Delivers what happens to the connection as messages of kind PULSEWS_EVENT (JSON), in order with the data.",
        minimum: 0, maximum: 0)
    case 17:
      return OptionEntry(
        key: .name, name: "name", kind: .text, defaultValue: "", range: "at most 64 bytes",
        meaning: "What the log and the statistics call this client.", minimum: 0, maximum: 64)
    default:
      return sessionEntry(index)
    }
  }
}
