// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport

/// A journal and its file, before a client has them.
struct OpenJournal {
  let file: JournalFile
  let journal: Journal

  static func open(_ path: String, size: Int) throws(TransportError) -> OpenJournal {
    let file = try JournalFile.open(path)
    var capacity = JournalFormat.capacity(ofFile: size)
    if file.size == 0 {
      var salt: UInt64 = 0
      withUnsafeMutableBytes(of: &salt) { bytes in
        if let start = bytes.baseAddress { psys_random(start, bytes.count) }
      }
      try file.begin(with: JournalFormat.firstPage(capacity: capacity, salt: salt))
    } else {
      let page = try file.read(JournalFormat.pageSize)
      switch page.withUnsafeBytes({ JournalFormat.inspect($0) }) {
      case .journal(let found): capacity = found
      case .foreign: throw file.problem("is not a journal; it is left as it is")
      case .otherVersion(let version):
        throw file.problem("has version \(Int(version)) of the format; allowed: \(Int(JournalFormat.version))")
      case .damaged: throw file.problem("is damaged in its first bytes; it is left as it is")
      }
    }
    let memory = try file.map(JournalFormat.pageSize + capacity)
    return OpenJournal(file: file, journal: Journal(memory, capacity: capacity, owner: file))
  }
}

/// The outbox on disk. `mutex` is held.
extension Client {
  // MARK: What an earlier process left

  /// Before the client is known to anybody else.
  func take(_ opened: OpenJournal) {
    mutex.lock()
    defer { mutex.unlock() }
    let journal = opened.journal
    journalFile = opened.file
    self.journal = journal
    journalMark = .journaled
    outbox.book.journal = journal
    journal.keepsNews = emitsEvents
    let found = journal.recover()
    lastID = journal.lastID
    let realtime = Clock.realtime()
    let now = Clock.monotonic()
    var id: UInt64 = 0
    var expired = found.expired
    var queued = Journal.Rows()
    outbox.beginPutBack()
    while let record = journal.record(after: id) {
      id = record.id
      let flags = record.flags.intersection(.report).union(.journaled)
      if flags.contains(.report) { emitsFates = true }
      statistics.messagesAccepted &+= 1
      if record.isInDoubt {
        outbox.book.failedBefore(id: id, flags: flags)
        continue
      }
      let expiresAt = Client.monotonic(record, realtime, now)
      if expiresAt <= now {
        expired.add(id, id)
        outbox.book.discard(id: id, flags: flags, cause: .expired)
        continue
      }
      queued.add(id, id)
      let (age, isAbsurd) = realtime.subtractingReportingOverflow(record.acceptedAt)
      outbox.putBack(
        OutboxMessage(
          id: id, kind: record.kind, flags: flags, payload: record.payload, expiresAt: expiresAt,
          acceptedAt: isAbsurd || age < 0 ? now : now &- age))
    }
    outbox.endPutBack()
    statistics.messagesAccepted &+= found.failed
    outbox.book.failedBefore(count: found.failed)
    statistics.journalRecovered = UInt64(outbox.count)
    statistics.journalInDoubt = found.inDoubt.count
    if outbox.count > 0 || expired.count + found.dropped.count + found.inDoubt.count + found.unlisted + found.cutBytes > 0 {
      emitJournal(found, queued, expired)
    }
    announceLosses("")
    rescheduleFlow()
  }

  /// The end of a time to live, which the file has by the clock on the wall. When that was set back nobody knows how old
  /// the message is: it must not leave late. Small corrections of a clock are no reason.
  private static func monotonic(_ record: Journal.Record, _ realtime: Int64, _ now: Int64) -> Int64 {
    if record.expiresAt == .max { return .max }
    let (left, isAbsurd) = record.expiresAt.subtractingReportingOverflow(realtime)
    let (whole, isEndless) = record.expiresAt.subtractingReportingOverflow(record.acceptedAt)
    if isAbsurd || left <= 0 || Clock.deadline(realtime, after: 1_000_000_000) < record.acceptedAt { return now }
    return Clock.deadline(now, after: isEndless || whole < 0 || left < whole ? left : whole)
  }

  private func emitJournal(_ found: Journal.Recovery, _ queued: Journal.Rows, _ expired: Journal.Rows) {
    var most: Sentence = "null"
    if let messages = found.cutMessages { most = "\(messages)" }
    emit(
      Event.journal(
        recovered: outbox.count, expired: Int(truncatingIfNeeded: expired.count),
        inDoubt: Int(truncatingIfNeeded: found.inDoubt.count), firstInDoubt: found.inDoubt.rows.first?.first ?? 0,
        inDoubtIds: found.inDoubt, cutBytes: Int(truncatingIfNeeded: found.cutBytes),
        cutMessages: found.cutMessages.map { Int(truncatingIfNeeded: $0) }, recoveredIds: queued, expiredIds: expired,
        dropped: Int(truncatingIfNeeded: found.dropped.count), droppedIds: found.dropped,
        unlisted: Int(truncatingIfNeeded: found.unlisted)))
    let isBad = found.inDoubt.count > 0 || found.cutBytes > 0
    // Once the application has accepted a message and taken this, the file forgets it.
    if emitsEvents && journal?.hasNews == true {
      journal?.keepsInDoubt = true
      noteAnnounced(ofDoubts: true)
    }
    log(isBad ? .warning : .info) {
      "the journal: \(self.outbox.count) messages to send, \(expired.count) expired, \(found.dropped.count) dropped, "
        + "\(found.inDoubt.count) in doubt, \(found.cutBytes) damaged bytes cut off"
        + (found.cutMessages == 0 ? "" : found.cutMessages == nil ? " with messages" : " with at most \(most) messages")
    }
  }

  // MARK: What the application has to hear

  /// Events in the inbox of which the journal has to know whether the application took them.
  struct Announced {
    /// Messages to take up to the last of those events.
    var ahead: Int
    /// The number of that event.
    var sequence: UInt64
    /// That number is not final: how many come before it is not known.
    var isBehindTail = false
    var hasDoubts = false
    /// They tell of messages that were discarded.
    var hasNews = false
  }

  /// The event that was put into the inbox last tells of messages in doubt, or of all that were discarded so far.
  func noteAnnounced(ofDoubts: Bool) {
    guard let journal else { return }
    if !ofDoubts { journal.newsIsQueued() }
    announced = Announced(
      ahead: inbound.front == nil ? inbound.queue.count : .max, sequence: inbound.queue.lastSequence, isBehindTail: inbound.front != nil,
      hasDoubts: ofDoubts || announced?.hasDoubts == true, hasNews: !ofDoubts || announced?.hasNews == true)
  }

  /// The application asks for more: it has what it took before.
  func noteTaken() {
    guard let told = announced, !acknowledges, told.ahead <= 0 || inbound.isEmpty else { return }
    settle(told)
  }

  /// The application has what is numbered up to there.
  package func acknowledge(_ sequence: UInt64) {
    mutex.lock()
    defer { mutex.unlock() }
    acknowledges = true
    if let told = announced, !told.isBehindTail, told.sequence <= sequence { settle(told) }
  }

  private func settle(_ told: Announced) {
    announced = nil
    if told.hasDoubts { journal?.doubtsAreTold() }
    if told.hasNews { journal?.newsIsTaken() }
  }

  // MARK: Sending

  @inline(__always)
  func journalHasRoom(_ flags: OutboxFlags, _ count: Int) -> Bool {
    guard let journal, flags.contains(.journaled) else { return true }
    return journal.hasRoom(for: count)
  }

  /// Whether the message will be accepted without making room for it.
  func hasRoom(_ flags: OutboxFlags, _ count: Int) -> Bool { outbox.hasRoom(for: count) && journalHasRoom(flags, count) }

  /// What a full journal does is what a full outbox does.
  func makeJournalRoom(_ flags: OutboxFlags, _ count: Int, now: Int64) -> Outbox.Admission {
    if journalHasRoom(flags, count) { return .accepted }
    outbox.expire(now: now)
    while !journalHasRoom(flags, count) {
      switch options.messageQueuePolicy {
      case .dropOldest:
        // One on its way can't be dropped, and what is behind it gives no room.
        guard let front = outbox.front(now: now), front.id == journal?.oldestID else {
          return journalHasRoom(flags, count) ? .accepted : .full
        }
        outbox.dropOldest(now: now)
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
  func keep(_ kind: UInt32, _ payload: UnsafeRawBufferPointer, flags: OutboxFlags, expiresAt: Int64) -> Bool {
    guard let journal else { return true }
    if !flags.contains(.journaled) {
      journal.skip(lastID &+ 1)
      return true
    }
    // Some milliseconds do not matter over the end of a process.
    let realtime = psys_realtime_coarse_ns()
    let end = expiresAt == .max ? .max : Clock.deadline(realtime, after: max(0, expiresAt &- Clock.monotonic()))
    return journal.append(
      id: lastID &+ 1, kind: kind, flags: flags.intersection(.report), payload: payload, acceptedAt: realtime,
      expiresAt: end)
  }

  /// Messages were written, so that there may be room again.
  func journalMoved() {
    if sendersWait || roomIsAwaited { giveRoom() }
  }

  /// Less than half of it is in use.
  var journalIsHalfFree: Bool {
    guard let journal else { return true }
    return journal.usedBytes <= journal.ringBytes / 2
  }

  // MARK: The end

  /// What is still queued is there for the next client.
  func keepQueued() {
    outbox.removeAll(withFlags: .liveOnly, cause: .connection)
    announceLosses("the client has ended")
    if !keepsQueued && !outbox.isEmpty {
      emit(Event.journalKept(messages: outbox.count))
      log(.info) { "\(self.outbox.count) messages stay in the journal" }
    }
    keepsQueued = true
    journal?.save()
    if isClosedForGood && life == .ended { releaseJournal() }
  }

  /// The next client may have it.
  func releaseJournal() {
    journal?.save()
    outbox.book.journal = nil
    journal = nil
    journalFile?.close()
    journalFile = nil
  }
}
