// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
import PulseTransport
import PulseWire

/// The end of a connection, from either side.
extension Client {
  /// Closes and waits for the peer's answer.
  package func close(code: UInt16?, reason: [UInt8], timeout: Int64) -> StatusCode {
    let deadline = Client.deadline(after: timeout)
    mutex.lock()
    defer { mutex.unlock() }
    beginClose(code, reason)
    if phase != .ended && timeout == 0 { driveBriefly() }
    return block(until: deadline) { self.phase == .ended } ? .ok : .timeout
  }

  private func beginClose(_ code: UInt16?, _ reason: [UInt8]) {
    if closeStarted { return }
    closeStarted = true
    switch phase {
    case .ended:
      // It ended by itself before: closing makes it disconnected, and its failure stays known.
      state = .disconnected
      wake()
    case .idle, .resolving, .connecting, .securing, .upgrading:
      end(closedByCaller())
    case .open where heldFailure != nil:
      failHeld()
    case .open:
      phase = .closing
      pendingClose = (code, reason)
      closeTimer = host.loop.schedule(
        self, tag: Signal.closeDeadline, deadline: Clock.monotonic() &+ options.closeTimeout)
      if readingPaused {
        // What follows is not delivered any more: it is counted, and must not stand before the peer's close frame.
        readingPaused = false
        readSoon()
        host.hurry()
      }
      if !writeIsBlocked { flush() }
      wake()
    case .closing:
      break
    }
  }

  func closedByCaller() -> Failure { Failure(.closed, "the client was closed by this side") }

  func closeDeadlinePassed() {
    guard phase == .closing else { return }
    peerCloseCode = 1006
    var failure = closedByCaller()
    failure.text += "; the server did not answer within close_timeout (\(jsonSeconds(options.closeTimeout)) s)"
    end(failure)
  }

  /// Ends the client at once and waits until no call is inside it.
  package func finish() {
    mutex.lock()
    closeStarted = true
    if phase != .ended {
      lingers = false
      end(closedByCaller())
    }
    state = .disconnected
    wake()
    while blockedCalls > 0 {
      let epoch = host.epoch(of: waiter)
      mutex.unlock()
      host.wait(waiter, since: epoch, until: Int64.max)
      mutex.lock()
    }
    let connector = connector
    self.connector = nil
    mutex.unlock()
    connector?.cancel()
    if !isForked { DefaultHost.release(host) }
  }

  /// The one way to `ended`. `mutex` is held.
  func end(_ failure: Failure) {
    guard phase != .ended else { return }
    let wasOpen = phase == .open || phase == .closing
    phase = .ended
    self.failure = failure
    state = failure.code == .closed || closeStarted ? .disconnected : .error
    for timer in [openTimer, closeTimer, heartbeatTimer, flushTimer] {
      if let timer { host.loop.cancel(timer) }
    }
    openTimer = nil
    closeTimer = nil
    heartbeatTimer = nil
    flushTimer = nil
    connector?.cancel()
    connector = nil
    if failure.code != .closed && failure.code != .peerClosed { statistics.errors &+= 1 }
    if wasOpen {
      writeLastBytes()
      statistics.connectedTime &+= Clock.monotonic() &- openedAt
      // What this side had accepted and could not hand to the system.
      statistics.messagesFailed &+= UInt64(outbox.count + ledger.pending)
      reportDiscarded("failed", outbox.count + ledger.pending, "the connection ended before they were written")
      reportDiscarded("dropped", Int(statistics.messagesDropped), "they arrived after this side began to close")
    }
    if let registration { host.loop.unregister(registration) }
    registration = nil
    if let stream {
      self.stream = nil
      if wasOpen && lingers && failure.code != .reset {
        if control.count > 0 && !outputIsCut {
          control.append(output.readable)
          Linger.start(stream, rest: control.readable, host: host)
        } else {
          Linger.start(stream, rest: output.readable, host: host)
        }
      } else {
        stream.close()
      }
    }
    wire = nil
    upgradeParser = nil
    addresses = nil
    pendingClose = nil
    output.removeAll(keepingCapacityUpTo: 0)
    control.removeAll(keepingCapacityUpTo: 0)
    heldInput.removeAll(keepingCapacityUpTo: 0)
    heldFailure = nil
    while let slice = outbox.take(1 << 20) { outbox.giveBack(slice.segment) }
    outbox.trim()
    ledger = FrameLedger()
    readingPaused = false
    reportState(cause: failure.text)
    wake()
  }

  /// The close frame that ends a connection is in `output`: one try to write it with what stands before it. That may be
  /// the rest of a control frame.
  private func writeLastBytes() {
    guard let stream, brokenWrite == nil, output.count > 0 else { return }
    if control.count > 0 && !outputIsCut {
      if case .bytes(let count) = stream.write(control.readable) {
        statistics.bytesSent &+= UInt64(count)
        control.consume(count)
      }
      if control.count > 0 { return }
    }
    if case .bytes(let count) = stream.write(output.readable) {
      statistics.bytesSent &+= UInt64(count)
      output.consume(count)
      ledger.written(bytes: count)
      statistics.messagesSent &+= ledger.settle()
    }
  }
}
