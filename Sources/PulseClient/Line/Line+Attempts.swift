// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// From one connection to the next: holds, the limits per host, delays, endpoints. `mutex` is held.
extension Line {
  // MARK: The way to a connection

  /// Waits for a slot of the limits that all clients of the process share.
  func askGate() {
    if !dialer.isQueued { return }
    cancel(.gate)
    let answer: ConnectGate.Answer
    if let ticket = dialer.ticket {
      answer = HostGate.poll(ticket)
    } else {
      (dialer.ticket, answer) = HostGate.request(self)
    }
    switch answer {
    case .go: dial(.slot)
    case .wait(let time): schedule(.gate, at: time)
    case .unknown:
      dialer.ticket = nil
      schedule(.gate, at: Clock.monotonic() &+ 1_000_000)
    }
  }

  func connect(_ ticket: ConnectGate.Ticket?) {
    statistics.attempts &+= 1
    emitBreaker(dialer.chosen, Clock.monotonic())
    move(.attempt, cause: "attempt")
    log(.debug) { "attempt \(self.statistics.attempts) begins, to \(self.url.redacted)" }
    let made = Connection(line: self, endpoint: dialer.chosen, url: url, tlsContext: url.isSecure ? client.ways.tls : nil)
    made.ticket = ticket
    connection = made
    made.start()
  }

  /// A connection has got its 101.
  func connectionOpened(_ opened: Connection) {
    giveBackTicket(of: opened)
    let now = Clock.monotonic()
    dialer.endpoints.succeeded(opened.endpoint, now)
    statistics.connections &+= 1
    if opened === successor {
      marks.successors &+= 1
      if handover.purpose == .homeward, connection?.hasUnread == true {
        // What it has brought and nobody has taken yet would be lost.
        leaveSuccessor()
        scheduleReturn()
        return
      }
      hand(.opened)
      if handover.purpose == .replacement {
        beginReplacement(opened)
        return
      }
    }
    marks.connectTime = now &- opened.startedAt
    marks.firstMessageTime = -1
    marks.awaitsFirstMessage = true
    dialer.report()
    liveness.begin(now)
    move(.opened, cause: "connected")
    log(.info) { "connected to \(opened.url.redacted) in \(seconds: self.marks.connectTime) s" }
    carryOut(liveness.next)
    // Of two lines the other one brought what there was.
    if client.linesOpen == 1 {
      client.setMoment()
      inbound.restartKeys()
      client.carryOut()
    }
    scheduleReturn()
    beginSession(on: opened, with: subscriptions)
    client.wake()
  }

  private func giveBackTicket(of connection: Connection) {
    guard let ticket = connection.ticket else { return }
    connection.ticket = nil
    HostGate.leave(ticket)
  }

  // MARK: The end of one

  /// Called by a connection as the last step of its end.
  func connectionEnded(_ ended: Connection, _ failure: Failure) {
    giveBackTicket(of: ended)
    let now = Clock.monotonic()
    if ended.openedAt > 0 { marks.connectedTime &+= now &- ended.openedAt }
    if ended === connection && ended.openedAt > 0 {
      lastCloseCode = failure.closeCode
      lastCloseReason = failure.closeReason
    }
    if ended === successor {
      successor = nil
      successorFailed(ended, failure, now)
      return
    }
    guard ended === connection else { return }
    if let successor, handover.purpose == .replacement, successor.phase == .open, !client.closing.hasBegun {
      takeOver(successor, after: failure)
      return
    }
    connection = nil
    self.failure = failure
    endSession()
    if client.closing.hasBegun {
      dialer.endpoints.cancelled(ended.endpoint)
      closed(failure)
      return
    }
    outbound.dropLiveOnly()
    if failure.code == .moved {
      dialer.endpoints.cancelled(ended.endpoint)
      move(.reconnect, cause: failure.text, code: failure.code)
      announceLosses(failure.text)
      canSendChanged()
      dial(.moved)
      host.hurry()
      client.wake()
      return
    }
    if ended.session.isReady { dialer.served(now &- ended.session.readyAt) }
    lost(failure, endpoint: ended.endpoint, wasOpen: ended.openedAt > 0, now)
  }

  /// An attempt failed, or the connection is lost: what now?
  func lost(_ failure: Failure, endpoint: Int, wasOpen: Bool, _ now: Int64) {
    self.failure = failure
    countFailure(failure, wasOpen: wasOpen)
    let step = step(
      .lost(
        Dialer.Loss(
          endpoint: endpoint, wasOpen: wasOpen, isFinal: isFinal(failure), closeCode: failure.closeCode,
          retryAfter: failure.retryAfter)))
    emitBreaker(endpoint, now)
    if case .giveUp = step { failure.text = sentence("gave up after \(dialer.attempts) attempts: \(failure.text)") }
    if case .wait(let time) = step {
      move(.retry, cause: failure.text, code: failure.code)
      log(.warning) { "\(failure.text); next attempt in \(seconds: time) s" }
      announceLosses(failure.text)
      canSendChanged()
    }
    carryOut(step)
    client.wake()
  }

  /// Whether this line does not try again what failed so.
  func isFinal(_ failure: Failure) -> Bool {
    failure.isFinal || (failure.isFatal && !failure.isOfOneAddress && !client.options.retryFatal)
  }

  /// Nobody tries any more, and whoever waits learns why.
  func stopTrying(_ failure: Failure) {
    stopAttempts()
    self.failure = failure
    life = .ended
    move(.giveUp, cause: failure.text, code: failure.code)
    log(.error) { "stopped trying: \(failure.text)" }
    // With reconnect the application may ask for another try, and finds what it has queued.
    if client.options.reconnect { announceLosses(failure.text) } else { failQueued() }
    canSendChanged()
    client.wake()
  }

  /// Half of the queue of received messages is free.
  func consumerCaughtUp() {
    if let connection, connection.readingPaused { connection.resumeReading() }
    resumeSuccessor()
    goOnConnecting()
  }

  /// There is room for what another connection brings.
  func goOnConnecting() {
    if !dialer.isBlocked { return }
    dial(.room)
    host.hurry()
  }

  func stopAttempts() {
    if let ticket = dialer.ticket { HostGate.leave(ticket) }
    _ = step(.stop)
    cancel(.attempt)
    cancel(.gate)
    cancel(.hold)
    cancel(.homeward)
    hold = nil
  }

  /// A connection has lasted.
  func becomeStable() {
    guard let connection, isReady else { return }
    dialer.stable(connection.endpoint)
    emitBreaker(connection.endpoint, Clock.monotonic())
  }

  // MARK: Holds

  func beginHold(_ kind: Hold, endpoint: WebSocketURL) {
    hold = kind
    schedule(.hold, at: Clock.deadline(Clock.monotonic(), after: client.options.loginTimeout))
    // Another connection may serve meanwhile.
    let at: Literal
    let isForSuccessor: Bool
    switch kind {
    case .connect: (at, isForSuccessor) = ("connect", connection != nil)
    case .login(let held): (at, isForSuccessor) = ("login", held !== connection)
    }
    emit(Event.hold(at: at, attempt: attemptNumber, endpoint: endpoint.redacted, successor: isForSuccessor))
  }

  private func takeHold() -> Hold? {
    cancel(.hold)
    defer { hold = nil }
    return hold
  }

  /// The application has done its part.
  func release() {
    switch takeHold() {
    case nil: break
    case .connect:
      if connection == nil { dial(.released) } else { hand(.released) }
      host.hurry()
    case .login(let held): advanceSession(on: held)
    }
  }

  func holdTimedOut() {
    guard let kind = takeHold() else { return }
    let failure = Failure(
      .login,
      "\(url.redacted): the application did not release the hold within login_timeout (\(seconds: client.options.loginTimeout) s)")
    if case .login(let held) = kind {
      held.leave(failure)
    } else if connection != nil {
      successorIsNotComing(failure)
    } else {
      lost(failure, endpoint: dialer.chosen, wasOpen: false, Clock.monotonic())
    }
  }

  /// 1 for the first attempt since the last stable connection.
  var attemptNumber: Int { dialer.attempts + 1 }
}
