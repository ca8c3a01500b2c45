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
  /// Messages that were accepted and have no fate. A successor may have a login of the application's.
  var queueSize: Int { outbound.outbox.count + (connection?.ledger.pending ?? 0) + (successor?.ledger.pending ?? 0) }
  var queueBytes: Int { outbound.outbox.bytes + (connection?.output.count ?? 0) + (successor?.output.count ?? 0) }

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
    if outbound.hasQueued && connection === self.connection { frameQueued(on: connection) }
    return connection.output.count > before
  }

  private func frameQueued(on connection: Connection) {
    guard stage == .ready, connection.brokenWrite == nil else { return }
    let isClosing = connection.phase == .closing
    guard isClosing ? connection.pendingClose != nil : connection.phase == .open else { return }
    let now = Clock.monotonic()
    while connection.hasRoom {
      guard let message = outbound.nextFrame(now, isClosing: isClosing) else {
        if outbound.nextFrameAt != .max { scheduleFlow(at: outbound.nextFrameAt) }
        break
      }
      connection.encode(
        message.kind == MessageCode.text ? .text : .binary, message.payload, id: message.id, flags: message.flags,
        expiresAt: message.expiresAt)
      outbound.framed()
    }
    if outbound.isWatched { outboxMoved() }
  }

  @inline(never)
  private func outboxMoved() {
    announceLosses("")
    outbound.giveRoom()
    carryOut()
  }

  /// A close has to wait: messages that were accepted before may still go.
  func keepsMessagesBack(for connection: Connection) -> Bool {
    connection === self.connection && stage == .ready && outbound.hasQueued
  }

  func canSendChanged() {
    outbound.tellWaiting()
    carryOut()
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
    if outbound.nextDeadline != .max { scheduleFlow(at: outbound.nextDeadline) }
  }

  func flow() {
    let now = Clock.monotonic()
    outbound.expire(now)
    announceLosses("")
    setMoment()
    inbound.announceDrops()
    carryOut()
    if let connection, !connection.writeIsBlocked { connection.flush() }
    if let successor, successor.phase == .open, !successor.writeIsBlocked { successor.flush() }
    rescheduleFlow()
  }

  // MARK: Fates

  func messagesLeft(_ connection: Connection) {
    outbound.settled(&connection.ledger)
    carryOut()
  }

  /// Tells what the outbox has discarded. `cause`: what has taken messages along, told at once.
  func announceLosses(_ cause: String) {
    if outbound.hasNews { outbound.tellLosses(cause, Clock.monotonic(), hasRoom: inbound.hasRoomForLosses) }
    carryOut()
  }

  /// What is still queued fails, unless there is a journal to keep it.
  func failQueued() {
    hasUnsent = hasUnsent || (reportsUnsent && closeStarted && outbound.losesQueued)
    outbound.fail()
    announceLosses("the client has ended")
    outbound.keep()
    carryOut()
    if isClosedForGood && life == .ended { releaseJournal() }
    emitDiscarded()
    outbound.outbox.trim()
    canSendChanged()
  }

  /// The next client may have it.
  func releaseJournal() {
    outbound.release()
    journalFile?.close()
    journalFile = nil
  }
}

extension Outbound.Rules {
  convenience init(_ options: ClientOptions) {
    self.init()
    limits = Outbox.Limits(count: options.messageQueueSize, bytes: options.messageQueueBytes)
    policy = options.messageQueuePolicy
    backlogInterval = options.backlogInterval
    rateLimits = options.rateLimits
    countsControl = options.rateLimitControl
    emitsEvents = options.emitsEvents
  }
}
