// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseTransport
import PulseWire

/// What the user can see of a client.
extension Client {
  package var currentState: ClientState {
    mutex.lock()
    defer { mutex.unlock() }
    return state
  }

  /// Why it ended; nil while it has not.
  package var currentFailure: Failure? {
    mutex.lock()
    defer { mutex.unlock() }
    return failure
  }

  package var closeCode: UInt16 {
    mutex.lock()
    defer { mutex.unlock() }
    return peerCloseCode
  }

  package var closeReason: String {
    mutex.lock()
    defer { mutex.unlock() }
    return peerCloseReason
  }

  package var handshakeStatus: Int {
    mutex.lock()
    defer { mutex.unlock() }
    if let refusal { return refusal.status }
    return acceptance != nil ? 101 : 0
  }

  package var handshakeHeaders: String {
    mutex.lock()
    defer { mutex.unlock() }
    var lines = ""
    for header in refusal?.headers ?? acceptance?.headers ?? [] { lines += "\(header.name): \(header.value)\n" }
    return lines
  }

  package var handshakeBody: [UInt8] {
    mutex.lock()
    defer { mutex.unlock() }
    return refusal?.body ?? []
  }

  package var subprotocol: String {
    mutex.lock()
    defer { mutex.unlock() }
    return acceptance?.subprotocol ?? ""
  }

  /// Puts an event between the messages, if the option is on. `mutex` is held.
  func report(_ json: String) {
    guard options.events else { return }
    var copy = json
    copy.withUTF8 { bytes in
      _ = inbox.append(
        kind: MessageCode.event, flags: 0, payload: UnsafeRawBufferPointer(bytes), receivedAt: Clock.realtime(),
        expected: bytes.count)
    }
  }

  func reportState(cause: String) {
    guard options.events else { return }
    report(
      "{\"event\":\"state\",\"state\":\"\(text(state.name))\",\"cause\":\(jsonString(cause)),\"attempt\":1,"
        + "\"next_delay\":0,\"endpoint\":\(jsonString(url.redacted)),\"close_code\":\(peerCloseCode)}")
  }

  func reportDiscarded(_ event: StaticString, _ count: Int, _ cause: StaticString) {
    guard options.events, count > 0 else { return }
    report("{\"event\":\"\(text(event))\",\"messages\":\(count),\"cause\":\"\(text(cause))\"}")
  }

  /// The keys and units stand in docs/STATUS.md.
  package func statusJSON() -> String {
    mutex.lock()
    defer { mutex.unlock() }
    let now = Clock.monotonic()
    let isOpen = phase == .open || phase == .closing
    let uptime = isOpen ? now &- openedAt : 0
    var json = JSONObject()
    json.add("state", string: text(state.name))
    json.add("url", string: url.redacted)
    json.add("queue_size", outbox.count + ledger.pending)
    json.add("queue_bytes", outbox.bytes + output.count)
    json.add("receive_queue_size", inbox.count)
    json.add("receive_queue_bytes", inbox.bytes)
    json.add("reading_paused", raw: readingPaused ? "true" : "false")
    json.add("subprotocol", string: acceptance?.subprotocol ?? "")
    json.add("compression", raw: acceptance?.deflate != nil ? "true" : "false")
    json.add("close_code", Int(peerCloseCode))
    var numbers = JSONObject()
    numbers.add("messages_received", statistics.messagesReceived)
    numbers.add("messages_accepted", statistics.messagesAccepted)
    numbers.add("messages_sent", statistics.messagesSent)
    numbers.add("messages_failed", statistics.messagesFailed)
    numbers.add("messages_dropped", statistics.messagesDropped)
    numbers.add("bytes_received", statistics.bytesReceived)
    numbers.add("bytes_sent", statistics.bytesSent)
    numbers.add("writes", statistics.writes)
    numbers.add("pings_sent", statistics.pingsSent)
    numbers.add("pings_received", statistics.pingsReceived)
    numbers.add("pongs_sent", statistics.pongsSent)
    numbers.add("pongs_received", statistics.pongsReceived)
    numbers.add("pongs_skipped", statistics.pongsSkipped)
    numbers.add("reading_pauses", statistics.readingPauses)
    numbers.add("receive_queue_high", inbox.highestCount)
    numbers.add("receive_queue_bytes_high", inbox.highestBytes)
    numbers.add("queue_high", outbox.highestCount)
    numbers.add("queue_bytes_high", outbox.highestBytes)
    numbers.add("connections", statistics.connections)
    numbers.add("reconnections", statistics.connections > 1 ? statistics.connections - 1 : 0)
    numbers.add("errors", statistics.errors)
    numbers.add("uptime", raw: jsonSeconds(uptime))
    numbers.add("connected_time", raw: jsonSeconds(statistics.connectedTime &+ uptime))
    numbers.add("last_error", string: failure.map { $0.code == .closed ? "" : $0.text } ?? "")
    let known = roundTrips.count > 0
    numbers.add("latency", raw: known ? jsonSeconds(roundTrips.last) : "null")
    numbers.add("latency_smoothed", raw: known ? jsonSeconds(roundTrips.smoothed) : "null")
    numbers.add("latency_min", raw: known ? jsonSeconds(roundTrips.minimum) : "null")
    numbers.add("latency_max", raw: known ? jsonSeconds(roundTrips.maximum) : "null")
    numbers.add("latency_p50", raw: known ? jsonSeconds(roundTrips.percentile(0.5)) : "null")
    numbers.add("latency_p99", raw: known ? jsonSeconds(roundTrips.percentile(0.99)) : "null")
    json.add("stats", raw: numbers.text)
    return json.text
  }
}

/// Puts a JSON object together.
private struct JSONObject {
  private var body = ""

  mutating func add(_ key: StaticString, raw: String) {
    if !body.utf8.isEmpty { body += "," }
    body += "\"\(PulseClient.text(key))\":\(raw)"
  }

  mutating func add(_ key: StaticString, string: String) { add(key, raw: jsonString(string)) }
  mutating func add(_ key: StaticString, _ number: UInt64) { add(key, raw: String(number)) }
  mutating func add(_ key: StaticString, _ number: Int) { add(key, raw: String(number)) }

  var text: String { "{" + body + "}" }
}
