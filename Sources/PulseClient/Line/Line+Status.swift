// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// What can be seen of a line. `mutex` is held.
extension Line {
  /// The peer's close code: 1006 without a close frame, 0 while a connection is open or none was.
  var closeCode: UInt16 { isOpen ? 0 : lastCloseCode }

  /// What has arrived waits for the application to make room.
  var isPaused: Bool { connection?.readingPaused == true || tail != nil }

  func uptime(_ now: Int64) -> Int64 {
    guard isOpen, let connection else { return 0 }
    return now &- connection.openedAt
  }

  func readyTime(_ now: Int64) -> Int64 {
    guard let session = connection?.session, session.isReady else { return 0 }
    return now &- session.readyAt
  }

  func emitBreaker(_ endpoint: Int, _ now: Int64) {
    guard let after = dialer.breakerNews(endpoint, now) else { return }
    log(.info) { "the circuit breaker of \(self.urls[endpoint].redacted) is \(after.name)" }
    emit(Event.breaker(endpoint: urls[endpoint].redacted, breaker: after.name))
  }

  func endpointsJSON(_ now: Int64) -> String {
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
}
