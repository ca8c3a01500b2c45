// SPDX-License-Identifier: Apache-2.0

/// Keeps the books on discarded messages: totals for the statistics, and what the owner has not announced yet.
package struct FateBook {
  /// Since the beginning.
  package private(set) var dropped: UInt64 = 0
  package private(set) var expired: UInt64 = 0
  package private(set) var failed: UInt64 = 0
  /// Of the dropped ones, by cause.
  package private(set) var droppedOldest: UInt64 = 0
  package private(set) var droppedNewest: UInt64 = 0
  package private(set) var purged: UInt64 = 0
  /// Whether `takeDiscarded` has something to tell.
  package private(set) var hasNews = false

  /// Learns that a message is done.
  package var journal: Journal?

  /// One for each cause, in the order of their raw values.
  private var recent: [Discarded] = []
  private var reports: [FateReport] = []

  package init() {}

  package mutating func discard(id: UInt64, flags: OutboxFlags, cause: DiscardCause) {
    let fate = cause.fate
    switch fate {
    case .dropped:
      dropped &+= 1
      switch cause {
      case .oldest: droppedOldest &+= 1
      case .newest: droppedNewest &+= 1
      default: purged &+= 1
      }
    case .expired: expired &+= 1
    case .failed: failed &+= 1
    case .sent: break
    }
    if !flags.isDisjoint(with: [.report, .journaled]) { settle(id, flags, cause) }
    if recent.isEmpty { makeRecent() }
    hasNews = true
    let place = Int(cause.rawValue)
    if recent[place].count == 0 || id < recent[place].firstID { recent[place].firstID = id }
    if recent[place].count == 0 || id > recent[place].lastID { recent[place].lastID = id }
    recent[place].count &+= 1
  }

  private mutating func settle(_ id: UInt64, _ flags: OutboxFlags, _ cause: DiscardCause) {
    if flags.contains(.journaled) {
      journal?.discarded(id, cause.fate, cause: cause.rawValue)
    }
    if flags.contains(.report) { reports.append(FateReport(id: id, fate: cause.fate)) }
  }

  /// A message of an earlier process, which another event tells of.
  package mutating func failedBefore(id: UInt64, flags: OutboxFlags) {
    failed &+= 1
    if flags.contains(.report) { reports.append(FateReport(id: id, fate: .failed)) }
  }

  /// So many messages of an earlier process, cut by the end of a connection.
  package mutating func failedBefore(count: UInt64) { failed &+= count }

  private mutating func makeRecent() {
    for raw in 0..<UInt8(DiscardCause.count) {
      guard let cause = DiscardCause(rawValue: raw) else { continue }
      recent.append(Discarded(cause: cause, count: 0, firstID: 0, lastID: 0))
    }
  }

  /// For a fate that is known elsewhere: that the message was sent.
  package mutating func report(id: UInt64, fate: Fate) { reports.append(FateReport(id: id, fate: fate)) }

  /// What was discarded since the last call; without news an empty array, which costs nothing.
  package mutating func takeDiscarded() -> [Discarded] {
    if !hasNews { return [] }
    hasNews = false
    var taken: [Discarded] = []
    for place in 0..<recent.count where recent[place].count > 0 {
      taken.append(recent[place])
      recent[place].count = 0
    }
    return taken
  }

  /// The fates that were asked for and are known since the last call, in the order in which they came to be.
  package mutating func takeReports() -> [FateReport] {
    if reports.isEmpty { return [] }
    let taken = reports
    reports = []
    return taken
  }
}
