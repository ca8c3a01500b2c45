// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// How the application has closed a client.
struct Closing {
  /// Nothing is sent or delivered any more.
  var hasBegun = false
  /// Not even `reconnect` opens it again.
  var isForGood = false
  /// The close is that of an open connection: its caller learns of what was not sent, which there is then.
  var reportsUnsent = false
  var hasUnsent = false

  /// Messages fail that wait.
  mutating func noteUnsent() { if reportsUnsent && hasBegun { hasUnsent = true } }
}

/// What the application asks for: open, reconnect, close.
extension Client {
  /// Starts to connect; does nothing when that was done before.
  package func start() -> StatusCode {
    mutex.lock()
    defer { mutex.unlock() }
    return startLocked()
  }

  private func startLocked() -> StatusCode {
    if closing.hasBegun { return .closed }
    each { line in if line.life == .idle { line.begin(.start, cause: "started") } }
    return .ok
  }

  /// Starts, and waits for the outcome of an attempt. Each failed one is told once.
  package func open(timeout: Int64) -> Failure? {
    let deadline = Client.deadline(after: timeout)
    mutex.lock()
    defer { mutex.unlock() }
    if closing.hasBegun { return closedByCaller() }
    _ = startLocked()
    let opened = connections
    func isDecided() -> Bool {
      if isConnected || hasEnded || closing.hasBegun || connections != opened { return true }
      // With several endpoints each has its turn before this is a failure.
      return all { $0.dialer.hasFailed || $0.life == .ended }
    }
    if timeout == 0 && !isDecided() { driveBriefly() }
    guard block(until: deadline, isDecided) else {
      return Failure(.timeout, "not connected to \(first.url.redacted) yet")
    }
    if closing.hasBegun { return closedByCaller() }
    if isConnected || connections != opened { return nil }
    each { $0.dialer.report() }
    // A server that accepts and closes at once: the attempt succeeded, and there may be messages to receive.
    if first.life == .ended && first.dialer.lastOpened && !options.reconnect { return nil }
    return first.failure
  }

  /// Handshakes that succeeded.
  private var connections: UInt64 { first.statistics.connections &+ (second?.statistics.connections ?? 0) }

  /// Waits until messages flow.
  package func waitReady(timeout: Int64) -> Failure? {
    let deadline = Client.deadline(after: timeout)
    mutex.lock()
    defer { mutex.unlock() }
    if closing.hasBegun { return closedByCaller() }
    _ = startLocked()
    func isDecided() -> Bool { isReady || hasEnded || closing.hasBegun }
    if timeout == 0 && !isDecided() { driveBriefly() }
    guard block(until: deadline, isDecided) else {
      return Failure(.timeout, "the connection to \(first.url.redacted) is not ready yet")
    }
    if closing.hasBegun { return closedByCaller() }
    return isReady ? nil : first.failure
  }

  /// Connects anew at once, whatever the state, unless the client was closed.
  package func reconnect() -> StatusCode {
    mutex.lock()
    defer { mutex.unlock() }
    if closing.isForGood { return .closed }
    if closing.hasBegun {
      // A disconnect that is still on its way is over now.
      each { $0.connection?.end(closedByCaller()) }
      closing.hasBegun = false
    }
    each { $0.reconnect() }
    return .ok
  }

  // MARK: Close

  /// Closes and waits for the peer's answer. `forGood`: `reconnect` does not open it again.
  package func close(code: UInt16?, reason: [UInt8], timeout: Int64, forGood: Bool) -> StatusCode {
    let deadline = Client.deadline(after: timeout)
    // A close that nobody waits for goes on by itself for close_timeout.
    let sendsUntil = forGood ? max(deadline, Client.deadline(after: options.closeTimeout)) : deadline
    mutex.lock()
    defer { mutex.unlock() }
    if forGood { closing.isForGood = true }
    beginClose(code, reason, sendsUntil)
    // After a disconnect() the journal was kept for a reconnect().
    if forGood && first.life == .ended { releaseJournal() }
    return awaitEnd(until: deadline, timeout: timeout, forGood: forGood)
  }

  private func beginClose(_ code: UInt16?, _ reason: [UInt8], _ sendsUntil: Int64) {
    if closing.hasBegun {
      // Whoever wants no close frame waits for no answer to one either.
      if code == nil { each { line in if line.life != .ended { line.connection?.end(closedByCaller()) } } }
      return
    }
    closing.hasBegun = true
    // Without a connection nobody could expect anything to leave.
    closing.reportsUnsent = first.connection?.phase == .open
    closing.hasUnsent = false
    each { $0.beginClose(code, reason, sendsUntil) }
  }

  private func awaitEnd(until deadline: Int64, timeout: Int64, forGood: Bool) -> StatusCode {
    if !hasEnded && timeout == 0 { driveBriefly() }
    let isClosed = block(until: deadline) { self.hasEnded || !closing.hasBegun }
    if !isClosed && closing.hasBegun && !(forGood && first.connection.map { $0.sendsUntil > deadline } ?? false) {
      // What could not leave in time fails now, or stays in the journal; the rest of the close goes on by itself.
      first.failQueued()
      if let connection = first.connection, !connection.writeIsBlocked { connection.flush() }
    }
    if closing.hasUnsent {
      // Once.
      closing.hasUnsent = false
      return .unsent
    }
    return isClosed ? .ok : .timeout
  }

  func closedByCaller() -> Failure { Failure(.closed, "the client was closed by this side") }

  /// Ends the client at once and waits until no call is inside it.
  package func finish() {
    mutex.lock()
    closing.hasBegun = true
    closing.isForGood = true
    each { $0.finish() }
    // The loop keeps a client as long as it has a timer. The end of one line may plan for the other one.
    each { $0.cancel(.flow) }
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

  // MARK: States

  /// A line has moved from one state to another.
  func moved(_ line: Line, _ event: SessionEvent, cause: String, code: StatusCode) {
    if line.state != .connected {
      setMoment()
      inbound.setReady(side: line.side.rawValue, false)
      carryOut()
    }
    if second != nil {
      emit(Event.twin(side: line.side.name, state: line.state.name, cause: cause))
      line.log(.info) { "\(line.side.name): \(line.state.name): \(cause)" }
    }
    let previous = toldState
    // Of two lines only what changes the better one is a change of the client.
    if second != nil && shownState == previous {
      if isSilent { inbound.tap?.silenced(cause) }
      return wake()
    }
    toldState = shownState
    if previous == .connected && toldState != .connected { inbound.tap?.silenced(cause) }
    emitState(event, of: line, from: previous, cause: cause, code: code)
    if second != nil { wake() }
  }
}
