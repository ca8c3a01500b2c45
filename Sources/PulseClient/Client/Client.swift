// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire
import Synchronization

/// What the C interface holds: one line of connections, or two of the same feed; what all of them receive, in one queue; and
/// whoever waits for it.
///
/// `mutex` guards every stored property that is not a constant, and those of its lines and connections. The loop's driver
/// enters through the handler functions of `EventHandler`, callers through the functions of the extensions; both lock.
package final class Client: EventHandler, @unchecked Sendable {
  /// What a timer is about; the lines have theirs.
  enum Timer: Int { case keys = 32, merge }

  let settings: Settings
  package let host: LoopHost
  let ways: Ways
  let mutex = Mutex()
  let random = SecureRandom()
  private let mark = ForkMark()

  let first: Line
  /// With option `twin`.
  let second: Line?
  /// What the application was told last: with two lines the better state of both.
  var toldState = SessionState.disconnected
  var closing = Closing()
  var headers: [HTTPHeader]

  /// The application sends over the first line.
  let outbound: Outbound

  // Receiving
  let inbound: Inbound
  let actions = Actions()
  /// So long a bad frame waits for the consumer to answer the messages before it (ns).
  var answerGrace: Int64 = 100_000_000
  /// What `pulsews_recv` has taken ahead. The flag is a hint: only who has entered the batch knows.
  let singleBatch = Batch()
  let singleBatchIsFilled = Atomic<Bool>(false)
  private var timers: InlineArray<2, TimerID?> = .init(repeating: nil)

  var journalFile: JournalFile?

  // Waiting
  let waiter = LoopHost.Waiter()
  var blockedCalls = 0
  var wakeDescriptor: Int32 = -1

  /// Tells it from all other clients of the process; 0 until it is registered.
  var serial = 0
  /// Its place in `ClientRegistry`, which guards it.
  var registryIndex = -1

  package init(urls: [WebSocketURL], _ settings: Settings, host: LoopHost, _ ways: Ways) {
    self.settings = settings
    self.host = host
    self.ways = ways
    headers = settings.options.headers
    let random = random
    inbound = Inbound(settings.inbound, actions, seed: { random.next64() })
    first = Line(.url, urls: urls, settings.line, host, inbound, actions)
    outbound = first.outbound
    second = settings.options.twin.map { [host, inbound, actions] url in
      Line(.twin, urls: [url], LineRules(settings.options, .twin), host, inbound, actions)
    }
    super.init()
    first.belong(to: self)
    second?.belong(to: self)
  }

  deinit {
    if wakeDescriptor >= 0 && !isForked { psys_close(wakeDescriptor) }
  }

  package var isForked: Bool { mark.isForked }

  @inline(__always) package var options: ClientOptions { settings.options }

  var emitsEvents: Bool { inbound.rules.emitsEvents }

  // MARK: Lines

  @inline(never) func each(_ body: (Line) -> Void) {
    body(first)
    if let second { body(second) }
  }

  @inline(never) func all(_ test: (Line) -> Bool) -> Bool { test(first) && second.map(test) ?? true }

  /// With two lines the better state of both.
  var shownState: SessionState {
    guard let second, second.state.rank > first.state.rank else { return first.state }
    return second.state
  }

  var linesOpen: Int { (first.isOpen ? 1 : 0) + (second?.isOpen == true ? 1 : 0) }
  var isConnected: Bool { linesOpen > 0 }
  var isReady: Bool { first.isReady || second?.isReady == true }
  /// No line brings data.
  var isSilent: Bool { all { !$0.isOpen || $0.liveness.isStale } }
  var hasEnded: Bool { all { $0.life == .ended } }

  // MARK: Entries of the loop

  override package func timerFired(_ tag: Int, _ timer: TimerID) {
    mutex.lock()
    defer { mutex.unlock() }
    guard let own = Timer(rawValue: tag) else {
      if let due = Line.Timer(rawValue: tag & 15) { line(of: tag)?.timerFired(due, timer) }
      return
    }
    if timers[own.rawValue & 15] != timer { return }
    timers[own.rawValue & 15] = nil
    switch own {
    case .keys: keysAreDue()
    case .merge:
      setMoment()
      inbound.mergeIsDue()
      carryOut()
    }
  }

  override package func posted(_ tag: Int) {
    mutex.lock()
    defer { mutex.unlock() }
    if let post = Line.Post(rawValue: tag & 15) { line(of: tag)?.posted(post) }
  }

  private func line(of tag: Int) -> Line? { tag >> 4 == 0 ? first : second }

  func schedule(_ timer: Timer, at deadline: Int64) {
    cancel(timer)
    timers[timer.rawValue & 15] = host.loop.schedule(self, tag: timer, deadline: deadline)
  }

  func cancel(_ timer: Timer) {
    if let running = timers[timer.rawValue & 15] { host.loop.cancel(running) }
    timers[timer.rawValue & 15] = nil
  }

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
    case .log(let level, let text): first.log(level) { text }
    case .event(let event, let isKept): inbound.emit(event, isKept: isKept)
    case .told(let ofDoubts):
      outbound.noteAnnounced(
        ofDoubts: ofDoubts, ahead: inbound.queue.count, sequence: inbound.queue.lastSequence, isBehindFront: inbound.front != nil)
    case .notify: host.notify(waiter)
    case .signal: signalDescriptor()
    case .wake: wake()
    // While one of two lines brings data nothing is missing.
    case .silenced(let why): if isSilent { inbound.tap?.silenced(why) }
    case .lookAgain(.losses, let time): first.scheduleFlow(at: time)
    case .lookAgain(.keys, let time): schedule(.keys, at: time)
    case .lookAgain(.merge, let time): schedule(.merge, at: time)
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
      if blockedCalls == 0 && hasEnded { host.notify(waiter) }
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
    if blockedCalls == 0 && hasEnded { host.notify(waiter) }
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
      if !inbound.isEmpty || hasEnded || shownState == .connected { signalDescriptor() }
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
