// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// A line begins, and ends. `mutex` is held.
extension Line {
  func begin(_ event: SessionEvent, cause: Literal) {
    life = .trying
    outbound.resume()
    failure = nil
    let step = step(.begin)
    move(event, cause: text(cause))
    carryOut(step)
    host.hurry()
    client.wake()
  }

  /// Connects anew at once, whatever the state.
  func reconnect() {
    let cause: Literal = "reconnect() was called"
    guard life == .trying else { return begin(.reconnect, cause: cause) }
    dialer.reset()
    if let connection {
      if state == .connected { statistics.reconnectsManual &+= 1 }
      // The one that follows would take over, with what was right before.
      if successor?.isOutdated == true { leaveSuccessor() }
      connection.leave(Failure(.moved, "\(url.redacted): left, since reconnect() was called"))
    }
    // It may have ended in another way, with what was still to be read.
    if life == .ended {
      begin(.reconnect, cause: cause)
    } else if dialer.isWaiting {
      cancel(.attempt)
      let step = step(.begin)
      move(.reconnect, cause: text(cause))
      carryOut(step)
      host.hurry()
    }
  }

  // MARK: The end

  func beginClose(_ code: UInt16?, _ reason: [UInt8], _ sendsUntil: Int64) {
    // Not delivered any more, but counted.
    tail?.receiveTail()
    leaveSuccessor()
    if life == .trying, let connection {
      connection.beginClose(code, reason, sendsUntil: sendsUntil)
      client.wake()
    } else {
      closed(client.closedByCaller())
    }
  }

  /// The last connection is gone, or there was none.
  func closed(_ failure: Failure) {
    stopAttempts()
    // It may have ended by itself before: its failure stays known.
    if life != .ended || self.failure == nil { self.failure = failure }
    life = .ended
    move(.disconnect, cause: failure.text)
    failQueued()
    log(.info) { "closed" }
    client.wake()
  }

  /// At once.
  func finish() {
    // It holds the client.
    tail = nil
    leaveSuccessor()
    connection?.lingers = false
    connection?.end(client.closedByCaller())
    if life != .ended { closed(client.closedByCaller()) }
  }
}
