// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// The second session of a client with option `twin`, with the same feed at another place. Its client has connections,
/// logins and subscriptions of its own, and gives every message to the first one, which is the application's.
///
/// What is not constant is guarded by the mutex of the application's client. The partner calls in with its own mutex
/// held; never the other way round: what the first client wants of its partner it asks with no lock held, or posts.
final class Twin {
  let partner: Client
  let merge: FeedMerge
  /// Of the partner.
  var state = SessionState.disconnected
  var isReady = false
  var hasEnded = false
  /// Of its attempts; and how many of them `open` has seen.
  var failedAttempts: UInt64 = 0
  var reportedAttempts: UInt64 = 0
  /// For calls that change both sides: two of them must not come in different orders.
  let order = Mutex()
  /// What the application was told last: the better one of both.
  var shownState = SessionState.disconnected
  /// The partner's reading waits for room in the queue.
  var isPaused = false

  init(partner: Client, merge: FeedMerge) {
    self.partner = partner
    self.merge = merge
  }
}

/// Two feeds as one.
extension Client {
  enum Side: Int {
    case url = 0
    case twin = 1

    var name: Literal { self == .url ? "url" : "twin" }
  }

  // MARK: Set-up

  /// Why there can't be a twin; nil if all is well.
  static func twinProblem(_ options: ClientOptions, isSecure: Bool) -> Failure? {
    guard let url = options.twin else { return nil }
    if url.isSecure != isSecure {
      return Failure(.badURL, "option twin is \(url.redacted); allowed: \(isSecure ? "wss" : "ws"), as the client's URL")
    }
    if options.sequencePath.isEmpty || options.sequenceScope == .connection {
      return Failure(.badValue, "option twin needs sequence_path, with numbers that go on from one connection to the next")
    }
    if options.holdLogin || options.holdConnect || options.resume {
      return Failure(.badValue, "option twin does not go with hold_login, hold_connect and resume")
    }
    return nil
  }

  /// Before anything else is done with the client. The partner gets what concerns connections and sessions.
  func addTwin(_ url: WebSocketURL) throws(TransportError) {
    try host.addUser()
    var shared = options
    shared.twin = nil
    shared.journal = nil
    shared.endpoints = []
    shared.events = false
    shared.receiveQueuePolicy = options.receiveQueuePolicy == .disconnect ? .disconnect : .pause
    shared.keyPath = []
    shared.sequencePath = []
    shared.sequencePrevious = nil
    shared.sequenceKey = []
    shared.staleKeyTimeout = 0
    let partner = Client(urls: [url], options: shared, host: host, tlsContext: tlsContext)
    partner.proxies = proxies
    partner.proxyTLS = proxyTLS
    partner.primary = self
    partner.inbound.isRelay = true
    partner.handover.rules.distinguishesCopies = true
    twin = Twin(
      partner: partner, merge: FeedMerge(rule: inbound.feed?.rule ?? .consecutive, wait: options.twinWait, limit: options.receiveQueueBytes)
    )
  }

  /// What the application sees. `mutex` is held.
  var shownState: SessionState { twin?.shownState ?? state }

  var isConnected: Bool { isOpen || twin?.state == .connected }
  var isReady: Bool { stage == .ready || twin?.isReady == true }
  /// Nothing comes any more.
  var isOver: Bool { life == .ended && (twin == nil || twin?.hasEnded == true || closeStarted) }
  var sidesConnected: Int { (isOpen ? 1 : 0) + (twin?.state == .connected ? 1 : 0) }

  // MARK: States

  /// The partner has moved; called with its mutex held.
  func twinMoved(_ event: SessionEvent, to state: SessionState, hasEnded: Bool, cause: String, code: StatusCode) {
    mutex.lock()
    defer { mutex.unlock() }
    guard let twin else { return }
    twin.state = state
    twin.hasEnded = hasEnded
    if code != .ok && state != .connected { twin.failedAttempts &+= 1 }
    if state == .connected {
      statistics.twinConnections &+= 1
      setMoment()
      if !isOpen { inbound.restartKeys() }
    } else {
      sideEnded(.twin)
    }
    emitSide(.twin, state, cause)
    showState(event, cause: cause, code: code)
    // The end of the other side told what had come until then.
    if hasEnded && life == .ended { emitDiscarded() }
    if state != .connected || hasEnded { wake() }
  }

  /// The partner is ready; called with its mutex held.
  func twinIsReady() {
    mutex.lock()
    sideIsReady(.twin)
    mutex.unlock()
  }

  /// A side's messages flow, or no longer.
  func sideIsReady(_ side: Side) {
    guard let twin else { return }
    if side == .twin { twin.isReady = true }
    twin.merge.setReady(side.rawValue, true)
    wake()
  }

  func sideEnded(_ side: Side) {
    guard let twin else { return }
    if side == .twin { twin.isReady = false }
    twin.merge.setReady(side.rawValue, false)
    releaseMerged()
  }

  func emitSide(_ side: Side, _ state: SessionState, _ cause: String) {
    emit(Event.twin(side: side.name, state: state.name, cause: cause))
    log(.info) { "\(side.name): \(state.name): \(cause)" }
  }

  /// Tells the better one of both states when it has changed.
  func showState(_ event: SessionEvent, cause: String, code: StatusCode) {
    guard let twin else { return }
    let best = Client.rank(state) >= Client.rank(twin.state) ? state : twin.state
    let previous = twin.shownState
    if best == previous { return }
    twin.shownState = best
    emitState(event, from: previous, cause: cause, code: code)
  }

  private static func rank(_ state: SessionState) -> Int {
    switch state {
    case .connected: 4
    case .reconnecting: 3
    case .connecting: 2
    case .error: 1
    case .disconnected: 0
    }
  }

  // MARK: Messages

  /// A message of the partner, whose mutex is held.
  func takeFromTwin(_ message: Inbound.Arrival, _ moment: Moment) {
    mutex.lock()
    defer { mutex.unlock() }
    if closeStarted { return inbound.discard() }
    guard let twin else { return }
    inbound.moment = moment
    let wasEmpty = inbound.queue.isEmpty
    inbound.queue.beginChunk()
    inbound.feed?.read(message.payload)
    merge(message, side: .twin)
    if wasEmpty && !inbound.queue.isEmpty { wake() }
    carryOut()
    pauseTwin(twin)
  }

  /// What the partner has used up and the application wants all the same, which has no number that counts.
  func takeAsideFromTwin(_ message: Inbound.Arrival) {
    mutex.lock()
    defer { mutex.unlock() }
    if closeStarted { return inbound.discard() }
    guard let twin else { return }
    guard twin.merge.takesUnnumbered(Side.twin.rawValue) else {
      inbound.counts.duplicates &+= 1
      return
    }
    inbound.takeAside(message)
    carryOut()
    pauseTwin(twin)
  }

  /// With a full queue. The partner's mutex is held, too.
  private func pauseTwin(_ twin: Twin) {
    if !options.receiveQueuePolicy.makesRoom && inbound.queue.bytes >= options.receiveQueueBytes {
      // The partner stops reading, or leaves.
      twin.isPaused = true
      twin.partner.pausesForPrimary = true
    }
  }

  /// Another connection of the partner brings its messages from now on; called with its mutex held.
  func twinIsRenewed() {
    mutex.lock()
    twin?.merge.renew(Side.twin.rawValue)
    mutex.unlock()
  }

  /// A message of either side, which was read. What comes of it goes to the queue.
  func merge(_ message: Inbound.Arrival, side: Side) {
    guard let twin, let feed = inbound.feed else { return }
    guard let number = feed.number else {
      if twin.merge.takesUnnumbered(side.rawValue) { inbound.offer(message) } else { inbound.counts.duplicates &+= 1 }
      return
    }
    let verdict = twin.merge.offer(
      side: side.rawValue, number, now: inbound.moment.now, kind: message.kind, flags: message.flags, payload: message.payload,
      receivedAt: message.receivedAt)
    if case .deliver = verdict { inbound.offer(message) }
    releaseMerged()
  }

  func releaseMerged() {
    guard let twin else { return }
    let wasEmpty = inbound.queue.isEmpty
    setMoment()
    while let parked = twin.merge.release(inbound.moment.now) {
      inbound.feed?.read(parked.payload)
      inbound.offer(
        Inbound.Arrival(kind: parked.kind, flags: parked.flags, payload: parked.payload, receivedAt: parked.receivedAt))
    }
    if wasEmpty && !inbound.queue.isEmpty { wake() }
    carryOut()
    guard let next = twin.merge.nextDeadline else { return }
    // One that comes too early looks again.
    if !isScheduled(.merge) { schedule(.merge, at: next) }
  }

  /// The partner's reading may go on. `mutex` is held.
  func resumeTwin() {
    guard let twin, twin.isPaused else { return }
    twin.isPaused = false
    host.loop.post(twin.partner, tag: Post.room)
    host.hurry()
  }
}
