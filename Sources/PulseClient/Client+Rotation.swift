// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
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
  var cause: StaticString = ""
  /// The server gave notice before the connection was ready.
  var isAsked = false
  /// A hold of the application's comes first.
  var isHeld = false
  var endpoint = 0
  /// The next begin, or the end of the overlap.
  var timer: TimerID?
  var backoff = Backoff()
  var readyAt: Int64 = 0
  /// The first message that it brought once it was ready; 0 before.
  var firstDataAt: Int64 = 0
  /// What it has brought so far.
  var held = MessageQueue()
}

/// From a connection that serves to the next one. `mutex` is held.
extension Client {
  /// The tickets of `HostGate` are for those in need: a replacement that finds none waits so long.
  private static let gatePause: Int64 = 500_000_000
  /// So often a take-over that waits is looked at.
  private static let overlapLook: Int64 = 100_000_000

  var replaces: Bool { options.maxAge > 0 || !options.rotateOn.isEmpty }

  // MARK: Reasons

  func scheduleReturn() {
    guard let connection, connection.endpoint > 0, options.endpointReturn > 0, homewardTimer == nil else { return }
    homewardTimer = host.loop.schedule(
      self, tag: Signal.homeward, deadline: Clock.deadline(Clock.monotonic(), after: options.endpointReturn))
  }

  /// The present connection goes on serving until the other one is open.
  func returnToPreferred() {
    guard let connection, stage == .ready, !closeStarted, successor == nil, hold == nil,
      let index = endpoints.better(than: connection.endpoint, Clock.monotonic(), quiet: options.endpointReturn)
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
    cancel(&rotation.timer)
    guard let connection else { return }
    if rotation.isAsked {
      rotation.isAsked = false
      planRotation("notice", at: Clock.monotonic())
      return
    }
    if options.maxAge == 0 { return }
    // Not all clients at once.
    let early = Int64(truncatingIfNeeded: random.next64() % UInt64(options.maxAge / 20 &+ 1))
    planRotation("max_age", at: Clock.deadline(connection.openedAt, after: options.maxAge &- early))
  }

  private func planRotation(_ cause: StaticString, at time: Int64) {
    cancel(&rotation.timer)
    rotation.cause = cause
    rotation.timer = host.loop.schedule(self, tag: Signal.rotation, deadline: time)
  }

  func rotationIsDue() {
    if successor != nil && rotation.purpose == .replacement { overlapIsOver() } else { rotate(rotation.cause) }
  }

  /// Begins to replace the connection.
  func rotate(_ cause: StaticString) {
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
    rotation.cause = cause
    rotation.endpoint =
      endpoints.better(than: connection.endpoint, Clock.monotonic(), quiet: options.endpointReturn)
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
      cancel(&rotation.timer)
      rotation.readyAt = 0
      rotation.firstDataAt = 0
      tellRotation("begin")
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
      cancel(&holdTimer)
    }
    dropHeld()
    if closeStarted || failure.code == .moved { return }
    if ended.endpoint != connection?.endpoint { endpoints.failed(ended.endpoint, now) }
    if rotation.purpose == .replacement {
      rotationFailed(failure)
    } else {
      log(.info) { "the preferred endpoint can't be used yet: \(failure.text)" }
      scheduleReturn()
    }
  }

  private func rotationFailed(_ failure: Failure) {
    statistics.rotationsFailed &+= 1
    tellRotation("failed", ",\"problem\":\(json: failure.text)")
    log(.warning) { "the connection can't be replaced yet: \(failure.text)" }
    rotation.backoff.base = options.reconnectBaseDelay
    rotation.backoff.maximum = options.reconnectMaxDelay
    rotation.backoff.jitterPermille = options.jitterPermille
    rotation.backoff.limit = 0
    let delay = rotation.backoff.nextDelay(random: random.next64()) ?? options.reconnectMaxDelay
    planRotation(rotation.cause, at: Clock.deadline(Clock.monotonic(), after: delay))
  }

  /// What it has brought came over the other connection, too.
  private func dropHeld() {
    statistics.duplicatesDiscarded &+= UInt64(rotation.held.count)
    rotation.held = MessageQueue()
  }

  private func tellRotation(_ step: StaticString, _ more: Sentence = "") {
    report(
      "{\"event\":\"rotation\",\"step\":\"\(step)\",\"cause\":\"\(rotation.cause)\","
        + "\"endpoint\":\(json: urls[rotation.endpoint < urls.count ? rotation.endpoint : 0].redacted)" + more + "}")
    wake()
  }

  // MARK: Both at once

  func beginReplacement(_ opened: Connection) {
    opened.session.subscriptions = subscriptions?.copy() ?? SubscriptionSet()
    log(.debug) { "the next connection is open" }
    beginSession(on: opened)
  }

  func successorIsReady(_ ready: Connection) {
    rotation.readyAt = Clock.monotonic()
    planOverlap(from: rotation.readyAt)
  }

  private func planOverlap(from time: Int64) {
    cancel(&rotation.timer)
    rotation.timer = host.loop.schedule(
      self, tag: Signal.rotation, deadline: Clock.deadline(time, after: options.rotationOverlap))
  }

  /// A message of the successor: kept until it takes over.
  func hold(_ message: WireMessage, receivedAt: Int64, from newcomer: Connection) {
    var flags: UInt32 = message.isASCII ? MessageCode.isASCII : 0
    if message.wasCompressed { flags |= MessageCode.wasCompressed }
    rotation.held.append(
      kind: UInt32(message.kind.rawValue), flags: flags, payload: message.payload, receivedAt: receivedAt,
      expected: message.payload.count)
    if rotation.firstDataAt == 0 && newcomer.session.stage == .ready {
      rotation.firstDataAt = Clock.monotonic()
      if tellsCopies { planOverlap(from: rotation.firstDataAt) } else { overlapIsOver() }
      if connection === newcomer { return }
    }
    if rotation.held.bytes < options.receiveQueueBytes { return }
    if newcomer.session.stage == .ready {
      overlapIsOver()
      // What the old one still has to bring comes first.
      if connection !== newcomer { newcomer.readingPaused = true }
      return
    }
    newcomer.leave(
      Failure(
        .slowConsumer,
        "\(newcomer.url.redacted): more than receive_queue_bytes (\(options.receiveQueueBytes)) came before login and subscriptions were confirmed"
      ))
  }

  /// The consumer has taken what the old connection had brought.
  func resumeSuccessor() {
    if let successor, successor.readingPaused, rotation.held.bytes >= options.receiveQueueBytes { overlapSoon() }
  }

  private func overlapSoon() {
    cancel(&rotation.timer)
    rotation.timer = host.loop.schedule(self, tag: Signal.rotation, deadline: Clock.monotonic())
    host.hurry()
  }

  /// By their numbers.
  var tellsCopies: Bool { !options.sequencePath.isEmpty && !options.sequenceOfConnection }

  private func overlapIsOver() {
    guard let successor, successor.session.stage == .ready else { return }
    let now = Clock.monotonic()
    if let connection, connection.readingPaused || connection.heldInput.count > 0 {
      // What it has brought and nobody has taken yet comes before anything of the successor.
      cancel(&rotation.timer)
      rotation.timer = host.loop.schedule(self, tag: Signal.rotation, deadline: now &+ Client.overlapLook)
      return
    }
    // One that is mute does not follow one that delivers.
    if rotation.firstDataAt == 0 && lastDataAt > rotation.readyAt {
      let patience = options.openTimeout > options.rotationOverlap ? options.openTimeout : options.rotationOverlap
      if now &- rotation.readyAt < patience {
        let pause = options.rotationOverlap > Client.overlapLook ? options.rotationOverlap : Client.overlapLook
        cancel(&rotation.timer)
        rotation.timer = host.loop.schedule(self, tag: Signal.rotation, deadline: Clock.deadline(now, after: pause))
        return
      }
      successor.leave(
        Failure(.stale, "\(successor.url.redacted): no data came over the new connection, and over the old one there did"))
      return
    }
    takeOver(successor, after: nil)
  }

  // MARK: The change

  private func exchange(for opened: Connection) -> Connection? {
    let old = connection
    successor = nil
    connection = opened
    chosenEndpoint = opened.endpoint
    return old
  }

  func changeOver(to opened: Connection) {
    let old = exchange(for: opened)
    endSession()
    old?.leave(Failure(.moved, "\(url.redacted): left for the preferred endpoint"))
    if let old { endpoints.cancelled(old.endpoint) }
    outbox.removeAll(withFlags: OutboxFlag.liveOnly, cause: .notLive)
    tellDiscarded("left for the preferred endpoint")
    endpoints.began(opened.endpoint, Clock.monotonic())
    report(
      "{\"event\":\"endpoint\",\"endpoint\":\(json: opened.url.redacted),"
        + "\"cause\":\"back to the preferred endpoint\"}")
    log(.info) { "back to the preferred endpoint \(opened.url.redacted)" }
  }

  /// The successor serves from now on. `failure`: the old connection has ended, else it is left.
  func takeOver(_ opened: Connection, after failure: Failure?) {
    let now = Clock.monotonic()
    let old = exchange(for: opened)
    subscriptions = opened.session.subscriptions ?? subscriptions
    opened.session.subscriptions = nil
    isDirect = false
    backlogEnd = 0
    cancel(&rotation.timer)
    cancel(&stableTimer)
    cancel(&homewardTimer)
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
        if failure == nil { endpoints.cancelled(old.endpoint) } else { endpoints.ended(old.endpoint, now) }
        endpoints.began(opened.endpoint, now)
      }
    }
    outbox.removeAll(withFlags: OutboxFlag.liveOnly, cause: .notLive)
    tellDiscarded(why)
    statistics.rotations &+= 1
    rotation.backoff.reset()
    let before = statistics.duplicatesDiscarded
    deliverHeld()
    let overlap = rotation.readyAt > 0 ? now &- rotation.readyAt : 0
    tellRotation(
      "done", ",\"duplicates\":\(statistics.duplicatesDiscarded &- before),\"overlap\":\(seconds: overlap)")
    log(.info) { "the connection was replaced (\(self.rotation.cause))" }
    if opened.session.stage == .ready { serve(opened) }
    scheduleStale()
    scheduleReturn()
    canSendChanged()
    if !opened.writeIsBlocked { opened.flush() }
    if wasPaused { opened.resumeReading() }
    wake()
  }

  private func deliverHeld() {
    startSequencesAnew()
    let queue = rotation.held
    rotation.held = MessageQueue()
    while let slice = queue.take(1 << 20) {
      for index in 0..<slice.count { deliverLater(slice.records[index]) }
      queue.giveBack(slice.segment)
    }
  }
}
