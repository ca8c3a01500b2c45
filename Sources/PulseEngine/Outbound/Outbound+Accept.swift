// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// From the application to the outbox, or past it.
extension Outbound {
  /// What becomes of a message.
  package enum Verdict {
    /// It is accepted: its frame is to be made now, with `lastID`.
    case frame
    /// It waits, or its policy has dropped it.
    case queued
    /// Its sender may wait until then for the limits.
    case wait(until: Int64)
    case full
  }

  /// A message that is framed at once, with `lastID`; the connection has room. False if it has to go another way.
  @inline(__always)
  package func acceptsDirect(
    _ kind: UInt32, _ payload: UnsafeRawBufferPointer, expiresAt: Int64, _ moment: @autoclosure () -> Moment
  ) -> Bool {
    guard outbox.isEmpty,
      journalMark.isEmpty || write(kind, payload, flags: journalMark, expiresAt: expiresAt, moment())
    else { return false }
    accept()
    return true
  }

  @inline(__always)
  private func accept() {
    lastID &+= 1
    counts.accepted &+= 1
  }

  /// The flags that it has in the outbox; nil if the journal can't ever take it.
  @inline(__always)
  package func flags(of wanted: OutboxFlags, _ count: Int) -> OutboxFlags? {
    if wanted.contains(.report) { emitsFates = true }
    guard let journal, !wanted.contains(.liveOnly) else { return wanted }
    return journal.fits(count) ? wanted.union(.journaled) : nil
  }

  /// A login of the application's, which goes before all and is no matter for the journal.
  package func acceptFirst(_ now: Int64) {
    journal?.skip(lastID &+ 1)
    accept()
    limiter?.note(now)
  }

  /// A message that leaves at once or waits in the limits, and not in the outbox; the way is open. `takesNow`: there is room
  /// for its frame.
  package func acceptInLimit(
    _ kind: UInt32, _ payload: UnsafeRawBufferPointer, flags: OutboxFlags, expiresAt: Int64, takesNow: Bool, _ moment: Moment
  ) -> Verdict {
    if !journalHasRoom(flags, payload.count) { return refuse() }
    let now = moment.now
    let isNext = outbox.isEmpty || flags.contains(.liveOnly)
    if isNext && takesNow && limiter?.admit(now) != false {
      _ = write(kind, payload, flags: flags, expiresAt: expiresAt, moment)
      accept()
      return .frame
    }
    let soonest = limiter?.readyAt(now) ?? now
    return .wait(until: soonest > now ? soonest : now &+ 5_000_000)
  }

  /// Its sender waits in the limits, and not in the outbox.
  @inline(__always)
  package func isLimited(_ flags: OutboxFlags, inLimit: Bool) -> Bool {
    (inLimit || flags.contains(.liveOnly)) && limiter != nil
  }

  package func noteLimitWait() { counts.limitWaits &+= 1 }

  /// Any other message. `takesNow`: the way is direct, and there is room for its frame.
  package func accept(
    _ kind: UInt32, _ payload: UnsafeRawBufferPointer, flags: OutboxFlags, expiresAt: Int64, takesNow: Bool, _ moment: Moment
  ) -> Verdict {
    // A backlog that leaves one by one must not make it late.
    if takesNow, outbox.isEmpty || (flags.contains(.liveOnly) && isPacing(moment.now)),
      journal == nil || write(kind, payload, flags: flags, expiresAt: expiresAt, moment)
    {
      accept()
      return .frame
    }
    return queue(kind, payload, flags: flags, expiresAt: expiresAt, moment)
  }

  /// Whether its sender may wait for room.
  @inline(__always)
  package func waitsForRoom(_ flags: OutboxFlags, _ count: Int) -> Bool { rules.policy == .block && !hasRoom(flags, count) }

  /// For one that waits: whether it need not any more. Else it is told of the next change; what came free may have gone to
  /// another sender.
  package func hasRoomNow(_ flags: OutboxFlags, _ count: Int) -> Bool {
    if hasRoom(flags, count) { return true }
    waiting.insert(.senders)
    return false
  }

  /// The message will be accepted without making room for it.
  private func hasRoom(_ flags: OutboxFlags, _ count: Int) -> Bool { outbox.hasRoom(for: count) && journalHasRoom(flags, count) }

  /// The messages in the outbox wait for their time, not for the network.
  private func isPacing(_ now: Int64) -> Bool { (outbox.front(now: now)?.id ?? .max) <= backlogEnd }

  @inline(__always)
  private func queue(
    _ kind: UInt32, _ payload: UnsafeRawBufferPointer, flags: OutboxFlags, expiresAt: Int64, _ moment: Moment
  ) -> Verdict {
    var admission = journal == nil ? .accepted : makeJournalRoom(flags, payload.count, now: moment.now)
    if admission == .accepted {
      admission = outbox.append(
        id: lastID &+ 1, kind: kind, flags: flags, payload: payload, expiresAt: expiresAt, acceptedAt: moment.now)
      if admission == .accepted, journal != nil { _ = write(kind, payload, flags: flags, expiresAt: expiresAt, moment) }
    }
    if admission == .full { return refuse() }
    // Its id was given out, too.
    if admission == .dropNewest { journal?.skip(lastID &+ 1) }
    accept()
    return .queued
  }

  private func refuse() -> Verdict {
    counts.rejected &+= 1
    waiting.insert(.owner)
    return .full
  }

  // MARK: The journal's part

  private func journalHasRoom(_ flags: OutboxFlags, _ count: Int) -> Bool {
    guard let journal, flags.contains(.journaled) else { return true }
    return journal.hasRoom(for: count)
  }

  /// What a full journal does is what a full outbox does.
  private func makeJournalRoom(_ flags: OutboxFlags, _ count: Int, now: Int64) -> Outbox.Admission {
    if journalHasRoom(flags, count) { return .accepted }
    outbox.expire(now: now)
    while !journalHasRoom(flags, count) {
      switch rules.policy {
      case .dropOldest:
        // Those that have expired go first.
        _ = outbox.front(now: now)
        if journalHasRoom(flags, count) { return .accepted }
        // One on its way can't be dropped, and what is behind it gives no room; nor does what is not in the journal.
        guard let oldest = outbox.firstID(withFlags: .journaled), oldest == journal?.oldestID else { return .full }
        outbox.dropOldest(withFlags: .journaled)
      case .dropNewest:
        outbox.book.discard(id: lastID &+ 1, flags: flags, cause: .newest)
        return .dropNewest
      case .reject, .block:
        return .full
      }
    }
    return .accepted
  }

  /// Writes down the message that gets the next id, or that this id is taken. False if there is no room.
  private func write(
    _ kind: UInt32, _ payload: UnsafeRawBufferPointer, flags: OutboxFlags, expiresAt: Int64, _ moment: Moment
  ) -> Bool {
    guard let journal else { return true }
    if !flags.contains(.journaled) {
      journal.skip(lastID &+ 1)
      return true
    }
    let end = expiresAt == .max ? .max : saturatingSum(moment.realtime, max(0, expiresAt &- moment.now))
    return journal.append(
      id: lastID &+ 1, kind: kind, flags: flags.intersection(.report), payload: payload, acceptedAt: moment.realtime,
      expiresAt: end)
  }
}
