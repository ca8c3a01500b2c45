// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// From the outbox to the connection, at the pace that is allowed; and what became of the messages. `mutex` is held.
extension Client {
  private static let announcePause: Int64 = 100_000_000

  /// Messages that were accepted and have no fate. A successor may have a login of the application's.
  var queueSize: Int { outbox.count + (connection?.ledger.pending ?? 0) + (successor?.ledger.pending ?? 0) }
  var queueBytes: Int { outbox.bytes + (connection?.output.count ?? 0) + (successor?.output.count ?? 0) }

  /// Frames what may go now on a connection whose frames are all written. True if there is something to write.
  func refill(_ connection: Connection) -> Bool {
    let before = connection.output.count
    let stage = connection.session.stage
    if (subscriptions(of: connection)?.pending ?? 0) > 0 && (stage == .subscribing || stage == .ready)
      && connection.phase == .open
    {
      let isComplete = sendSubscriptions(on: connection)
      if isComplete && stage == .subscribing { advanceSession(on: connection) }
    }
    if !outbox.isEmpty && connection === self.connection { frameQueued(on: connection) }
    return connection.output.count > before
  }

  private func frameQueued(on connection: Connection) {
    guard stage == .ready, connection.brokenWrite == nil, !keepsQueued else { return }
    let isClosing = connection.phase == .closing
    guard isClosing ? connection.pendingClose != nil : connection.phase == .open else { return }
    let now = Clock.monotonic()
    while connection.hasRoom, let message = outbox.front(now: now) {
      let isBacklog = message.id <= backlogEnd && !isClosing
      if isBacklog && now < nextBacklogAt {
        scheduleFlow(at: nextBacklogAt)
        break
      }
      if limiter?.admit(now) == false {
        statistics.rateLimitWaits &+= 1
        scheduleFlow(at: limiter?.readyAt(now) ?? now)
        break
      }
      if isBacklog { nextBacklogAt = Clock.deadline(now, after: options.backlogInterval) }
      connection.encode(
        message.kind == MessageCode.text ? .text : .binary, message.payload, id: message.id, flags: message.flags,
        expiresAt: message.expiresAt)
      outbox.removeFront()
    }
    if outbox.book.hasNews { announceLosses("") }
    giveRoom()
  }

  /// A close has to wait: messages that were accepted before may still go.
  func keepsMessagesBack(for connection: Connection) -> Bool {
    connection === self.connection && stage == .ready && !outbox.isEmpty && !keepsQueued
  }

  /// The outbox has room again for those who wait.
  func giveRoom() {
    if sendersWait && outbox.hasRoom(for: 0) {
      sendersWait = false
      host.notify(waiter)
    }
    // Who has to be told through the descriptor learns it when it is worth the while.
    guard roomIsAwaited, outbox.count <= options.messageQueueSize / 2 && outbox.bytes <= options.messageQueueBytes / 2,
      journalIsHalfFree
    else { return }
    canSendChanged()
  }

  func canSendChanged() {
    if sendersWait || flushersWait {
      sendersWait = false
      flushersWait = false
      host.notify(waiter)
    }
    if roomIsAwaited {
      roomIsAwaited = false
      signalDescriptor()
    }
  }

  // MARK: Time

  /// Looks again at `time`, unless that is planned for sooner.
  func scheduleFlow(at time: Int64) {
    if time >= flowAt { return }
    flowAt = time
    schedule(.flow, at: time)
  }

  /// Plans for what may expire in the outbox.
  func rescheduleFlow() {
    if outbox.nextExpiry != .max { scheduleFlow(at: outbox.nextExpiry) }
  }

  func flow() {
    let now = Clock.monotonic()
    outbox.expire(now: now)
    giveRoom()
    announceLosses("")
    setMoment()
    inbound.announceDrops()
    carryOut()
    if let connection, !connection.writeIsBlocked { connection.flush() }
    if let successor, successor.phase == .open, !successor.writeIsBlocked { successor.flush() }
    rescheduleFlow()
  }

  // MARK: Fates

  /// Something was written whose owner may wait to hear of it.
  var watchesSending: Bool { emitsFates || flushersWait }

  func messagesLeft(_ connection: Connection) {
    if emitsFates {
      for id in connection.ledger.takeReported() { outbox.book.report(id: id, fate: .sent) }
      emitFates()
    }
    if flushersWait {
      flushersWait = false
      host.notify(waiter)
    }
  }

  private func emitFates() {
    for fate in outbox.book.takeReports() {
      emit(Event.fate(id: fate.id, fate: fate.fate.name), isKept: false)
    }
    wake()
  }

  /// Reports what the outbox has discarded, ten times a second at most when it comes in drops. `cause`: what has taken
  /// messages along, told at once.
  func announceLosses(_ cause: String) {
    guard outbox.book.hasNews else { return }
    let now = Clock.monotonic()
    if cause.hasNoBytes && now < nextLossesAt {
      scheduleFlow(at: nextLossesAt)
      return
    }
    nextLossesAt = now &+ Client.announcePause
    // What finds no room now is told, in one sum, when the consumer has made some.
    if !emitsEvents || inbound.hasRoomForLosses { emitLosses(cause) }
    if emitsFates { emitFates() }
    if flushersWait { canSendChanged() }
    if emitsEvents { wake() }
  }

  private func emitLosses(_ cause: String) {
    for news in outbox.book.takeDiscarded() {
      var why = cause
      switch news.cause {
      case .oldest:
        why = "drop_oldest"
      case .newest:
        why = "drop_newest"
      case .purged:
        why = "purge"
      case .expired:
        why = "time to live"
      case .notLive:
        why = "live_only: the connection ended before they were written"
      case .connection:
        if why.hasNoBytes { why = "the connection ended before they were written" }
      }
      if emitsEvents {
        emit(
          Event.dropped(
            news.cause.fate.name, messages: Int(truncatingIfNeeded: news.count), firstID: news.firstID, lastID: news.lastID,
            cause: why, ids: journal?.newsOf(news.cause.fate, cause: news.cause.rawValue)))
      }
      log(.warning) { "\(news.count) messages \(news.cause.fate.name): \(why)" }
    }
    if emitsEvents { noteAnnounced(ofDoubts: false) }
  }

  /// What is still queued fails, unless there is a journal to keep it.
  func failQueued() {
    if journal != nil {
      keepQueued()
    } else {
      hasUnsent = hasUnsent || (reportsUnsent && closeStarted && !outbox.isEmpty)
      outbox.removeAll(withFlags: [], cause: .connection)
      announceLosses("the client has ended")
    }
    emitDiscarded()
    outbox.trim()
    canSendChanged()
  }
}
