// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// What an earlier process left, and what the application has to hear of before the journal forgets it.
extension Outbound {
  // MARK: At the start

  /// Takes over what is in the file. Before anything else.
  package func take(_ opened: Journal, _ moment: Moment) {
    journal = opened
    journalMark = .journaled
    outbox.book.journal = opened
    opened.keepsNews = rules.emitsEvents
    let found = opened.recover()
    lastID = opened.lastID
    var queued = Journal.Rows()
    let expired = putBackAll(opened, found, &queued, moment)
    counts.accepted &+= found.failed
    outbox.book.failedBefore(count: found.failed)
    counts.recovered = UInt64(outbox.count)
    counts.inDoubt = found.inDoubt.count
    if outbox.count > 0 || expired.count + found.dropped.count + found.inDoubt.count + found.unlisted + found.cutBytes > 0 {
      tell(found, queued, expired)
    }
    // Of those in doubt.
    emitReports()
  }

  /// Those that have expired, those of the process before included.
  private func putBackAll(_ journal: Journal, _ found: Journal.Recovery, _ queued: inout Journal.Rows, _ moment: Moment) -> Journal.Rows {
    var expired = found.expired
    var id: UInt64 = 0
    outbox.beginPutBack()
    while let record = journal.record(after: id) {
      id = record.id
      let flags = record.flags.intersection(.report).union(.journaled)
      if flags.contains(.report) { emitsFates = true }
      counts.accepted &+= 1
      if record.isInDoubt {
        outbox.book.failedBefore(id: id, flags: flags)
        continue
      }
      let expiresAt = Outbound.expiry(record, moment)
      if expiresAt <= moment.now {
        expired.add(id, id)
        outbox.book.discard(id: id, flags: flags, cause: .expired)
        continue
      }
      queued.add(id, id)
      let (age, isAbsurd) = moment.realtime.subtractingReportingOverflow(record.acceptedAt)
      outbox.putBack(
        OutboxMessage(
          id: id, kind: record.kind, flags: flags, payload: record.payload, expiresAt: expiresAt,
          acceptedAt: isAbsurd || age < 0 ? moment.now : moment.now &- age))
    }
    outbox.endPutBack()
    return expired
  }

  /// The end of a time to live, which the file has by the clock on the wall. When that was set back nobody knows how old
  /// the message is: it must not leave late. Small corrections of a clock are no reason.
  private static func expiry(_ record: Journal.Record, _ moment: Moment) -> Int64 {
    if record.expiresAt == .max { return .max }
    let (left, isAbsurd) = record.expiresAt.subtractingReportingOverflow(moment.realtime)
    let (whole, isEndless) = record.expiresAt.subtractingReportingOverflow(record.acceptedAt)
    if isAbsurd || left <= 0 || saturatingSum(moment.realtime, 1_000_000_000) < record.acceptedAt { return moment.now }
    return saturatingSum(moment.now, isEndless || whole < 0 || left < whole ? left : whole)
  }

  private func tell(_ found: Journal.Recovery, _ queued: Journal.Rows, _ expired: Journal.Rows) {
    var most: Sentence = "null"
    if let messages = found.cutMessages { most = "\(messages)" }
    actions.event(
      Event.journal(
        recovered: outbox.count, expired: Int(truncatingIfNeeded: expired.count),
        inDoubt: Int(truncatingIfNeeded: found.inDoubt.count), firstInDoubt: found.inDoubt.rows.first?.first ?? 0,
        inDoubtIds: found.inDoubt, cutBytes: Int(truncatingIfNeeded: found.cutBytes),
        cutMessages: found.cutMessages.map { Int(truncatingIfNeeded: $0) }, recoveredIds: queued, expiredIds: expired,
        dropped: Int(truncatingIfNeeded: found.dropped.count), droppedIds: found.dropped,
        unlisted: Int(truncatingIfNeeded: found.unlisted)))
    let isBad = found.inDoubt.count > 0 || found.cutBytes > 0
    // Once the application has accepted a message and taken this, the file forgets it.
    if rules.emitsEvents && journal?.hasNews == true {
      journal?.keepsInDoubt = true
      actions.told(ofDoubts: true)
    }
    var line: Sentence =
      "the journal: \(outbox.count) messages to send, \(expired.count) expired, \(found.dropped.count) dropped, \(found.inDoubt.count) in doubt, \(found.cutBytes) damaged bytes cut off"
    if found.cutMessages != 0 { line.add(found.cutMessages == nil ? " with messages" : " with at most \(most) messages") }
    actions.log(isBad ? .warning : .info, line)
  }

  // MARK: What the application has to hear

  /// Events between the messages of which the journal has to know whether the application took them.
  struct Announced {
    /// Messages to take up to the last of those events.
    var ahead: Int
    /// The number of that event.
    var sequence: UInt64
    /// That number is not final: how many come before it is not known.
    var isBehindFront = false
    var hasDoubts = false
    /// They tell of messages that were discarded.
    var hasNews = false
  }

  package var hasAnnounced: Bool { announced != nil }

  /// The event that was put last between the messages tells of messages in doubt, or of all that were discarded so far. `ahead`
  /// messages are to be taken up to it, and it has the number `sequence`; `isBehindFront`: both are not known yet.
  package func noteAnnounced(ofDoubts: Bool, ahead: Int, sequence: UInt64, isBehindFront: Bool) {
    guard let journal else { return }
    if !ofDoubts { journal.newsIsQueued() }
    announced = Announced(
      ahead: isBehindFront ? .max : ahead, sequence: sequence, isBehindFront: isBehindFront,
      hasDoubts: ofDoubts || announced?.hasDoubts == true, hasNews: !ofDoubts || announced?.hasNews == true)
  }

  /// Until all of the front is taken nobody knows how many messages stand before it.
  package func frontBegins() { announced?.ahead = .max }

  /// So many messages and events stood in the front; `ahead` now stand before the event, or behind it.
  package func frontEnds(passed: UInt64, ahead: Int) {
    guard announced?.isBehindFront == true else { return }
    announced?.sequence &+= passed
    announced?.isBehindFront = false
    announced?.ahead = ahead
  }

  package func taken(_ count: Int) { announced?.ahead &-= count }

  /// The application asks for more: it has what it took before.
  package func noteTaken(hasAll: Bool) {
    guard let told = announced, !acknowledges, told.ahead <= 0 || hasAll else { return }
    settle(told)
  }

  /// The application has what is numbered up to there.
  package func acknowledge(_ sequence: UInt64) {
    acknowledges = true
    if let told = announced, !told.isBehindFront, told.sequence <= sequence { settle(told) }
  }

  private func settle(_ told: Announced) {
    announced = nil
    if told.hasDoubts { journal?.doubtsAreTold() }
    if told.hasNews { journal?.newsIsTaken() }
  }
}
