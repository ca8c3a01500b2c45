// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// Whether data comes over a line.
///
/// - Each connection that begins to serve has the whole time. Data is what the application gets; heartbeats and answers to
///   logins are none.
/// - Only what was not there to be read is missed, and while the consumer makes reading pause, silence says nothing.
/// - What is stale is told once, until data comes again, or the connection is left.
///
/// Not thread safe; its owner locks.
package final class Liveness {
  /// What options say of it. Times in nanoseconds.
  package final class Rules {
    package var timeout: Int64 = 0
    package var reconnects = false
    /// Events tell of this line.
    package var tells = true
    /// Of two lines, the name of this one, for the log.
    package var name: Literal = ""

    package init() {}
  }

  package enum Step {
    case nothing
    /// `look` is to be called then.
    case lookAgain(at: Int64)
    /// The connection is to be left.
    case leave
  }

  /// After so long a deadline is judged that found more to read (ns).
  package static let lookAgainPause: Int64 = 1_000_000

  private let rules: Rules
  private let actions: Actions
  /// Of the connection that serves: the last data, and the last message with a number.
  package var lastDataAt: Int64 = 0
  package var lastNumberAt: Int64 = 0
  package private(set) var isStale = false
  private var staleSince: Int64 = 0
  package private(set) var episodes: UInt64 = 0

  package init(_ rules: Rules, _ actions: Actions) {
    self.rules = rules
    self.actions = actions
  }

  /// A connection serves from now on: it has its time.
  package func begin(_ now: Int64) {
    lastDataAt = now
    isStale = false
  }

  /// When to look next, if ever.
  package var next: Step { next(notBefore: .min) }

  private func next(notBefore earliest: Int64) -> Step {
    if rules.timeout == 0 { return .nothing }
    return .lookAgain(at: max(saturatingSum(lastDataAt, rules.timeout), earliest))
  }

  /// Data came with the last chunk. True if it was stale, and is to be looked at again.
  @inline(__always)
  package func dataArrived(_ now: Int64) -> Bool {
    lastDataAt = now
    return isStale && becomeFresh(now)
  }

  private func becomeFresh(_ now: Int64) -> Bool {
    isStale = false
    if rules.tells { actions.event(Event.fresh(silence: now &- staleSince)) }
    log(.info, "data comes again")
    return true
  }

  private func log(_ level: LogLevel, _ text: Sentence) {
    actions.log(level, rules.name.isEmpty ? text : "\(rules.name): \(text)")
  }

  /// The time has come. `readUpTo`: what is missed by this time did not come.
  package func look(_ now: Int64, readUpTo: Int64, isPaused: Bool) -> Step {
    if isStale { return .nothing }
    if isPaused { lastDataAt = now }
    if readUpTo &- lastDataAt < rules.timeout { return next(notBefore: now &+ Liveness.lookAgainPause) }
    let silence = now &- lastDataAt
    episodes &+= 1
    staleSince = lastDataAt
    if rules.tells {
      actions.event(Event.stale(silence: silence, action: rules.reconnects ? "reconnect" : "event"))
    }
    log(.warning, "no data for \(seconds: silence) s")
    if rules.reconnects { return .leave }
    isStale = true
    actions.silenced(sentence("no data for \(seconds: silence) s"))
    actions.wake()
    return .nothing
  }
}
