// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// One connection after another to the endpoints of a feed: the attempts, the session of each connection, the handover from
/// one to the next, and what is sent over it. A client has one line, or two with option `twin`.
///
/// It lives in its client: who is called by the loop enters through the client or a connection, and both keep the client
/// alive. The client's `mutex` guards all of it.
final class Line {
  enum Side: Int {
    case url = 0
    case twin = 1

    var name: Literal { self == .url ? "url" : "twin" }
  }

  /// `trying`: there is a connection, or will be; `ended` until the application asks anew.
  enum Life { case idle, trying, ended }

  /// What waits for the application: an attempt, or the login of a connection.
  enum Hold { case connect, login(Connection) }

  /// What a timer is about.
  enum Timer: Int { case attempt, gate, hold, flow, stable, stale, homeward, rotation }

  /// What a post is about.
  enum Post: Int { case gate, flow }

  unowned(unsafe) private var owner: Client?
  let side: Side
  /// The client's.
  let host: LoopHost
  let inbound: Inbound

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
  var connection: Connection?
  /// A connection that is being made while `connection` serves.
  var successor: Connection?
  /// A connection that has ended and is not read to the end; see Connection+Tail.swift.
  var tail: Connection?
  let handover: Handover

  // Attempts
  /// Where to connect, in the order of preference.
  var urls: [WebSocketURL]
  let dialer: Dialer
  var hold: Hold?
  /// What the server said to the last handshake.
  var acceptance: UpgradeAcceptance?
  var refusal: UpgradeRefusal?

  // Sessions
  let sessionRules: Session.Rules
  let texts = OwnTexts()
  /// What the application wants.
  var subscriptions = SubscriptionSet()

  // Messages
  let liveness: Liveness
  let outbound: Outbound

  var roundTrips = RoundTripTimes()
  /// When they fire is the loop's to know, but for `flow`.
  private var timers: InlineArray<8, TimerID?> = .init(repeating: nil)
  private var flowAt = Int64.max

  // Statistics
  var statistics = ClientStatistics()
  var marks = ClientMarks()

  init(_ side: Side, urls: [WebSocketURL], _ rules: LineRules, _ host: LoopHost, _ inbound: Inbound, _ actions: Actions) {
    self.host = host
    self.inbound = inbound
    self.side = side
    self.urls = urls
    dialer = Dialer(rules.dialer)
    handover = Handover(rules.handover)
    sessionRules = rules.session
    liveness = Liveness(rules.liveness, actions)
    outbound = Outbound(rules.outbound, actions)
  }

  /// Before anything else is asked of it.
  func belong(to client: Client) { owner = client }

  var client: Client { owner.unsafelyUnwrapped }

  /// The endpoint of the present or the next attempt.
  var url: WebSocketURL { urls[dialer.chosen < urls.count ? dialer.chosen : 0] }

  /// The connection whose login is held.
  var held: Connection? { if case .login(let connection) = hold { connection } else { nil } }

  /// Messages flow.
  var isReady: Bool { connection?.session.isReady == true }

  var isOpen: Bool { connection?.phase == .open || connection?.phase == .closing }

  // MARK: Entries of the loop, by way of the client

  func tag(_ timer: Timer) -> Int { side.rawValue << 4 | timer.rawValue }

  func tag(_ post: Post) -> Int { side.rawValue << 4 | post.rawValue }

  func timerFired(_ due: Timer, _ timer: TimerID) {
    if timers[due.rawValue] != timer { return }
    timers[due.rawValue] = nil
    switch due {
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
    }
  }

  func posted(_ post: Post) {
    switch post {
    // The news may be old: its ticket was used, or given back.
    case .gate: if dialer.ticket != nil { askGate() }
    case .flow: flow()
    }
  }

  func post(_ post: Post) { host.loop.post(client, tag: tag(post)) }

  // MARK: Timers

  /// A new time takes the place of the one before.
  @inline(never) func schedule(_ timer: Timer, at deadline: Int64) {
    cancel(timer)
    timers[timer.rawValue] = host.loop.schedule(client, tag: tag(timer), deadline: deadline)
  }

  @inline(never) func cancel(_ timer: Timer) {
    if let running = timers[timer.rawValue] { host.loop.cancel(running) }
    timers[timer.rawValue] = nil
  }

  func isScheduled(_ timer: Timer) -> Bool { timers[timer.rawValue] != nil }

  /// Looks after messages that wait, at `time`, unless that is planned for sooner.
  func scheduleFlow(at time: Int64) {
    if time >= flowAt { return }
    flowAt = time
    schedule(.flow, at: time)
  }

  // MARK: What is told

  /// Puts an event between the messages.
  func emit(_ event: Sentence) { if side == .url { client.emit(event) } }

  /// Takes an event to the state table.
  func move(_ event: SessionEvent, cause: String, code: StatusCode = .ok) {
    guard let next = StateTable.next(state, event) else { return }
    state = next
    client.moved(self, event, cause: cause, code: code)
  }
}

extension SessionState {
  /// Which of two states is the better one.
  var rank: Int {
    switch self {
    case .connected: 4
    case .reconnecting: 3
    case .connecting: 2
    case .error: 1
    case .disconnected: 0
    }
  }
}
