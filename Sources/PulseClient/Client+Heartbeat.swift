// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseTransport
import PulseWire

/// Pings to the peer, answers to its own, and the deadline for any sign of life.
extension Client {
  private static let pongLimit = 16 << 10

  func scheduleHeartbeat() {
    var next = nextPingAt
    if options.heartbeatTimeout > 0 {
      let deadAt = lastReceivedAt &+ options.heartbeatTimeout
      if deadAt < next { next = deadAt }
    }
    guard next != Int64.max else { return }
    heartbeatTimer = host.loop.schedule(self, tag: Signal.heartbeat, deadline: next)
  }

  func heartbeatIsDue() {
    guard phase == .open || phase == .closing else { return }
    let now = Clock.monotonic()
    // While the consumer makes reading pause, silence says nothing about the peer.
    if readingPaused { lastReceivedAt = now }
    if options.heartbeatTimeout > 0 && now &- lastReceivedAt >= options.heartbeatTimeout {
      peerCloseCode = 1006
      lingers = false
      end(
        Failure(
          .dead, "\(url.redacted): no byte from the server within heartbeat_timeout (\(jsonSeconds(options.heartbeatTimeout)) s)"))
      return
    }
    if now >= nextPingAt {
      if phase == .open { sendHeartbeat(now) }
      nextPingAt = now &+ options.heartbeatInterval
      if inbox.isEmpty { inbox.trim() }
    }
    scheduleHeartbeat()
  }

  private func sendHeartbeat(_ now: Int64) {
    guard let wire, control.count < Client.pongLimit else { return }
    pingCounter &+= 1
    var payload = pingCounter.bigEndian
    withUnsafeBytes(of: &payload) { bytes in
      _ = wire.encodePing(bytes, maskKey: random.next32(), into: &control)
    }
    pingSentAt = now
    pingAnswered = false
    statistics.pingsSent &+= 1
    if !writeIsBlocked {
      flush()
    }
  }

  /// A pong that answers the last ping gives a round trip; one that was not asked for is allowed (RFC 6455 §5.5.3).
  func pongArrived(_ payload: UnsafeRawBufferPointer) {
    statistics.pongsReceived &+= 1
    guard payload.count == 8, !pingAnswered else { return }
    let counter = UInt64(bigEndian: payload.loadUnaligned(as: UInt64.self))
    guard counter == pingCounter else { return }
    pingAnswered = true
    roundTrips.add(Clock.monotonic() &- pingSentAt)
  }

  /// RFC 6455 §5.5.2: a pong with the same payload, unless the close handshake has begun. To a peer that floods with
  /// pings and does not read, only the latest is owed (§5.5.3): the memory for pongs is bounded.
  func answerPing(_ payload: UnsafeRawBufferPointer) {
    statistics.pingsReceived &+= 1
    if control.count >= Client.pongLimit && !writeIsBlocked { flush() }
    guard let wire, !wire.closeSent else { return }
    if control.count >= Client.pongLimit {
      if owedPong != nil { statistics.pongsSkipped &+= 1 }
      owedPong = [UInt8](payload)
      return
    }
    _ = wire.encodePong(payload, maskKey: random.next32(), into: &control)
    statistics.pongsSent &+= 1
  }

  /// The pings that came while there was no room for pongs: the latest is answered now.
  func payOwedPong() {
    guard let payload = owedPong, let wire else { return }
    owedPong = nil
    payload.withUnsafeBytes { bytes in
      _ = wire.encodePong(bytes, maskKey: random.next32(), into: &control)
    }
    statistics.pongsSent &+= 1
  }
}
