// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// What the application asks for: open, reconnect, close.
extension Client {
  /// Starts to connect; does nothing when that was done before.
  package func start() -> StatusCode {
    mutex.lock()
    let status = startLocked()
    mutex.unlock()
    if status == .ok { _ = twin?.partner.start() }
    return status
  }

  private func startLocked() -> StatusCode {
    if closeStarted { return .closed }
    if life == .idle { begin(.start, cause: "started") }
    return .ok
  }

  private func begin(_ event: SessionEvent, cause: Literal) {
    life = .trying
    outbound.resume()
    failure = nil
    let step = step(.begin)
    move(event, cause: text(cause))
    carryOut(step)
    host.hurry()
    wake()
  }

  /// Starts, and waits for the outcome of an attempt. Each failed one is told once.
  package func open(timeout: Int64) -> Failure? {
    let deadline = Client.deadline(after: timeout)
    if twin != nil { _ = start() }
    mutex.lock()
    defer { mutex.unlock() }
    if closeStarted { return closedByCaller() }
    _ = startLocked()
    let opened = statistics.connections
    func isDecided() -> Bool {
      // With several endpoints each has its turn before this is a failure.
      isConnected || isOver || closeStarted || statistics.connections != opened
        || (dialer.hasFailed
          && twin.map { $0.failedAttempts != $0.reportedAttempts } ?? true)
    }
    if timeout == 0 && !isDecided() { driveBriefly() }
    guard block(until: deadline, isDecided) else {
      return Failure(.timeout, "not connected to \(url.redacted) yet")
    }
    if closeStarted { return closedByCaller() }
    if isConnected || statistics.connections != opened { return nil }
    dialer.report()
    if let twin { twin.reportedAttempts = twin.failedAttempts }
    // A server that accepts and closes at once: the attempt succeeded, and there may be messages to receive.
    if life == .ended && dialer.lastOpened && !options.reconnect { return nil }
    return failure
  }

  var isOpen: Bool { connection?.phase == .open || connection?.phase == .closing }

  /// Waits until messages flow.
  package func waitReady(timeout: Int64) -> Failure? {
    let deadline = Client.deadline(after: timeout)
    if twin != nil { _ = start() }
    mutex.lock()
    defer { mutex.unlock() }
    if closeStarted { return closedByCaller() }
    _ = startLocked()
    func isDecided() -> Bool { isReady || isOver || closeStarted }
    if timeout == 0 && !isDecided() { driveBriefly() }
    guard block(until: deadline, isDecided) else {
      return Failure(.timeout, "the connection to \(url.redacted) is not ready yet")
    }
    if closeStarted { return closedByCaller() }
    return isReady ? nil : failure
  }

  /// Connects anew at once, whatever the state, unless the client was closed.
  package func reconnect() -> StatusCode {
    _ = twin?.partner.reconnect()
    mutex.lock()
    defer { mutex.unlock() }
    if isClosedForGood { return .closed }
    if closeStarted {
      // A disconnect that is still on its way is over now.
      connection?.end(closedByCaller())
      closeStarted = false
    }
    guard life == .trying else {
      begin(.reconnect, cause: "reconnect() was called")
      return .ok
    }
    dialer.reset()
    if let connection {
      if state == .connected { statistics.reconnectsManual &+= 1 }
      // The one that follows would take over, with what was right before.
      if successor?.isOutdated == true { leaveSuccessor() }
      connection.leave(Failure(.moved, "\(url.redacted): left, since reconnect() was called"))
    }
    // It may have ended in another way, with what was still to be read.
    if life == .ended {
      begin(.reconnect, cause: "reconnect() was called")
    } else if dialer.phase == .delayed || dialer.phase == .blocked {
      cancel(.attempt)
      let step = step(.begin)
      move(.reconnect, cause: "reconnect() was called")
      carryOut(step)
      host.hurry()
    }
    return .ok
  }

  /// Closes and waits for the peer's answer. `forGood`: `reconnect` does not open it again.
  package func close(code: UInt16?, reason: [UInt8], timeout: Int64, forGood: Bool) -> StatusCode {
    let deadline = Client.deadline(after: timeout)
    // A close that nobody waits for goes on by itself for close_timeout.
    let sendsUntil = forGood ? max(deadline, Client.deadline(after: options.closeTimeout)) : deadline
    // Both sides at the same time: one that does not answer must not keep the other one open.
    twin?.partner.startClosing(code, reason, forGood: forGood, sendsUntil)
    startClosing(code, reason, forGood: forGood, sendsUntil)
    let status = awaitEnd(until: deadline, timeout: timeout, forGood: forGood)
    guard let twin else { return status }
    let other = twin.partner.awaitEnd(until: deadline, timeout: timeout, forGood: forGood)
    return status == .ok ? other : status
  }

  private func startClosing(_ code: UInt16?, _ reason: [UInt8], forGood: Bool, _ sendsUntil: Int64) {
    mutex.lock()
    if forGood { isClosedForGood = true }
    beginClose(code, reason, sendsUntil)
    // After a disconnect() the journal was kept for a reconnect().
    if forGood && life == .ended { releaseJournal() }
    mutex.unlock()
  }

  private func awaitEnd(until deadline: Int64, timeout: Int64, forGood: Bool) -> StatusCode {
    mutex.lock()
    defer { mutex.unlock() }
    if life != .ended && timeout == 0 { driveBriefly() }
    let isClosed = block(until: deadline) { self.life == .ended || !self.closeStarted }
    if !isClosed && closeStarted && !(forGood && connection.map { $0.sendsUntil > deadline } ?? false) {
      // What could not leave in time fails now, or stays in the journal; the rest of the close goes on by itself.
      failQueued()
      if let connection, !connection.writeIsBlocked { connection.flush() }
    }
    if hasUnsent {
      // Once.
      hasUnsent = false
      return .unsent
    }
    return isClosed ? .ok : .timeout
  }

  private func beginClose(_ code: UInt16?, _ reason: [UInt8], _ sendsUntil: Int64) {
    if closeStarted {
      // Whoever wants no close frame waits for no answer to one either.
      if code == nil && life != .ended { connection?.end(closedByCaller()) }
      return
    }
    closeStarted = true
    // Without a connection nobody could expect anything to leave.
    reportsUnsent = connection?.phase == .open
    hasUnsent = false
    // Not delivered any more, but counted.
    tail?.receiveTail()
    leaveSuccessor()
    if life == .trying, let connection {
      connection.beginClose(code, reason, sendsUntil: sendsUntil)
      wake()
    } else {
      finishClosing(closedByCaller())
    }
  }

  func closedByCaller() -> Failure { Failure(.closed, "the client was closed by this side") }

  /// The last connection is gone, or there was none.
  func finishClosing(_ failure: Failure) {
    stopAttempts()
    // It may have ended by itself before: its failure stays known.
    if life != .ended || self.failure == nil { self.failure = failure }
    life = .ended
    move(.disconnect, cause: failure.text)
    failQueued()
    log(.info) { "closed" }
    wake()
  }

  /// Ends the client at once and waits until no call is inside it.
  package func finish() {
    if let partner = twin?.partner {
      partner.finish()
      partner.mutex.withLock { partner.primary = nil }
    }
    mutex.lock()
    closeStarted = true
    isClosedForGood = true
    // It holds this client.
    tail = nil
    leaveSuccessor()
    connection?.lingers = false
    connection?.end(closedByCaller())
    if life != .ended { finishClosing(closedByCaller()) }
    // The loop keeps a client as long as it has a timer.
    cancel(.flow)
    cancel(.keys)
    cancel(.merge)
    inbound.tap?.ended()
    inbound.removeTap(inbound.tap)
    releaseJournal()
    wake()
    while blockedCalls > 0 {
      let epoch = host.epoch(of: waiter)
      mutex.unlock()
      host.wait(waiter, since: epoch, until: Int64.max)
      mutex.lock()
    }
    mutex.unlock()
    ClientRegistry.remove(self)
    if !isForked { DefaultHost.release(host) }
  }

  /// Takes an event to the state table. `mutex` is held.
  func move(_ event: SessionEvent, cause: String, code: StatusCode = .ok) {
    guard let next = StateTable.next(state, event) else { return }
    let previous = state
    state = next
    if let primary {
      primary.twinMoved(event, to: next, hasEnded: life == .ended, cause: cause, code: code)
    } else if twin != nil {
      if next != .connected { sideEnded(.url) }
      emitSide(.url, next, cause)
      showState(event, cause: cause, code: code)
    } else {
      emitState(event, from: previous, cause: cause, code: code)
    }
  }
}
