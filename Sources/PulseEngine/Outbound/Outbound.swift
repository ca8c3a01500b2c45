// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// What the application wants sent, until its fate is known: the outbox, its pace and limits, ids, fates, times to live, and
/// the journal, the outbox on disk.
///
/// - Each accepted message has the next id, and one fate in the end: sent, dropped, expired or failed. At every moment
///   accepted = sent + dropped + expired + failed + queued.
/// - While the way is open and nothing waits or paces (`isDirect`), a message is framed as it comes. Else it waits in the outbox,
///   in order; a full one does what the policy says.
/// - Messages that waited for the connection are its backlog: they leave one by one, `backlogInterval` apart. No rate limit is
///   ever exceeded, but by what must go out (logins, pongs), for which later messages wait.
/// - With a journal a message is written down before it is framed. Its bytes may reach the peer from the moment on at which
///   they are given to the system: then it is begun, and never sent again by itself.
/// - A frame of which no byte was written goes back to the outbox when its connection ends, unless it is for that one only.
///   One that was cut has failed.
/// - What is discarded is told by an event: in sums ten times a second at most, at once where a reason took many along.
///
/// Not thread safe; its owner locks.
package final class Outbound {
  /// What options say of it. Times in nanoseconds.
  package final class Rules {
    package var limits = Outbox.Limits(count: 1_000, bytes: 16 << 20)
    package var policy = OverflowPolicy.dropOldest
    package var backlogInterval: Int64 = 100_000_000
    package var rateLimits: [RateWindow] = []
    /// Pings and pongs count in the limits.
    package var countsControl = false
    package var emitsEvents = false

    package init() {}
  }

  /// What statistics say of it, beside those of `outbox` and its book.
  package struct Counts {
    package var accepted: UInt64 = 0
    package var sent: UInt64 = 0
    package var rejected: UInt64 = 0
    package var limitWaits: UInt64 = 0
    /// Of an earlier process.
    package var recovered: UInt64 = 0
    package var inDoubt: UInt64 = 0
  }

  /// Who is to be told of a change.
  package struct Waiting: OptionSet {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Calls that wait for room.
    static var senders: Self { Self(rawValue: 1) }
    /// Calls that wait for fates.
    static var flushers: Self { Self(rawValue: 2) }
    /// The owner was refused a message by a full outbox.
    static var owner: Self { Self(rawValue: 4) }
  }

  static let announcePause: Int64 = 100_000_000

  package let rules: Rules
  package let outbox = Outbox()
  let actions: Actions
  /// Its messages have `OutboxFlags.journaled`.
  package internal(set) var journal: Journal?
  /// `OutboxFlags.journaled` with a journal, else none.
  package internal(set) var journalMark: OutboxFlags = []
  /// What the journal keeps until the application has taken the event that tells of it.
  var announced: Announced?
  /// The application says itself what it has taken.
  var acknowledges = false
  /// What is in the outbox stays in the journal; nothing more is sent.
  package private(set) var isKept = false

  var limiter: RateLimiter?
  /// A message may be framed as it comes: the way is open, and nothing paces.
  package private(set) var isDirect = false
  package internal(set) var lastID: UInt64 = 0
  /// Messages up to this one waited for the connection; they leave one by one.
  var backlogEnd: UInt64 = 0
  var nextBacklogAt: Int64 = 0
  /// When the next message may be framed; `.max` if only room or a connection is missing.
  package internal(set) var nextFrameAt = Int64.max
  var waiting: Waiting = []
  /// A message was sent whose fate is to be told.
  var emitsFates = false
  /// When discarded messages are to be told next.
  var nextLossesAt: Int64 = 0
  package internal(set) var counts = Counts()

  package init(_ rules: Rules, _ actions: Actions) {
    self.rules = rules
    self.actions = actions
    outbox.limits = rules.limits
    outbox.policy = rules.policy
    if !rules.rateLimits.isEmpty { limiter = RateLimiter(windows: rules.rateLimits) }
  }

  // MARK: The way

  /// A connection takes messages from now on.
  package func open(_ now: Int64) {
    isDirect = limiter == nil
    backlogEnd = 0
    if rules.backlogInterval == 0 || outbox.isEmpty { return }
    backlogEnd = lastID
    nextBacklogAt = now
  }

  /// None does.
  package func close() {
    isDirect = false
    backlogEnd = 0
  }

  /// The client tries anew after its end: what the journal keeps is to be sent.
  package func resume() { isKept = false }

  // MARK: The end

  /// There is something to send.
  package var hasQueued: Bool { !outbox.isEmpty && !isKept }

  /// `fail` is the end of what waits.
  package var losesQueued: Bool { journal == nil && !outbox.isEmpty }

  /// What is for an open connection only has none.
  package func dropLiveOnly(_ cause: DiscardCause = .notLive) { outbox.removeAll(withFlags: .liveOnly, cause: cause) }

  /// Nothing more is sent. Without a journal all that waits fails; else it is for the next client, after `keep`.
  package func fail() {
    if journal == nil { outbox.removeAll(withFlags: [], cause: .connection) } else { dropLiveOnly(.connection) }
  }

  /// The journal has what waits, for the next client.
  package func keep() {
    guard let journal else { return }
    if !isKept && !outbox.isEmpty {
      actions.event(Event.journalKept(messages: outbox.count))
      actions.log(.info, "\(outbox.count) messages stay in the journal")
    }
    isKept = true
    journal.save()
  }

  /// The next client may have the journal.
  package func release() {
    journal?.save()
    outbox.book.journal = nil
    journal = nil
  }
}
