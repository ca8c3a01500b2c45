// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire
import Synchronization

/// A session: one connection after another, the queues that outlive them, and the policies: composes the wire, the flow
/// and the transport.
///
/// `mutex` guards every stored property that is not a constant, and those of its connections. The loop's driver enters
/// through the handler functions of `EventHandler`, callers through the functions of the extensions; both lock.
package final class Client: EventHandler, @unchecked Sendable {
  /// `trying`: there is a connection, or will be; `ended` until the application asks anew.
  enum Life { case idle, trying, ended }

  /// How far a connection is from taking the application's messages.
  enum Stage { case none, login, confirming, subscribing, ready }

  enum Hold { case connect, login }

  /// What a timer is about.
  enum Timer: Int { case attempt, gate, hold, flow, stable, stale, homeward, rotation, keys, merge }

  /// What a post is about.
  enum Post: Int { case gate, flow, room }

  package let options: ClientOptions
  package let host: LoopHost
  let tlsContext: TLSContext?
  /// Set before anybody else knows the client.
  var proxies = ProxyRules()
  var proxyTLS: TLSContext?
  let mutex = Mutex()
  let waiter = LoopHost.Waiter()
  let random = SecureRandom()
  private let mark = ForkMark()

  // Life
  var life = Life.idle
  var state = SessionState.disconnected
  /// Why the last connection or attempt ended.
  var failure: Failure?
  /// Of the last connection that was open; 0 if there was none.
  var lastCloseCode: UInt16 = 0
  var lastCloseReason = ""
  /// Of a `failure` that is a rejection: the begin of the message that says so.
  var serverMessage = ""
  /// This side has begun to close; nothing is sent or delivered any more.
  var closeStarted = false
  /// Not even `reconnect` opens it again.
  var isClosedForGood = false
  /// The close is that of an open connection: its caller learns of what was not sent, which there is then.
  var reportsUnsent = false
  var hasUnsent = false
  var blockedCalls = 0
  var connection: Connection?
  /// A connection that is being made while `connection` serves.
  var successor: Connection?
  let handover: Handover
  /// The second session of the application's client; that session's client has `primary` in its place. Constant.
  var twin: Twin?
  var primary: Client?

  // Attempts
  /// Where to connect, in the order of preference.
  var urls: [WebSocketURL]
  var headers: [HTTPHeader]
  let dialer: Dialer
  var hold: Hold?
  /// The connection that the hold of a login is for.
  var heldConnection: Connection?

  // Session
  var stage: Stage { connection?.session.stage ?? .none }
  var readyAt: Int64 { connection?.session.readyAt ?? 0 }
  var subscriptions: SubscriptionSet?
  var messageCounter: UInt64 = 0
  /// Messages are looked at, since there are patterns for them.
  var inspects = false

  // Receiving
  let inbound: Inbound
  let actions = Actions()
  /// The client's owner has no room; see `Twin`.
  var pausesForPrimary = false
  /// A connection that has ended and is not read to the end; see Connection+Tail.swift.
  var tail: Connection?
  /// So long a bad frame waits for the consumer to answer the messages before it (ns).
  var answerGrace: Int64 = 100_000_000
  /// What `pulsews_recv` has taken ahead. The flag is a hint: only who has entered the batch knows.
  let singleBatch = Batch()
  let singleBatchIsFilled = Atomic<Bool>(false)
  var acceptance: UpgradeAcceptance?
  var refusal: UpgradeRefusal?

  // Sending
  let outbound: Outbound
  var journalFile: JournalFile?

  // Liveness
  var roundTrips = RoundTripTimes()

  /// When they fire is the loop's to know, but for `flow`.
  var timers: InlineArray<10, TimerID?> = .init(repeating: nil)
  var flowAt = Int64.max

  // Waking
  var wakeDescriptor: Int32 = -1

  // Statistics
  var statistics = ClientStatistics()
  var marks = ClientMarks()
  /// Tells it from all other clients of the process; 0 until it is registered.
  var serial = 0
  /// Its place in `ClientRegistry`, which guards it.
  var registryIndex = -1

  package init(urls: [WebSocketURL], options: ClientOptions, host: LoopHost, tlsContext: TLSContext?) {
    self.urls = urls
    self.options = options
    self.host = host
    self.tlsContext = tlsContext
    headers = options.headers
    dialer = Dialer(Dialer.Rules(options, endpoints: urls.count))
    handover = Handover(Handover.Rules(options))
    let random = random
    inbound = Inbound(Inbound.Rules(options), actions, seed: { random.next64() })
    outbound = Outbound(Outbound.Rules(options), actions)
    super.init()
    inspects = hasPatterns
  }

  deinit {
    if wakeDescriptor >= 0 && !isForked { psys_close(wakeDescriptor) }
  }

  package var isForked: Bool { mark.isForked }

  /// The endpoint of the present or the next attempt.
  var url: WebSocketURL { urls[dialer.chosen < urls.count ? dialer.chosen : 0] }

  var emitsEvents: Bool { inbound.rules.emitsEvents }

  // MARK: Entries of the loop

  override package func timerFired(_ tag: Int) {
    mutex.lock()
    defer { mutex.unlock() }
    guard let timer = Timer(rawValue: tag) else { return }
    timers[tag] = nil
    switch timer {
    case .attempt: dial(.due)
    case .gate: askGate()
    case .hold: holdTimedOut()
    case .flow:
      flowAt = .max
      flow()
    case .stable: becomeStable()
    case .stale: lookWhetherStale()
    case .homeward: returnToPreferred()
    case .rotation: rotationIsDue()
    case .keys: keysAreDue()
    case .merge: releaseMerged()
    }
  }

  override package func posted(_ tag: Int) {
    mutex.lock()
    defer { mutex.unlock() }
    switch Post(rawValue: tag) {
    // The news may be old: its ticket was used, or given back.
    case .gate: if dialer.ticket != nil { askGate() }
    case .flow: flow()
    case .room:
      pausesForPrimary = false
      if let connection, connection.readingPaused { connection.resumeReading() }
      goOnConnecting()
    case nil: break
    }
  }

  // MARK: Timers

  /// A new time takes the place of the one before.
  @inline(never) func schedule(_ timer: Timer, at deadline: Int64) {
    cancel(timer)
    timers[timer.rawValue] = host.loop.schedule(self, tag: timer, deadline: deadline)
  }

  @inline(never) func cancel(_ timer: Timer) {
    if let running = timers[timer.rawValue] { host.loop.cancel(running) }
    timers[timer.rawValue] = nil
  }

  func isScheduled(_ timer: Timer) -> Bool { timers[timer.rawValue] != nil }

  // MARK: What the parts decide

  /// For what is told to a part next.
  @inline(never) func setMoment() { inbound.moment = Moment(now: Clock.monotonic(), realtime: Clock.realtime()) }

  /// Does it. A part has no clock, no timer and no log, and nobody to wake.
  func carryOut() { if !actions.isEmpty { carryOutAll() } }

  @inline(never) private func carryOutAll() {
    setMoment()
    // What is put into the queue may want more.
    while !actions.isEmpty { for action in actions.take() { carryOut(action) } }
  }

  private func carryOut(_ action: Action) {
    switch action {
    case .log(let level, let text): log(level) { text }
    case .event(let event, let isKept): inbound.emit(event, isKept: isKept)
    case .told(let ofDoubts):
      outbound.noteAnnounced(
        ofDoubts: ofDoubts, ahead: inbound.queue.count, sequence: inbound.queue.lastSequence, isBehindFront: inbound.front != nil)
    case .notify: host.notify(waiter)
    case .signal: signalDescriptor()
    case .wake: wake()
    case .lookAgain(.losses, let time): scheduleFlow(at: time)
    case .lookAgain(.stale, let time): schedule(.stale, at: time)
    case .lookAgain(.keys, let time): schedule(.keys, at: time)
    }
  }

  // MARK: Waiting

  /// Blocks until `condition` holds or `deadline` (monotonic ns) has passed. `mutex` is held on entry and on return;
  /// `condition` is looked at with it held.
  func block(until deadline: Int64, _ condition: () -> Bool) -> Bool {
    if condition() { return true }
    blockedCalls += 1
    defer {
      blockedCalls -= 1
      // `finish` waits for the last call to leave.
      if blockedCalls == 0 && life == .ended { host.notify(waiter) }
    }
    while true {
      let epoch = host.epoch(of: waiter)
      mutex.unlock()
      host.wait(waiter, since: epoch, until: deadline)
      mutex.lock()
      if condition() { return true }
      if deadline != Int64.max && Clock.monotonic() >= deadline { return false }
    }
  }

  /// One turn of the loop, for calls that must not block; they count as calls inside the client all the same, since
  /// `finish` must not end the loop below them. `mutex` is held on entry and on return.
  func driveBriefly() {
    blockedCalls += 1
    mutex.unlock()
    host.driveBriefly()
    mutex.lock()
    blockedCalls -= 1
    if blockedCalls == 0 && life == .ended { host.notify(waiter) }
  }

  /// Something changed that a blocked call or the owner of the descriptor may be waiting for. `mutex` is held.
  func wake() {
    host.notify(waiter)
    signalDescriptor()
  }

  func signalDescriptor() {
    if wakeDescriptor >= 0 { psys_eventfd_add(wakeDescriptor) }
  }

  /// A descriptor for poll(2), made on the first call; it is readable at once if there is something to look at.
  package func descriptor() -> Int32 {
    mutex.lock()
    defer { mutex.unlock() }
    if wakeDescriptor < 0 {
      wakeDescriptor = psys_eventfd_create()
      if wakeDescriptor < 0 {
        return StatusCode.noFiles.rawValue
      }
      if !inbound.isEmpty || life == .ended || shownState == .connected { signalDescriptor() }
    }
    return wakeDescriptor
  }

  package func clearDescriptor() {
    mutex.lock()
    defer { mutex.unlock() }
    if wakeDescriptor >= 0 { psys_eventfd_clear(wakeDescriptor) }
  }

  /// The monotonic time at which a call with this time-out gives up.
  static func deadline(after timeout: Int64) -> Int64 { Clock.deadline(Clock.monotonic(), after: timeout) }
}
