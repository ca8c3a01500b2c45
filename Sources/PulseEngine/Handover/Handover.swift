// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// From a connection that serves to the one that follows it: when, why, and whether the successor has shown that it can.
///
/// - There are two purposes. To come home: a preferred endpoint can be used again, and takes over as soon as it is open. To
///   replace: the connection grows old, or its server has given notice; the successor takes over when it delivers, and nothing
///   is lost between the two.
/// - One successor at a time. What else asks for one meanwhile is served by it, but a replacement is not by one that comes home.
/// - A reason that comes before the connection is ready counts when it is. Servers that give notice to everybody who comes
///   are not stormed: each notice soon after a handover waits longer.
/// - Messages of a successor are parked. The overlap begins with its first message, and anew with the first that has a number.
///   It ends when both have had their time, all that the old connection has brought was taken, and it has come up to where the
///   successor began, as long as it goes on and there is patience.
/// - A successor that is mute does not take over from a connection that delivers.
///
/// Not thread safe; its owner locks.
package final class Handover {
  /// What options say of it. Times in nanoseconds.
  package final class Rules {
    package var maxAge: Int64 = 0
    package var overlap: Int64 = 1_000_000_000
    package var openTimeout: Int64 = 10_000_000_000
    package var stableTime: Int64 = 10_000_000_000
    package var baseDelay: Int64 = 1_000_000_000
    package var mostDelay: Int64 = 60_000_000_000
    package var jitterPermille = 500
    package var holds = false
    /// By their numbers, copies can be told from what is new.
    package var distinguishesCopies = false

    package init() {}
  }

  package enum Purpose { case homeward, replacement }

  package enum Phase {
    /// There is no successor.
    case resting
    /// The application has something to do first.
    case held(Purpose)
    /// The successor is being made.
    case dialing(Purpose)
    /// It is open, and not ready.
    case settling(Purpose)
    /// It is ready, and both deliver.
    case overlapping(Overlap)
  }

  /// While both deliver. Times are 0 before that what they are of has happened.
  package struct Overlap {
    /// When the successor was ready; what the connection before has brought since `proofAt` proves that a mute one is mute.
    package fileprivate(set) var readyAt: Int64
    fileprivate var proofAt: Int64
    /// The first message that the successor brought, the first with a number, and the last.
    fileprivate var firstDataAt: Int64 = 0
    fileprivate var firstNumberAt: Int64 = 0
    package fileprivate(set) var lastDataAt: Int64 = 0
    /// Since when nothing is waited for but the connection before.
    fileprivate var overAt: Int64 = 0

    fileprivate init(_ now: Int64) {
      readyAt = now
      proofAt = now
    }
  }

  /// Why the server's word has not been followed yet.
  private enum Notice {
    case none
    /// It came before the connection was ready.
    case early
    /// What follows from it is planned.
    case planned
  }

  package enum Event {
    /// The time that was planned has come.
    case due
    /// The server says that the connection is to end.
    case notice
    /// A preferred endpoint can be used again.
    case home(endpoint: Int)
    /// The application's hold is over.
    case released
    /// The limits have a slot for the successor, or none.
    case slot
    case noSlot
    /// The successor is open, or ready.
    case opened
    case ready
    /// It has failed, or the hold before it was not released. `isHopeless`: no other try would do better.
    case failed(isHopeless: Bool)
    /// It is not needed any more.
    case left
    /// The connection that serves is over, or was left.
    case ended
  }

  /// What the connection that serves is like at this moment.
  package struct Sight {
    package var isReady = true
    /// Something of it waits for the consumer, or for the loop's next turn.
    package var hasUnread = false
    /// A frame of it is written in part.
    package var isCut = false
    package var endpoint = 0
    /// A better one, for a replacement.
    package var better: Int?
    /// The last data, and the last message with a number.
    package var lastDataAt: Int64 = 0
    package var lastNumberAt: Int64 = 0
    /// It has brought all that comes before what the successor began with.
    package var hasReachedJoints = true

    package init() {}
  }

  /// What is to be done.
  package enum Step {
    case nothing
    /// The application's hold begins.
    case hold
    /// A slot is to be asked for, and a connection to `endpoint` to be made.
    case connect
    /// `due` is to come then.
    case plan(at: Int64)
    /// The way home is to be tried later.
    case returnLater
    case takeOver
    /// The successor is mute, and is to be left.
    case leaveMute
  }

  /// The tickets of the limits are for those in need: a successor that finds none waits so long.
  static let gatePause: Int64 = 500_000_000
  /// So often a handover that waits is looked at.
  static let look: Int64 = 100_000_000
  /// So long a connection that is behind may be silent and still be waited for, if the overlap is not longer.
  static let catchUpPause: Int64 = 500_000_000

  package let rules: Rules
  package private(set) var phase = Phase.resting
  package private(set) var cause: Literal = ""
  package private(set) var endpoint = 0
  private var notice = Notice.none
  /// The pauses between notices that follow one another, and between tries.
  private var notices: Backoff
  private var tries: Backoff
  private var tookOverAt: Int64 = 0
  /// The hold is over, and the limits had no slot then.
  private var isReleased = false

  /// Where the successor has begun.
  package var joints = Joints()
  /// What the successor has brought so far.
  private var parked: MessageQueue?

  package init(_ rules: Rules) {
    self.rules = rules
    notices = Backoff(
      base: rules.baseDelay, maximum: rules.mostDelay, jitterPermille: rules.jitterPermille, limit: 0,
      stableAfter: rules.stableTime)
    tries = notices
  }

  /// What the successor is for; nil without one.
  package var purpose: Purpose? {
    switch phase {
    case .resting: nil
    case .held(let purpose), .dialing(let purpose), .settling(let purpose): purpose
    case .overlapping: .replacement
    }
  }

  package var isResting: Bool { if case .resting = phase { true } else { false } }

  // MARK: Events

  /// What does not fit the phase changes nothing.
  package func handle(_ event: Event, _ sight: Sight, _ now: Int64, random: () -> UInt64) -> Step {
    switch (event, phase) {
    case (.due, .overlapping(var overlap)):
      let step = judge(&overlap, sight, now)
      phase = .overlapping(overlap)
      return step
    case (.due, _): return replace(cause, sight, now)
    case (.notice, _): return noticed(sight, now, random)
    case (.home(let better), .resting):
      endpoint = better
      return begin(.homeward)
    case (.released, .held(let purpose)):
      isReleased = true
      return dial(purpose)
    case (.slot, .dialing):
      isReleased = false
      return .nothing
    case (.noSlot, .dialing(.homeward)):
      phase = .resting
      isReleased = false
      return .returnLater
    case (.noSlot, .dialing(.replacement)):
      phase = .resting
      return .plan(at: now &+ Handover.gatePause)
    case (.opened, .dialing(let purpose)):
      phase = .settling(purpose)
      return purpose == .homeward ? .takeOver : .nothing
    case (.ready, .settling(.replacement)):
      phase = .overlapping(Overlap(now))
      return .plan(at: saturatingSum(now, rules.overlap))
    case (.failed, .resting): return .nothing
    case (.failed(let isHopeless), _): return failed(isHopeless, now, random)
    case (.left, _):
      phase = .resting
      return .nothing
    case (.ended, _):
      phase = .resting
      notice = .none
      isReleased = false
      return .nothing
    default: return .nothing
    }
  }

  private func begin(_ purpose: Purpose) -> Step {
    if !rules.holds || isReleased { return dial(purpose) }
    phase = .held(purpose)
    return .hold
  }

  private func dial(_ purpose: Purpose) -> Step {
    phase = .dialing(purpose)
    return .connect
  }

  private func failed(_ isHopeless: Bool, _ now: Int64, _ random: () -> UInt64) -> Step {
    defer { phase = .resting }
    if purpose == .homeward { return .returnLater }
    // The present one serves on; what follows its end meets the same.
    return isHopeless ? .nothing : .plan(at: saturatingSum(now, tries.nextDelay(random: random()) ?? rules.mostDelay))
  }

  // MARK: Reasons

  /// A connection serves from now on; it was opened then.
  package func served(_ now: Int64, openedAt: Int64, random: () -> UInt64) -> Step {
    if case .early = notice {
      notice = .planned
      cause = "notice"
      return .plan(at: saturatingSum(now, noticeDelay(now, random)))
    }
    if rules.maxAge == 0 { return .nothing }
    cause = "max_age"
    // Not all clients at once.
    let early = Int64(truncatingIfNeeded: random() % UInt64(rules.maxAge / 20 &+ 1))
    return .plan(at: saturatingSum(openedAt, rules.maxAge &- early))
  }

  private func noticed(_ sight: Sight, _ now: Int64, _ random: () -> UInt64) -> Step {
    if case .planned = notice { return .nothing }
    let delay = !sight.isReady || !isResting ? 0 : noticeDelay(now, random)
    if delay == 0 { return replace("notice", sight, now) }
    notice = .planned
    cause = "notice"
    return .plan(at: saturatingSum(now, delay))
  }

  /// A server may give notice to everybody who comes: it must not be stormed.
  private func noticeDelay(_ now: Int64, _ random: () -> UInt64) -> Int64 {
    if tookOverAt > 0 && now &- tookOverAt < rules.stableTime {
      return notices.nextDelay(random: random()) ?? rules.mostDelay
    }
    notices.reset()
    return 0
  }

  private func replace(_ why: Literal, _ sight: Sight, _ now: Int64) -> Step {
    if !sight.isReady {
      notice = .early
      return .nothing
    }
    switch purpose {
    // The one that is being made is as good, unless it comes to nothing.
    case .replacement: return .nothing
    case .homeward:
      cause = why
      return .plan(at: now &+ Handover.gatePause)
    case nil: break
    }
    notice = .none
    cause = why
    endpoint = sight.better ?? sight.endpoint
    return begin(.replacement)
  }

  // MARK: The overlap

  /// A message of the successor.
  package func park(_ message: Inbound.Arrival, hasNumber: Bool, _ now: Int64) -> Step {
    let parked = self.parked ?? MessageQueue()
    self.parked = parked
    parked.append(
      kind: message.kind, flags: message.flags, payload: message.payload, receivedAt: message.receivedAt,
      expected: message.payload.count)
    // What comes before it is ready may be an answer to a subscription.
    guard case .overlapping(var overlap) = phase else { return .nothing }
    let isFirst = overlap.firstDataAt == 0
    let isFirstNumber = hasNumber && overlap.firstNumberAt == 0
    overlap.lastDataAt = now
    if isFirst { overlap.firstDataAt = now }
    if isFirstNumber { overlap.firstNumberAt = now }
    phase = .overlapping(overlap)
    if isFirst && !rules.distinguishesCopies { return .plan(at: now) }
    return isFirst || isFirstNumber ? .plan(at: saturatingSum(now, rules.overlap)) : .nothing
  }

  /// What had arrived by now of either connection was read, however long this process did not run.
  private func judge(_ overlap: inout Overlap, _ sight: Sight, _ now: Int64) -> Step {
    if sight.hasUnread {
      // What it has brought and nobody has taken yet comes before anything of the successor.
      overlap.overAt = 0
      overlap.proofAt = now
      return .plan(at: now &+ Handover.look)
    }
    let patience = max(rules.openTimeout, rules.overlap)
    // One that is mute does not follow one that delivers. What came at about the time when it was ready is no proof.
    let countsNumbers = rules.distinguishesCopies && sight.lastNumberAt > overlap.proofAt
    let isMute = (countsNumbers ? overlap.firstNumberAt : overlap.firstDataAt) == 0
    let last = countsNumbers ? sight.lastNumberAt : sight.lastDataAt
    if isMute && last > overlap.proofAt {
      if now &- overlap.proofAt < patience { return .plan(at: saturatingSum(now, max(rules.overlap, Handover.look))) }
      if last > saturatingSum(overlap.proofAt, rules.overlap) { return .leaveMute }
    }
    if overlap.overAt == 0 { overlap.overAt = now }
    if now &- overlap.overAt < patience, sight.isCut || isCatchingUp(sight, now) { return .plan(at: now &+ Handover.look) }
    return .takeOver
  }

  /// It is behind the successor, and goes on bringing what that one does not have. Its pings prove nothing: a feed that is mute
  /// has those, too.
  private func isCatchingUp(_ sight: Sight, _ now: Int64) -> Bool {
    let pause = max(rules.overlap, Handover.catchUpPause)
    return rules.distinguishesCopies && now &- sight.lastNumberAt < pause && !sight.hasReachedJoints
  }

  // MARK: The change

  /// The successor serves from now on. `hasNotice`: its server has told it that it is to end. Gives what there was of an overlap.
  @discardableResult
  package func tookOver(_ now: Int64, hasNotice: Bool) -> Overlap? {
    defer { phase = .resting }
    notice = hasNotice ? .early : .none
    tookOverAt = now
    tries.reset()
    if case .overlapping(let overlap) = phase { return overlap }
    return nil
  }

  package var parkedBytes: Int { parked?.bytes ?? 0 }

  /// What was parked, if anything, is the caller's.
  package func takeParked() -> MessageQueue? {
    defer { parked = nil }
    return parked
  }
}
