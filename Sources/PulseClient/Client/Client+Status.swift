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
  package var currentFailure: Failure? { mutex.withLock { first.failure } }

  /// Whether trying again may mend that; false while there is nothing.
  package var isRetryable: Bool {
    mutex.lock()
    defer { mutex.unlock() }
    guard let failure = first.failure else { return false }
    if failure.isFatal || failure.isFinal { return !first.isFinal(failure) }
    return failure.code.isRetryable
  }

  /// The peer's close code: 1006 without a close frame, 0 while a connection is open or none was.
  package var closeCode: UInt16 { mutex.withLock { first.closeCode } }

  package var closeReason: String { mutex.withLock { first.isOpen ? "" : first.lastCloseReason } }

  package var rejection: String { mutex.withLock { first.failure?.isRejection == true ? first.serverMessage : "" } }

  package var handshakeStatus: Int {
    mutex.withLock { first.refusal?.status ?? (first.acceptance != nil ? 101 : 0) }
  }

  package var handshakeHeaders: String {
    mutex.lock()
    defer { mutex.unlock() }
    var lines: Sentence = ""
    for header in first.refusal?.headers ?? first.acceptance?.headers ?? [] { lines.add("\(header.name): \(header.value)\n") }
    return sentence(lines)
  }

  package var handshakeBody: [UInt8] { mutex.withLock { first.refusal?.body ?? [] } }

  package var subprotocol: String { mutex.withLock { first.acceptance?.subprotocol ?? "" } }

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
    json.add("url", string: first.urls[0].redacted)
    json.add("endpoint", string: first.url.redacted)
    json.add("endpoints", raw: first.endpointsJSON(now))
    json.add("queue_size", first.queueSize)
    json.add("queue_bytes", first.queueBytes)
    json.add("receive_queue_size", inbound.queuedCount)
    json.add("receive_queue_bytes", inbound.queuedBytes)
    json.add("reading_paused", raw: first.isPaused || second?.isPaused == true ? "true" : "false")
    json.add("stale", raw: first.liveness.isStale ? "true" : "false")
    json.add("subscriptions", first.subscriptions.count)
    json.add("attempt", first.attemptNumber)
    json.add("next_delay", raw: jsonSeconds(first.dialer.nextDelay))
    json.add("subprotocol", string: first.acceptance?.subprotocol ?? "")
    json.add("compression", raw: first.acceptance?.deflate != nil ? "true" : "false")
    json.add("close_code", Int(first.closeCode))
    var numbers = JSONObject()
    var rows = StatisticTable.rows
    while let index = rows.next() { numbers.add(rows.text(0), raw: number(first.value(index, now: now), "null")) }
    numbers.add("last_error", string: first.failure.map { $0.code == .closed ? "" : $0.text } ?? "")
    json.add("stats", raw: numbers.text)
    return json.text
  }

  // MARK: Numbers

  /// Fills what fits; returns how many there are.
  package func fillStatistics(_ values: UnsafeMutablePointer<Double>?, _ count: Int) -> Int {
    mutex.lock()
    defer { mutex.unlock() }
    let now = Clock.monotonic()
    if let values {
      for index in 0..<(count < StatisticTable.count ? count : StatisticTable.count) {
        values[index] = first.value(index, now: now)
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
        for index in 0..<StatisticTable.count { numbers.append(client.first.value(index, now: now)) }
        return (client.first.url.redacted, numbers)
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
