// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// What a client knows of the connection that is to follow the one that serves.
struct Rotation {
  enum Purpose {
    /// To a preferred endpoint: it takes over when it is open.
    case homeward
    /// In place of one that has grown old: it takes over when it delivers, and no message is lost between the two.
    case replacement
  }

  var purpose = Purpose.homeward
  var cause: Literal = ""
  /// The server gave notice before the connection was ready.
  var isAsked = false
  /// A notice was given, and what follows from it is planned.
  var isNoticed = false
  /// The pauses between notices that follow one another.
  var notices = Backoff()
  var tookOverAt: Int64 = 0
  /// A hold of the application's comes first.
  var isHeld = false
  var endpoint = 0
  var backoff = Backoff()
  var readyAt: Int64 = 0
  /// What the connection before has brought since then proves that this one is mute.
  var proofAt: Int64 = 0
  /// The first message that it brought once it was ready; 0 before.
  var firstDataAt: Int64 = 0
  /// The first of them with a number, and the last of all.
  var firstNumberAt: Int64 = 0
  var lastDataAt: Int64 = 0
  /// Since when nothing is waited for but the connection before.
  var overAt: Int64 = 0
  /// What it has brought so far.
  lazy var parked = MessageQueue()
}

/// From a connection that serves to the next one. `mutex` is held.
extension Client {
  /// The tickets of `HostGate` are for those in need: a replacement that finds none waits so long.
  private static let gatePause: Int64 = 500_000_000

  var replaces: Bool { options.maxAge > 0 || !options.rotateOn.isEmpty }

  // MARK: Reasons

  func scheduleReturn() {
    guard let connection, connection.endpoint > 0, options.endpointReturn > 0, !isScheduled(.homeward) else { return }
    schedule(.homeward, at: Clock.deadline(Clock.monotonic(), after: options.endpointReturn))
  }

  /// The present connection goes on serving until the other one is open.
  func returnToPreferred() {
    guard let connection, stage == .ready, !closeStarted, successor == nil, hold == nil, !connection.hasUnread,
      let index = dialer.endpoints.better(than: connection.endpoint, Clock.monotonic(), quiet: options.endpointReturn)
    else {
      scheduleReturn()
      return
    }
    rotation.purpose = .homeward
    rotation.endpoint = index
    prepareSuccessor()
  }

  /// A connection that serves is to be replaced before it grows older than `max_age`.
  func scheduleRotation() {
    cancel(.rotation)
    guard let connection else { return }
    if rotation.isAsked {
      rotation.isAsked = false
      rotation.isNoticed = true
      planRotation("notice", at: Clock.deadline(Clock.monotonic(), after: noticeDelay()))
      return
    }
    if options.maxAge == 0 { return }
    // Not all clients at once.
    let early = Int64(truncatingIfNeeded: random.next64() % UInt64(options.maxAge / 20 &+ 1))
    planRotation("max_age", at: Clock.deadline(connection.openedAt, after: options.maxAge &- early))
  }

  private func planRotation(_ cause: Literal, at time: Int64) {
    rotation.cause = cause
    lookAgain(time)
  }

  func rotationIsDue() {
    if successor != nil && rotation.purpose == .replacement { overlapIsOver() } else { rotate(rotation.cause) }
  }

  /// The server says that a connection is to end.
  func noticeArrived(on noticed: Connection) {
    guard noticed === connection else {
      // For when it has taken over.
      noticed.session.hasNotice = true
      return
    }
    if rotation.isNoticed { return }
    let delay = stage != .ready || successor != nil || hold != nil ? 0 : noticeDelay()
    if delay == 0 { return rotate("notice") }
    rotation.isNoticed = true
    planRotation("notice", at: Clock.deadline(Clock.monotonic(), after: delay))
  }

  /// A server may give notice to everybody who comes: it must not be stormed.
  private func noticeDelay() -> Int64 {
    if rotation.tookOverAt > 0 && Clock.monotonic() &- rotation.tookOverAt < options.stableTime {
      return nextDelay(&rotation.notices)
    }
    rotation.notices.reset()
    return 0
  }

  private func nextDelay(_ backoff: inout Backoff) -> Int64 {
    backoff.base = options.reconnectBaseDelay
    backoff.maximum = options.reconnectMaxDelay
    backoff.jitterPermille = options.jitterPermille
    backoff.limit = 0
    return backoff.nextDelay(random: random.next64()) ?? options.reconnectMaxDelay
  }

  /// Begins to replace the connection.
  func rotate(_ cause: Literal) {
    guard let connection, connection.phase == .open, !closeStarted else { return }
    if stage != .ready {
      rotation.isAsked = true
      return
    }
    if successor != nil || hold != nil {
      // The one that is being made is as good, unless it comes to nothing.
      if rotation.purpose == .homeward { planRotation(cause, at: Clock.monotonic() &+ Client.gatePause) }
      return
    }
    rotation.purpose = .replacement
    rotation.isNoticed = false
    rotation.cause = cause
    rotation.endpoint =
      dialer.endpoints.better(than: connection.endpoint, Clock.monotonic(), quiet: options.endpointReturn)
      ?? connection.endpoint
    prepareSuccessor()
  }

  // MARK: The way to it

  private func prepareSuccessor() {
    if options.holdConnect && !holdIsOver {
      beginHold(.connect, endpoint: urls[rotation.endpoint])
      return
    }
    connectSuccessor()
  }

  /// Its hold is over, or there was none.
  func connectSuccessor() {
    guard connection != nil, successor == nil, !closeStarted, rotation.endpoint < urls.count else { return }
    let target = urls[rotation.endpoint]
    guard let ticket = HostGate.takeAtOnce(self, target) else {
      if rotation.purpose == .homeward {
        holdIsOver = false
        scheduleReturn()
      } else {
        planRotation(rotation.cause, at: Clock.monotonic() &+ Client.gatePause)
      }
      return
    }
    holdIsOver = false
    statistics.attempts &+= 1
    let made = Connection(
      client: self, endpoint: rotation.endpoint, url: target, tlsContext: target.isSecure ? tlsContext : nil)
    made.ticket = ticket
    successor = made
    if rotation.purpose == .replacement {
      cancel(.rotation)
      rotation.readyAt = 0
      rotation.firstDataAt = 0
      rotation.firstNumberAt = 0
      rotation.lastDataAt = 0
      rotation.overAt = 0
      inbound.feed?.forgetJoints()
      emitRotation("begin")
    }
    log(.debug) { "connecting to \(target.redacted), which is to follow the present connection" }
    made.start()
  }

  func leaveSuccessor() { successor?.leave(Failure(.moved, "not needed any more")) }

  /// The hold before it was not released.
  func successorIsNotComing(_ failure: Failure) {
    if rotation.purpose == .homeward { scheduleReturn() } else { rotationFailed(failure) }
  }

  func successorFailed(_ ended: Connection, _ failure: Failure, _ now: Int64) {
    if heldConnection === ended {
      heldConnection = nil
      hold = nil
      cancel(.hold)
    }
    dropParked()
    if closeStarted || failure.code == .moved { return }
    if ended.endpoint != connection?.endpoint {
      if failure.isFinal { dialer.endpoints.ruledOut(ended.endpoint, now) } else { dialer.endpoints.failed(ended.endpoint, now) }
    }
    if rotation.purpose == .replacement {
      rotationFailed(failure)
    } else {
      log(.info) { "the preferred endpoint can't be used yet: \(failure.text)" }
      scheduleReturn()
    }
  }

  private func rotationFailed(_ failure: Failure) {
    statistics.rotationsFailed &+= 1
    emitRotation("failed", problem: failure.text)
    log(.warning) { "the connection can't be replaced yet: \(failure.text)" }
    // No other would do better. The present one serves on; what follows its end meets the same.
    if failure.isFinal && rotation.endpoint == connection?.endpoint { return }
    let delay = nextDelay(&rotation.backoff)
    planRotation(rotation.cause, at: Clock.deadline(Clock.monotonic(), after: delay))
  }

  /// What it has brought came over the other connection, too.
  private func dropParked() {
    inbound.counts.duplicates &+= UInt64(rotation.parked.count)
    rotation.parked = MessageQueue()
  }

  private func emitRotation(_ step: Literal, problem: String? = nil, duplicates: Int? = nil, overlap: Int64? = nil) {
    emit(
      Event.rotation(
        step: step, cause: rotation.cause, endpoint: urls[rotation.endpoint < urls.count ? rotation.endpoint : 0].redacted,
        problem: problem, duplicates: duplicates, overlap: overlap))
    wake()
  }

  // MARK: The change

  private func exchange(for opened: Connection) -> Connection? {
    let old = connection
    successor = nil
    connection = opened
    dialer.chosen = opened.endpoint
    acceptance = opened.acceptance
    refusal = nil
    return old
  }

  func changeOver(to opened: Connection) {
    let old = exchange(for: opened)
    endSession()
    old?.leave(Failure(.moved, "\(url.redacted): left for the preferred endpoint"))
    if let old { dialer.endpoints.cancelled(old.endpoint) }
    outbound.dropLiveOnly()
    announceLosses("left for the preferred endpoint")
    dialer.endpoints.began(opened.endpoint, Clock.monotonic())
    emit(Event.endpoint(endpoint: opened.url.redacted, cause: "back to the preferred endpoint"))
    log(.info) { "back to the preferred endpoint \(opened.url.redacted)" }
  }

  /// The successor serves from now on. `failure`: the old connection has ended, else it is left.
  func takeOver(_ opened: Connection, after failure: Failure?) {
    let now = Clock.monotonic()
    let old = exchange(for: opened)
    subscriptions = opened.session.subscriptions ?? subscriptions
    opened.session.subscriptions = nil
    outbound.close()
    cancel(.rotation)
    cancel(.stable)
    cancel(.homeward)
    rotation.isAsked = opened.session.hasNotice
    rotation.isNoticed = false
    rotation.tookOverAt = now
    if rotation.lastDataAt > inbound.lastDataAt { inbound.lastDataAt = rotation.lastDataAt }
    let wasPaused = opened.readingPaused
    opened.readingPaused = false
    let why = failure?.text ?? sentence("\(opened.url.redacted): left for the connection that follows")
    if let old {
      if let failure {
        self.failure = failure
        countFailure(failure, wasOpen: true)
      } else {
        old.leave(Failure(.moved, text: why))
      }
      if old.endpoint != opened.endpoint {
        if failure == nil { dialer.endpoints.cancelled(old.endpoint) } else { dialer.endpoints.ended(old.endpoint, now) }
        dialer.endpoints.began(opened.endpoint, now)
      }
    }
    outbound.dropLiveOnly()
    announceLosses(why)
    statistics.rotations &+= 1
    rotation.backoff.reset()
    let before = inbound.counts.duplicates
    deliverParked()
    let overlap = rotation.readyAt > 0 ? now &- rotation.readyAt : 0
    emitRotation(
      "done", duplicates: Int(truncatingIfNeeded: inbound.counts.duplicates &- before), overlap: overlap)
    log(.info) { "the connection was replaced (\(self.rotation.cause))" }
    if opened.session.stage == .ready { serve(opened) }
    inbound.scheduleStale()
    scheduleReturn()
    canSendChanged()
    if !opened.writeIsBlocked { opened.flush() }
    if wasPaused { opened.resumeReading() }
    wake()
  }

  private func deliverParked() {
    startSequencesAnew()
    setMoment()
    let queue = rotation.parked
    rotation.parked = MessageQueue()
    while let slice = queue.take(1 << 20) {
      for index in 0..<slice.count { deliverLater(slice.records[index]) }
      queue.giveBack(slice.segment)
    }
  }
}
