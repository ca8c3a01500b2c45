// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// What became of the messages.
extension Outbound {
  // MARK: Frames

  /// Bytes of frames were written. True if somebody is to be told, with `settled`.
  @inline(__always)
  package func settle(_ ledger: inout FrameLedger) -> Bool {
    counts.sent &+= ledger.settle(journal)
    return emitsFates || !waiting.isEmpty
  }

  @inline(never)
  package func settled(_ ledger: inout FrameLedger) {
    if emitsFates {
      for id in ledger.takeReported() { outbox.book.report(id: id, fate: .sent) }
      emitReports()
    }
    if waiting.contains(.flushers) {
      waiting.remove(.flushers)
      actions.notify()
    }
    // What is written is not in the journal any more.
    if journal != nil { giveRoom() }
  }

  /// All bytes of the frames are about to be given away.
  @inline(__always)
  package func begin(_ ledger: inout FrameLedger) { if let journal { ledger.begin(journal) } }

  /// So many bytes behind the last written one, and what is before, may reach the peer; the other messages are as before.
  @inline(__always)
  package func begun(_ ledger: inout FrameLedger, upTo bytes: @autoclosure () -> Int) {
    if let journal { ledger.takeBackBegun(journal, beyond: bytes()) }
  }

  /// The connection has ended within the frame.
  package func cut(_ entry: FrameEntry) {
    if entry.isMessage { outbox.book.discard(id: entry.id, flags: entry.flags, cause: .connection) }
  }

  /// Between this and `endReturn` only `returned` is allowed, oldest first.
  package func beginReturn() { outbox.beginPutBack() }

  /// No byte of the frame was written. `isEnding`: with it ends what is for this connection only.
  package func returned(_ entry: FrameEntry, _ payload: UnsafeRawBufferPointer, isEnding: Bool) {
    if isEnding && entry.flags.contains(.liveOnly) {
      outbox.book.discard(id: entry.id, flags: entry.flags, cause: .notLive)
      return
    }
    if entry.flags.contains(.journaled) { journal?.queuedAgain(entry.id) }
    outbox.putBack(
      OutboxMessage(
        id: entry.id, kind: entry.kind, flags: entry.flags, payload: payload, expiresAt: entry.expiresAt,
        acceptedAt: entry.acceptedAt))
  }

  package func endReturn() { outbox.endPutBack() }

  /// A call waits for fates: it is told of the next one.
  package func awaitFates() { waiting.insert(.flushers) }

  // MARK: Told

  /// The fates that were asked for and are known.
  func emitReports() {
    let reports = outbox.book.takeReports()
    if reports.isEmpty { return }
    for fate in reports { actions.event(Event.fate(id: fate.id, fate: fate.fate.name), isKept: false) }
    actions.wake()
  }

  package var hasNews: Bool { outbox.book.hasNews }

  /// Tells what was discarded, ten times a second at most when it comes in drops. `cause`: what has taken messages along,
  /// told at once. `hasRoom`: there is room for events; what finds none is told later, in one sum.
  package func tellLosses(_ cause: String, _ now: Int64, hasRoom: Bool) {
    guard hasNews else { return }
    if cause.hasNoBytes && now < nextLossesAt { return actions.lookAgain(.losses, at: nextLossesAt) }
    nextLossesAt = now &+ Outbound.announcePause
    if !rules.emitsEvents || hasRoom { emitLosses(cause) }
    if emitsFates { emitReports() }
    if waiting.contains(.flushers) { tellWaiting() }
    if rules.emitsEvents { actions.wake() }
  }

  private func emitLosses(_ cause: String) {
    for news in outbox.book.takeDiscarded() {
      var why = cause
      switch news.cause {
      case .oldest: why = "drop_oldest"
      case .newest: why = "drop_newest"
      case .purged: why = "purge"
      case .expired: why = "time to live"
      case .notLive: why = "live_only: the connection ended before they were written"
      case .connection: if why.hasNoBytes { why = "the connection ended before they were written" }
      }
      if rules.emitsEvents {
        actions.event(
          Event.dropped(
            news.cause.fate.name, messages: Int(truncatingIfNeeded: news.count), firstID: news.firstID, lastID: news.lastID,
            cause: why, ids: journal?.newsOf(news.cause.fate, cause: news.cause.rawValue)))
      }
      actions.log(.warning, "\(news.count) messages \(news.cause.fate.name): \(why)")
    }
    if rules.emitsEvents { actions.told(ofDoubts: false) }
  }
}
