// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// From the outbox to the connection, at the pace that is allowed; and what became of the messages. `mutex` is held.
extension Line {
  /// Messages that were accepted and have no fate. A successor may have a login of the application's.
  var queueSize: Int { outbound.outbox.count + (connection?.ledger.pending ?? 0) + (successor?.ledger.pending ?? 0) }
  var queueBytes: Int { outbound.outbox.bytes + (connection?.output.count ?? 0) + (successor?.output.count ?? 0) }

  /// Frames what may go now on a connection whose frames are all written. True if there is something to write.
  func refill(_ connection: Connection) -> Bool {
    let before = connection.output.count
    if connection.session.pending > 0 && connection.session.subscribes && connection.phase == .open {
      if sendSubscriptions(on: connection) && !connection.session.isReady {
        advanceSession(on: connection)
      } else {
        watchSession(of: connection)
      }
    }
    if outbound.hasQueued && connection === self.connection { frameQueued(on: connection) }
    return connection.output.count > before
  }

  private func frameQueued(on connection: Connection) {
    guard isReady, connection.brokenWrite == nil else { return }
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
    client.carryOut()
  }

  /// A close has to wait: messages that were accepted before may still go.
  func keepsMessagesBack(for connection: Connection) -> Bool {
    connection === self.connection && isReady && outbound.hasQueued
  }

  func canSendChanged() {
    outbound.tellWaiting()
    client.carryOut()
  }

  // MARK: Time

  /// Plans for what may expire in the outbox.
  func rescheduleFlow() {
    if outbound.nextDeadline != .max { scheduleFlow(at: outbound.nextDeadline) }
  }

  func flow() {
    let now = Clock.monotonic()
    outbound.expire(now)
    announceLosses("")
    client.setMoment()
    inbound.announceDrops()
    client.carryOut()
    if let connection, !connection.writeIsBlocked { connection.flush() }
    if let successor, successor.phase == .open, !successor.writeIsBlocked { successor.flush() }
    rescheduleFlow()
  }

  // MARK: Fates

  func messagesLeft(_ connection: Connection) {
    outbound.settled(&connection.ledger)
    client.carryOut()
  }

  /// Tells what the outbox has discarded. `cause`: what has taken messages along, told at once.
  func announceLosses(_ cause: String) {
    if outbound.hasNews { outbound.tellLosses(cause, Clock.monotonic(), hasRoom: inbound.hasRoomForLosses) }
    client.carryOut()
  }

  /// What is still queued fails, unless there is a journal to keep it.
  func failQueued() {
    if outbound.losesQueued { client.closing.noteUnsent() }
    outbound.fail()
    announceLosses("the client has ended")
    outbound.keep()
    client.carryOut()
    if client.closing.isForGood && client.first.life == .ended { client.releaseJournal() }
    client.emitDiscarded()
    outbound.outbox.trim()
    canSendChanged()
  }
}
