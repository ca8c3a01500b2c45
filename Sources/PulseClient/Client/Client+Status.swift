// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// What the user can see of a client.
extension Client {
  /// As the number of the ABI.
  package var currentState: Int32 { mutex.withLock { shownState.rawValue } }

  /// Why the last connection or attempt ended; nil while none has.
  package var currentFailure: Failure? { mutex.withLock { failure } }

  /// Whether trying again may mend that; false while there is nothing.
  package var isRetryable: Bool {
    mutex.lock()
    defer { mutex.unlock() }
    guard let failure else { return false }
    if failure.isFatal || failure.isFinal { return !isFinal(failure) }
    return failure.code.isRetryable
  }

  /// The peer's close code: 1006 without a close frame, 0 while a connection is open or none was.
  package var closeCode: UInt16 { mutex.withLock { peerCloseCode } }

  var peerCloseCode: UInt16 { isOpen ? 0 : lastCloseCode }

  package var closeReason: String { mutex.withLock { isOpen ? "" : lastCloseReason } }

  package var rejection: String { mutex.withLock { failure?.isRejection == true ? serverMessage : "" } }

  package var handshakeStatus: Int {
    mutex.withLock { refusal?.status ?? (acceptance != nil ? 101 : 0) }
  }

  package var handshakeHeaders: String {
    mutex.lock()
    defer { mutex.unlock() }
    var lines: Sentence = ""
    for header in refusal?.headers ?? acceptance?.headers ?? [] { lines.add("\(header.name): \(header.value)\n") }
    return sentence(lines)
  }

  package var handshakeBody: [UInt8] { mutex.withLock { refusal?.body ?? [] } }

  package var subprotocol: String { mutex.withLock { acceptance?.subprotocol ?? "" } }

  func uptime(_ now: Int64) -> Int64 {
    guard isOpen, let connection else { return 0 }
    return now &- connection.openedAt
  }

  // MARK: Events

  /// Puts an event between the messages, if the option is on. One that `isKept` does not give way to a full queue: all
  /// but those that may come with every message. `mutex` is held.
  func emit(_ event: Sentence, isKept: Bool = true) {
    guard emitsEvents else { return }
    setMoment()
    inbound.emit(event, isKept: isKept)
    carryOut()
  }

  func emitState(_ event: SessionEvent, from previous: SessionState, cause: String, code: StatusCode) {
    if previous == .connected, shownState != .connected { inbound.tap?.silenced(cause) }
    guard emitsEvents else { return }
    emit(
      Event.state(
        state: shownState.name, previous: previous.name, trigger: event.name, cause: cause,
        error: code == .ok ? "" : StatusCode.name(code.rawValue), attempt: attemptNumber, nextDelay: dialer.nextDelay,
        endpoint: url.redacted, closeCode: Int(peerCloseCode)))
  }

  func emitBreaker(_ endpoint: Int, _ now: Int64) {
    guard let after = dialer.breakerNews(endpoint, now) else { return }
    log(.info) { "the circuit breaker of \(self.urls[endpoint].redacted) is \(after.name)" }
    emit(Event.breaker(endpoint: urls[endpoint].redacted, breaker: after.name))
  }

  // MARK: Status

  /// The keys and units stand in docs/STATUS.md.
  package func statusJSON() -> String {
    mutex.lock()
    defer { mutex.unlock() }
    let now = Clock.monotonic()
    var json = JSONObject()
    json.add("state", string: text(shownState.name))
    json.add("ready", raw: isReady ? "true" : "false")
    json.add("name", string: options.name)
    json.add("url", string: urls[0].redacted)
    json.add("endpoint", string: url.redacted)
    json.add("endpoints", raw: endpointsJSON(now))
    json.add("queue_size", queueSize)
    json.add("queue_bytes", queueBytes)
    json.add("receive_queue_size", inbound.queuedCount)
    json.add("receive_queue_bytes", inbound.queuedBytes)
    json.add("reading_paused", raw: connection?.readingPaused == true || tail != nil ? "true" : "false")
    json.add("stale", raw: inbound.isStale ? "true" : "false")
    json.add("subscriptions", subscriptions?.count ?? 0)
    json.add("attempt", attemptNumber)
    json.add("next_delay", raw: jsonSeconds(dialer.nextDelay))
    json.add("subprotocol", string: acceptance?.subprotocol ?? "")
    json.add("compression", raw: acceptance?.deflate != nil ? "true" : "false")
    json.add("close_code", Int(peerCloseCode))
    var numbers = JSONObject()
    var rows = StatisticTable.rows
    while let index = rows.next() { numbers.add(rows.text(0), raw: number(value(index, now: now), "null")) }
    numbers.add("last_error", string: failure.map { $0.code == .closed ? "" : $0.text } ?? "")
    json.add("stats", raw: numbers.text)
    return json.text
  }

  private func endpointsJSON(_ now: Int64) -> String {
    var list: Sentence = "["
    for index in 0..<urls.count {
      guard let health = dialer.endpoints.health(index) else { continue }
      if index > 0 { list.add(",") }
      var json = JSONObject()
      json.add("url", string: urls[index].redacted)
      json.add("breaker", string: text(health.breaker.state(now).name))
      json.add("attempts", health.attempts)
      json.add("failures", health.failures)
      json.add("connections", health.connections)
      json.add("ruled_out", raw: health.isRuledOut ? "true" : "false")
      list.add(json.sentence)
    }
    return sentence(list + "]")
  }

  // MARK: Numbers

  /// Fills what fits; returns how many there are.
  package func fillStatistics(_ values: UnsafeMutablePointer<Double>?, _ count: Int) -> Int {
    mutex.lock()
    defer { mutex.unlock() }
    let now = Clock.monotonic()
    if let values {
      for index in 0..<(count < StatisticTable.count ? count : StatisticTable.count) {
        values[index] = value(index, now: now)
      }
    }
    return StatisticTable.count
  }

  /// The Prometheus text format, version 0.0.4, of these clients, each metric in one piece.
  package static func prometheus(_ clients: [Client]) -> String {
    let now = Clock.monotonic()
    var labels: [String] = []
    // All of a client at one moment, so that its books balance.
    var values: [[Double]] = []
    for client in clients {
      let (endpoint, numbers) = client.mutex.withLock {
        var numbers: [Double] = []
        for index in 0..<StatisticTable.count { numbers.append(client.value(index, now: now)) }
        return (client.url.redacted, numbers)
      }
      values.append(numbers)
      labels.append(
        sentence(
          "{client=\(labelText(client.options.name)),endpoint=\(labelText(endpoint)),id=\"\(client.serial)\"} "))
    }
    var out: [UInt8] = []
    var rows = StatisticTable.rows
    while let index = rows.next() {
      let unit = rows.text(1)
      let isCounter = StatisticTable.isCounter(index)
      let suffix: Literal = equal(unit, "seconds") ? "_seconds" : ""
      let name: Sentence = "pulsews_\(rows.text(0))\(suffix)\(isCounter ? Literal("_total") : "")"
      let kind: Literal = isCounter ? "counter" : "gauge"
      out.append(
        contentsOf: ("# HELP \(name) \(rows.text(2)) (\(unit))\n# TYPE \(name) \(kind)\n" as Sentence).bytes)
      for place in 0..<clients.count {
        let value = values[place][index]
        out.append(contentsOf: ("\(name)\(labels[place])\(number(value, "NaN"))\n" as Sentence).bytes)
      }
    }
    return String(bytes: out)
  }

  /// Of all clients of the process.
  package static func prometheus() -> String { prometheus(ClientRegistry.all()) }
}

/// In quotes, as the format wants it: backslash, quote and line feed escaped.
private func labelText(_ text: String) -> String {
  var out: [UInt8] = [0x22]
  for byte in text.bytes {
    if byte == 0x0A {
      out.append(0x5C)
      out.append(0x6E)
      continue
    }
    if byte == 0x22 || byte == 0x5C { out.append(0x5C) }
    out.append(byte)
  }
  out.append(0x22)
  return String(bytes: out)
}

/// A number of a statistic, with nine decimals where it has any.
func number(_ value: Double, _ unknown: Literal) -> String {
  guard value.isFinite, value > -9e9, value < 9e18 else { return text(unknown) }
  let whole = value.rounded(.down)
  let decimals = Int64(((value - whole) * 1e9).rounded())
  if decimals == 0 { return sentence("\(Int(whole))") }
  if decimals >= 1_000_000_000 { return sentence("\(Int(whole) + 1)") }
  // A digit in front keeps the zeros.
  let digits = ("\(Int(decimals) + 1_000_000_000)" as Sentence).bytes
  return sentence("\(Int(whole)).\(Sentence(digits[1...]))")
}

/// Puts a JSON object together.
private struct JSONObject {
  private var body: Sentence = ""

  @inline(never)
  mutating func add(_ key: Literal, raw: String) {
    body.add(body.bytes.isEmpty ? "{" : ",")
    body.add("\"\(key)\":\(raw)")
  }

  @inline(never)
  mutating func add(_ key: Literal, string: String) { add(key, raw: PulseText.sentence("\(json: string)")) }
  mutating func add(_ key: Literal, _ number: UInt64) { add(key, raw: PulseText.sentence("\(number)")) }
  mutating func add(_ key: Literal, _ number: Int) { add(key, raw: PulseText.sentence("\(number)")) }

  var sentence: Sentence { body + "}" }
  var text: String { PulseText.sentence(sentence) }
}
