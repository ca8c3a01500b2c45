// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// From a connection that serves to the next one. `mutex` is held.
extension Line {
  // MARK: Reasons

  func scheduleReturn() {
    guard let connection, connection.endpoint > 0, client.options.endpointReturn > 0, !isScheduled(.homeward) else { return }
    schedule(.homeward, at: Clock.deadline(Clock.monotonic(), after: client.options.endpointReturn))
  }

  /// The present connection goes on serving until the other one is open.
  func returnToPreferred() {
    guard let connection, isReady, !client.closing.hasBegun, handover.isResting, !connection.hasUnread,
      let index = dialer.endpoints.better(than: connection.endpoint, Clock.monotonic(), quiet: client.options.endpointReturn)
    else {
      scheduleReturn()
      return
    }
    hand(.home(endpoint: index))
  }

  /// A connection that serves is to be replaced before it grows older than `max_age`.
  func scheduleRotation() {
    cancel(.rotation)
    guard let connection else { return }
    carryOut(handover.served(Clock.monotonic(), openedAt: connection.openedAt, random: { client.random.next64() }))
  }

  /// By a timer: what had arrived by then of either connection was read.
  func rotationIsDue() {
    guard canRotate else { return }
    hand(.due, host.loop.turnTime)
  }

  private var canRotate: Bool { connection?.phase == .open && !client.closing.hasBegun }

  /// The server says that a connection is to end.
  func noticeArrived(on noticed: Connection) {
    if noticed === connection {
      if canRotate { hand(.notice) }
    } else {
      // For when it has taken over.
      noticed.hasNotice = true
    }
  }

  // MARK: The way to it

  /// Its hold is over, or there was none.
  func connectSuccessor() {
    guard connection != nil, successor == nil, !client.closing.hasBegun, handover.endpoint < urls.count else { return hand(.left) }
    let target = urls[handover.endpoint]
    guard let ticket = HostGate.takeAtOnce(self, target) else { return hand(.noSlot) }
    hand(.slot)
    statistics.attempts &+= 1
    let made = Connection(
      line: self, endpoint: handover.endpoint, url: target, tlsContext: target.isSecure ? client.ways.tls : nil)
    made.ticket = ticket
    successor = made
    if handover.purpose == .replacement {
      cancel(.rotation)
      handover.joints = Joints()
      emitRotation("begin")
    }
    log(.debug) { "connecting to \(target.redacted), which is to follow the present connection" }
    made.start()
  }

  func leaveSuccessor() { successor?.leave(Failure(.moved, "not needed any more")) }

  /// It has failed, or the hold before it was not released.
  func successorIsNotComing(_ failure: Failure) {
    let isHopeless = failure.isFinal && handover.endpoint == connection?.endpoint
    if handover.purpose == .replacement {
      statistics.rotationsFailed &+= 1
      emitRotation("failed", problem: failure.text)
      log(.warning) { "the connection can't be replaced yet: \(failure.text)" }
    } else {
      log(.info) { "the preferred endpoint can't be used yet: \(failure.text)" }
    }
    hand(.failed(isHopeless: isHopeless))
  }

  func successorFailed(_ ended: Connection, _ failure: Failure, _ now: Int64) {
    if held === ended {
      hold = nil
      cancel(.hold)
    }
    // What it has brought came over the other connection, too.
    inbound.counts.duplicates &+= UInt64(handover.takeParked()?.count ?? 0)
    if client.closing.hasBegun || failure.code == .moved { return hand(.left) }
    if ended.endpoint != connection?.endpoint {
      if failure.isFinal { dialer.endpoints.ruledOut(ended.endpoint, now) } else { dialer.endpoints.failed(ended.endpoint, now) }
    }
    successorIsNotComing(failure)
  }

  private func emitRotation(_ step: Literal, problem: String? = nil, duplicates: Int? = nil, overlap: Int64? = nil) {
    emit(
      Event.rotation(
        step: step, cause: handover.cause, endpoint: urls[handover.endpoint < urls.count ? handover.endpoint : 0].redacted,
        problem: problem, duplicates: duplicates, overlap: overlap))
    client.wake()
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
    // What it brings may be behind what the other one has brought.
    inbound.renew(side: side.rawValue, hasCopies: false)
    suspendSide()
    dialer.endpoints.began(opened.endpoint, Clock.monotonic())
    emit(Event.endpoint(endpoint: opened.url.redacted, cause: "back to the preferred endpoint"))
    log(.info) { "back to the preferred endpoint \(opened.url.redacted)" }
  }

  /// The successor serves from now on. `failure`: the old connection has ended, else it is left.
  func takeOver(_ opened: Connection, after failure: Failure?) {
    let now = Clock.monotonic()
    let old = exchange(for: opened)
    subscriptions = opened.session.subscriptions ?? subscriptions
    outbound.close()
    cancel(.rotation)
    cancel(.stable)
    cancel(.homeward)
    let overlap = handover.tookOver(now, hasNotice: opened.hasNotice)
    if let overlap, overlap.lastDataAt > liveness.lastDataAt { liveness.lastDataAt = overlap.lastDataAt }
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
    let before = inbound.counts.duplicates
    deliverParked()
    emitRotation(
      "done", duplicates: Int(truncatingIfNeeded: inbound.counts.duplicates &- before), overlap: overlap.map { now &- $0.readyAt } ?? 0)
    log(.info) { "the connection was replaced (\(self.handover.cause))" }
    if opened.session.isReady { serve(opened) } else { suspendSide() }
    carryOut(liveness.next)
    scheduleReturn()
    canSendChanged()
    if !opened.writeIsBlocked { opened.flush() }
    if wasPaused { opened.resumeReading() }
    client.wake()
  }

  /// Until this line is ready again the other one need not wait for it.
  private func suspendSide() {
    client.setMoment()
    inbound.suspend(side: side.rawValue)
    client.carryOut()
  }

  private func deliverParked() {
    client.setMoment()
    inbound.renew(side: side.rawValue, hasCopies: distinguishesCopies)
    guard let queue = handover.takeParked() else { return }
    while let slice = queue.take(1 << 20) {
      for index in 0..<slice.count { deliverLater(slice.records[index]) }
      queue.giveBack(slice.segment)
    }
  }
}
