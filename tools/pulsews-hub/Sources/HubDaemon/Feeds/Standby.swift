// SPDX-License-Identifier: Apache-2.0

/// When a feed stands in for another one. Without sockets and without a clock.
struct Standby {
  /// How the other feed is at this moment.
  struct Primary: Equatable {
    /// Connected, subscribed and not stale; or at rest.
    var isUp: Bool
    /// Nobody wants anything of it.
    var isResting = false
    /// How often it was lost or went stale so far.
    var outages: Int
    /// Whether the last time it was for silence.
    var wasMute: Bool
    /// How many messages it has received.
    var messages: UInt64
  }

  enum Step: Equatable {
    case standIn, giveBack
  }

  private let after: Int64
  private let stable: Int64
  private(set) var isServing = false
  private var downSince: Int64?
  private var backSince: Int64?
  private var outages = 0
  /// What it had received when it came back.
  private var messagesWhenBack: UInt64 = 0

  init(_ config: StandbyConfig) {
    after = config.after
    stable = config.stable
  }

  /// The same state by other times.
  func with(_ config: StandbyConfig) -> Standby {
    var next = Standby(config)
    next.isServing = isServing
    next.downSince = downSince
    next.backSince = backSince
    next.outages = outages
    next.messagesWhenBack = messagesWhenBack
    return next
  }

  /// Its time comes without an event then; nil: not before the next change.
  var deadline: Int64? {
    if isServing { return backSince.map { $0 + stable } }
    return downSince.map { $0 + after }
  }

  /// Looks at the other feed, after each of its events and at the deadline.
  mutating func look(_ primary: Primary, now: Int64) -> Step? {
    note(primary, now)
    return isServing ? back(primary, now) : down(primary, now)
  }

  private mutating func note(_ primary: Primary, _ now: Int64) {
    let wasLost = primary.outages != outages
    let hadData = backSince != nil && primary.messages > messagesWhenBack
    outages = primary.outages
    if downSince == nil ? wasLost || !primary.isUp : wasLost && hadData { downSince = now }
    if wasLost || !primary.isUp { backSince = nil }
    if primary.isUp, downSince != nil, backSince == nil {
      backSince = now
      messagesWhenBack = primary.messages
    }
  }

  private mutating func down(_ primary: Primary, _ now: Int64) -> Step? {
    guard let since = downSince else { return nil }
    // After silence a connection alone proves nothing.
    if primary.isUp, !primary.wasMute || primary.isResting || primary.messages > messagesWhenBack {
      downSince = nil
      backSince = nil
    } else if now - since >= after {
      isServing = true
      return .standIn
    }
    return nil
  }

  private mutating func back(_ primary: Primary, _ now: Int64) -> Step? {
    guard let since = backSince, now - since >= stable else { return nil }
    // A connection without data is none that is back.
    if primary.messages <= messagesWhenBack, !primary.isResting {
      backSince = now
      return nil
    }
    isServing = false
    downSince = nil
    backSince = nil
    return .giveBack
  }
}
