// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// From one connection to the next: holds, the limits per host, delays, endpoints. `mutex` is held.
extension Client {
  // MARK: The way to a connection

  /// The delay is over, or there is none.
  func beginAttempt() {
    guard life == .trying, connection == nil, !closeStarted else { return }
    if waitsForConsumer {
      attemptWaitsForConsumer = true
      return
    }
    guard let index = endpoints.choose(Clock.monotonic()) else {
      stopTrying(failure ?? Failure(.refused, "no endpoint is left"))
      return
    }
    if index != chosenEndpoint { giveBackTicket() }
    chosenEndpoint = index
    if options.holdConnect && !holdIsOver {
      beginHold(.connect, endpoint: url)
      return
    }
    askGate()
  }

  /// Waits for a slot of the limits that all clients of the process share.
  func askGate() {
    guard life == .trying, connection == nil, !closeStarted, hold == nil else { return }
    cancel(.attempt)
    cancel(.gate)
    let answer: ConnectGate.Answer
    if let ticket {
      answer = HostGate.poll(ticket)
    } else {
      (ticket, answer) = HostGate.request(self)
    }
    switch answer {
    case .go:
      connect()
    case .wait(let time):
      schedule(.gate, at: time)
    case .unknown:
      ticket = nil
      schedule(.gate, at: Clock.monotonic() &+ 1_000_000)
    }
  }

  private func connect() {
    let now = Clock.monotonic()
    holdIsOver = false
    nextDelay = 0
    statistics.attempts &+= 1
    endpoints.began(chosenEndpoint, now)
    emitBreaker(chosenEndpoint, now)
    move(.attempt, cause: "attempt")
    log(.debug) { "attempt \(self.statistics.attempts) begins, to \(self.url.redacted)" }
    let made = Connection(client: self, endpoint: chosenEndpoint, url: url, tlsContext: url.isSecure ? tlsContext : nil)
    made.ticket = ticket
    ticket = nil
    connection = made
    made.start()
  }

  /// A connection has got its 101.
  func connectionOpened(_ opened: Connection) {
    giveBackTicket(of: opened)
    let now = Clock.monotonic()
    endpoints.succeeded(opened.endpoint, now)
    statistics.connections &+= 1
    if opened === successor {
      marks.successors &+= 1
      if rotation.purpose == .replacement {
        beginReplacement(opened)
        return
      }
      if connection?.hasUnread == true {
        // What it has brought and nobody has taken yet would be lost.
        leaveSuccessor()
        scheduleReturn()
        return
      }
      changeOver(to: opened)
    }
    marks.connectTime = now &- opened.startedAt
    marks.firstMessageTime = -1
    marks.awaitsFirstMessage = true
    reportedAttempts = failedAttempts
    setMoment()
    inbound.startServing()
    move(.opened, cause: "connected")
    log(.info) { "connected to \(opened.url.redacted) in \(seconds: self.marks.connectTime) s" }
    inbound.scheduleStale()
    if twin?.state != .connected { inbound.restartKeys() }
    carryOut()
    scheduleReturn()
    beginSession(on: opened)
    wake()
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
    if let successor, rotation.purpose == .replacement, successor.phase == .open, !closeStarted {
      takeOver(successor, after: failure)
      return
    }
    connection = nil
    self.failure = failure
    lastAttemptOpened = ended.openedAt > 0
    let wasReady = stage == .ready
    endSession()
    if closeStarted {
      endpoints.cancelled(ended.endpoint)
      finishClosing(failure)
      return
    }
    outbound.dropLiveOnly()
    if ended.openedAt == 0 && failure.code != .moved { failedAttempts &+= 1 }
    if failure.code == .moved {
      endpoints.cancelled(ended.endpoint)
      move(.reconnect, cause: failure.text, code: failure.code)
      announceLosses(failure.text)
      canSendChanged()
      beginAttempt()
      host.hurry()
      wake()
      return
    }
    if wasReady { backoff.connectionEnded(openFor: now &- readyAt) }
    lost(failure, endpoint: ended.endpoint, wasOpen: ended.openedAt > 0, now)
  }

  /// An attempt failed, or the connection is lost: what now?
  func lost(_ failure: Failure, endpoint: Int, wasOpen: Bool, _ now: Int64) {
    self.failure = failure
    countFailure(failure, wasOpen: wasOpen)
    let isFatal = isFinal(failure)
    if isFatal {
      endpoints.ruledOut(endpoint, now)
    } else if wasOpen {
      endpoints.ended(endpoint, now)
    } else {
      endpoints.failed(endpoint, now)
    }
    emitBreaker(endpoint, now)
    // The delay grows with the rounds: another endpoint is worth a quick try.
    let failsOver = urls.count > 1 && endpoints.hasUntried(now)
    if !options.reconnect || endpoints.choose(now) == nil {
      stopTrying(failure)
      return
    }
    guard var delay = backoff.nextDelay(random: random.next64()) else {
      failure.text = sentence("gave up after \(backoff.attempt) attempts: \(failure.text)")
      stopTrying(failure)
      return
    }
    if failsOver && delay > options.reconnectBaseDelay { delay = options.reconnectBaseDelay }
    if !failsOver, let seconds = failure.retryAfter {
      // A day is enough for any maintenance, and an absurd number must not end the trying.
      let asked = Int64(min(seconds, 86_400)) &* 1_000_000_000
      if asked > delay { delay = asked }
    }
    if failure.closeCode == CloseCode.serviceRestart && wasOpen && backoff.attempt == 1 && replaces {
      // A restart that was to be expected; others take over at once.
      delay = 0
    } else if !failsOver && (failure.closeCode == CloseCode.serviceRestart || failure.closeCode == CloseCode.tryAgainLater) {
      let least = Backoff.restartDelay(
        options.restartDelay, jitterPermille: options.jitterPermille, random: random.next64())
      if least > delay { delay = least }
    }
    nextDelay = delay
    chosenEndpoint = endpoints.choose(now) ?? chosenEndpoint
    move(.retry, cause: failure.text, code: failure.code)
    log(.warning) { "\(failure.text); next attempt in \(seconds: delay) s" }
    announceLosses(failure.text)
    canSendChanged()
    schedule(.attempt, at: Clock.deadline(now, after: delay))
    wake()
  }

  /// Whether this client does not try again what failed so.
  func isFinal(_ failure: Failure) -> Bool {
    failure.isFinal || (failure.isFatal && !failure.isOfOneAddress && !options.retryFatal)
  }

  /// Nobody tries any more, and whoever waits learns why.
  func stopTrying(_ failure: Failure) {
    stopAttempts()
    self.failure = failure
    life = .ended
    nextDelay = 0
    move(.giveUp, cause: failure.text, code: failure.code)
    log(.error) { "stopped trying: \(failure.text)" }
    // With reconnect the application may ask for another try, and finds what it has queued.
    if options.reconnect { announceLosses(failure.text) } else { failQueued() }
    canSendChanged()
    wake()
  }

  /// Half of the queue of received messages is free.
  func consumerCaughtUp() {
    resumeTwin()
    resumeSuccessor()
    goOnConnecting()
  }

  /// There is room for what another connection brings.
  func goOnConnecting() {
    guard attemptWaitsForConsumer else { return }
    attemptWaitsForConsumer = false
    beginAttempt()
    host.hurry()
  }

  func stopAttempts() {
    attemptWaitsForConsumer = false
    cancel(.attempt)
    cancel(.gate)
    cancel(.hold)
    cancel(.homeward)
    hold = nil
    holdIsOver = false
    giveBackTicket()
  }

  /// The place in the queue of a host, if it was not used.
  private func giveBackTicket() {
    guard let ticket else { return }
    self.ticket = nil
    HostGate.leave(ticket)
  }

  /// A connection has lasted.
  func becomeStable() {
    guard let connection, stage == .ready else { return }
    backoff.reset()
    endpoints.stable(connection.endpoint)
    emitBreaker(connection.endpoint, Clock.monotonic())
  }

  // MARK: Holds

  func beginHold(_ kind: Hold, endpoint: WebSocketURL) {
    hold = kind
    schedule(.hold, at: Clock.deadline(Clock.monotonic(), after: options.loginTimeout))
    emit(
      Event.hold(
        at: kind == .connect ? "connect" : "login", attempt: attemptNumber, endpoint: endpoint.redacted,
        successor: isForSuccessor(kind)))
  }

  /// Another connection serves meanwhile.
  private func isForSuccessor(_ kind: Hold) -> Bool {
    kind == .login ? heldConnection !== connection : connection != nil
  }

  /// The application has done its part.
  package func release() -> StatusCode {
    mutex.lock()
    defer { mutex.unlock() }
    if closeStarted { return .closed }
    guard let kind = hold else { return .ok }
    hold = nil
    cancel(.hold)
    switch kind {
    case .connect:
      holdIsOver = true
      if connection == nil { askGate() } else { connectSuccessor() }
      host.hurry()
    case .login:
      let held = heldConnection
      heldConnection = nil
      if let held { advanceSession(on: held) }
    }
    return .ok
  }

  func holdTimedOut() {
    guard let kind = hold else { return }
    hold = nil
    let failure = Failure(
      .login,
      "\(url.redacted): the application did not release the hold within login_timeout (\(seconds: options.loginTimeout) s)")
    if kind == .login {
      let held = heldConnection
      heldConnection = nil
      held?.leave(failure)
    } else if connection != nil {
      log(.warning) { "\(failure.text)" }
      successorIsNotComing(failure)
    } else {
      failedAttempts &+= 1
      lost(failure, endpoint: chosenEndpoint, wasOpen: false, Clock.monotonic())
    }
  }

  /// 1 for the first attempt since the last stable connection.
  var attemptNumber: Int { backoff.attempt + 1 }
}
