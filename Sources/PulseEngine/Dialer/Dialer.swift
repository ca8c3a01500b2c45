// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// When a client connects, and where: endpoints with their breakers, delays, the application's hold, and the place in the
/// limits that all clients of the process share.
///
/// - One attempt at a time. Before each one: the delay, room for what is to be received, the application's hold, a slot of the
///   host's limits; in this order.
/// - The endpoint is the first in the order of preference that has not failed in this round and whose breaker lets it be tried.
/// - The delay grows with the rounds: another endpoint is worth a quick try. A server that names a time, restarts or is
///   overloaded gets it; where other connections are at hand a restart that was to be expected costs none.
/// - A failure that no retry can mend rules its endpoint out. It ends when none is left, or the attempts are used up.
///
/// Not thread safe; its owner locks.
package final class Dialer {
  /// What options say of it. Times in nanoseconds.
  package final class Rules {
    package var endpoints = 1
    package var reconnects = true
    package var holds = false
    package var mostAttempts = 10
    package var baseDelay: Int64 = 1_000_000_000
    package var mostDelay: Int64 = 60_000_000_000
    package var jitterPermille = 500
    package var stableTime: Int64 = 10_000_000_000
    package var restartDelay: Int64 = 5_000_000_000
    package var breakerFailures = 5
    package var breakerTime: Int64 = 30_000_000_000
    /// A connection that grows old is replaced before its server ends it.
    package var replaces = false

    package init() {}
  }

  package enum Phase {
    /// Nobody wants a connection, or not any more.
    case idle
    /// Between two attempts, for so long (ns).
    case delayed(Int64)
    /// The delay is over, and what was received waits to be taken.
    case blocked
    /// The application has something to do first.
    case held
    /// For a slot of the limits that all clients of the process share, with the place in them once there is one.
    case queued(ConnectGate.Ticket?)
    /// There is a connection: one that is being made, or open.
    case connected
  }

  package enum Event {
    /// The application wants a connection, now.
    case begin
    /// The delay is over.
    case due
    /// What was received has been taken.
    case room
    /// The application's hold is over.
    case released
    /// There is a slot.
    case slot
    /// The connection was left for another one, at once.
    case moved
    /// The attempt failed, or the connection is lost.
    case lost(Loss)
    /// Nobody wants a connection any more.
    case stop
  }

  /// What a failure is to it.
  package struct Loss {
    package let endpoint: Int
    package let wasOpen: Bool
    /// No retry can mend it.
    package let isFinal: Bool
    /// Of the peer's close frame.
    package let closeCode: UInt16
    /// Seconds that the server asked to wait.
    package let retryAfter: Int?

    package init(endpoint: Int, wasOpen: Bool, isFinal: Bool = false, closeCode: UInt16 = 1006, retryAfter: Int? = nil) {
      self.endpoint = endpoint
      self.wasOpen = wasOpen
      self.isFinal = isFinal
      self.closeCode = closeCode
      self.retryAfter = retryAfter
    }
  }

  /// What is to be done.
  package enum Step {
    case nothing
    /// The application's hold begins.
    case hold
    /// A slot is to be asked for.
    case ask
    /// A connection to `chosen` is to be made, which gives the ticket back.
    case connect(ConnectGate.Ticket?)
    /// `due` is to come after so long (ns).
    case wait(Int64)
    /// No endpoint is left, or there is no other attempt.
    case end
    /// All attempts are used up.
    case giveUp
  }

  private static let serviceRestart: UInt16 = 1012
  private static let tryAgainLater: UInt16 = 1013
  /// A day is enough for any maintenance, and an absurd number must not end the trying (s).
  private static let mostRetryAfter = 86_400

  package let rules: Rules
  package private(set) var phase = Phase.idle
  package var endpoints: EndpointSet
  private var backoff: Backoff
  /// Of the present or the next attempt, or of the connection.
  package var chosen = 0
  /// All, and those that `report` has told.
  private var failed: UInt64 = 0
  private var reported: UInt64 = 0
  /// The last attempt led to an open connection, whatever became of that.
  package private(set) var lastOpened = false
  /// What was said of each breaker last.
  private var breakers: [CircuitBreaker.State]

  package init(_ rules: Rules) {
    self.rules = rules
    endpoints = EndpointSet(count: rules.endpoints, threshold: rules.breakerFailures, openTime: rules.breakerTime)
    backoff = Backoff(
      base: rules.baseDelay, maximum: rules.mostDelay, jitterPermille: rules.jitterPermille, limit: rules.mostAttempts,
      stableAfter: rules.stableTime)
    breakers = [CircuitBreaker.State](repeating: .closed, count: rules.endpoints)
  }

  // MARK: Events

  /// `isBlocked`: the queue of received messages is too full. What does not fit the phase changes nothing.
  package func handle(_ event: Event, _ now: Int64, isBlocked: Bool = false, random: () -> UInt64) -> Step {
    switch (event, phase) {
    case (.begin, .idle):
      startAnew(now)
      return attempt(now, isBlocked)
    case (.begin, .delayed), (.begin, .blocked):
      reset()
      return attempt(now, isBlocked)
    case (.due, .delayed), (.moved, .connected):
      return attempt(now, isBlocked)
    case (.room, .blocked):
      return attempt(now, isBlocked)
    case (.released, .held):
      phase = .queued(nil)
      return .ask
    case (.slot, .queued(let ticket)):
      phase = .connected
      endpoints.began(chosen, now)
      return .connect(ticket)
    case (.lost(let loss), .connected), (.lost(let loss), .held):
      return lost(loss, now, random)
    case (.stop, _):
      phase = .idle
      return .nothing
    default:
      return .nothing
    }
  }

  private func startAnew(_ now: Int64) {
    reset()
    report()
    chosen = endpoints.choose(now) ?? 0
    lastOpened = false
  }

  private func attempt(_ now: Int64, _ isBlocked: Bool) -> Step {
    if isBlocked {
      phase = .blocked
      return .nothing
    }
    guard let index = endpoints.choose(now) else {
      phase = .idle
      return .end
    }
    chosen = index
    phase = rules.holds ? .held : .queued(nil)
    return rules.holds ? .hold : .ask
  }

  private func lost(_ loss: Loss, _ now: Int64, _ random: () -> UInt64) -> Step {
    if !loss.wasOpen { failed &+= 1 }
    lastOpened = loss.wasOpen
    if loss.isFinal {
      endpoints.ruledOut(loss.endpoint, now)
    } else if loss.wasOpen {
      endpoints.ended(loss.endpoint, now)
    } else {
      endpoints.failed(loss.endpoint, now)
    }
    phase = .idle
    let failsOver = rules.endpoints > 1 && endpoints.hasUntried(now)
    if !rules.reconnects || endpoints.choose(now) == nil { return .end }
    guard let delay = backoff.nextDelay(random: random()) else { return .giveUp }
    let time = self.delay(delay, loss, failsOver, random)
    chosen = endpoints.choose(now) ?? chosen
    phase = .delayed(time)
    return .wait(time)
  }

  /// `grown`: by the attempts so far.
  private func delay(_ grown: Int64, _ loss: Loss, _ failsOver: Bool, _ random: () -> UInt64) -> Int64 {
    let restarts = loss.closeCode == Dialer.serviceRestart
    if restarts && loss.wasOpen && backoff.attempt == 1 && rules.replaces { return 0 }
    if failsOver { return min(grown, rules.baseDelay) }
    var delay = grown
    if let seconds = loss.retryAfter { delay = max(delay, Int64(min(seconds, Dialer.mostRetryAfter)) &* 1_000_000_000) }
    if restarts || loss.closeCode == Dialer.tryAgainLater {
      delay = max(delay, Backoff.restartDelay(rules.restartDelay, jitterPermille: rules.jitterPermille, random: random()))
    }
    return delay
  }

  // MARK: Connections

  /// A connection that served has ended, or is left: it was ready for so long.
  package func served(_ time: Int64) { backoff.connectionEnded(openFor: time) }

  /// The connection has lasted.
  package func stable(_ endpoint: Int) {
    backoff.reset()
    endpoints.stable(endpoint)
  }

  /// The application asks for a connection whatever was before.
  package func reset() {
    backoff.reset()
    endpoints.resetRuledOut()
  }

  /// The state of an endpoint's breaker, if it has changed since the last call and there are several.
  package func breakerNews(_ endpoint: Int, _ now: Int64) -> CircuitBreaker.State? {
    guard rules.endpoints > 1, let state = endpoints.health(endpoint)?.breaker.state(now), state != breakers[endpoint] else {
      return nil
    }
    breakers[endpoint] = state
    return state
  }

  // MARK: Attempts

  /// Attempts since the last stable connection.
  package var attempts: Int { backoff.attempt }

  /// Each endpoint has had its turn, and failed, since `report`.
  package var hasFailed: Bool { failed &- reported >= UInt64(truncatingIfNeeded: rules.endpoints) }

  /// What failed so far was told.
  package func report() { reported = failed }

  /// The delay before the next attempt; 0 if none is waited for.
  package var nextDelay: Int64 { if case .delayed(let time) = phase { time } else { 0 } }

  package var isQueued: Bool { if case .queued = phase { true } else { false } }

  package var isBlocked: Bool { if case .blocked = phase { true } else { false } }

  /// The next attempt could begin at once if the application wanted that.
  package var isWaiting: Bool {
    switch phase {
    case .delayed, .blocked: true
    case .idle, .held, .queued, .connected: false
    }
  }

  /// The place in the limits, while the attempt is queued.
  package var ticket: ConnectGate.Ticket? {
    get { if case .queued(let ticket) = phase { ticket } else { nil } }
    set { if isQueued { phase = .queued(newValue) } }
  }
}
