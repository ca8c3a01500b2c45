// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// Between the connections and what keeps their messages, `inbound`. `mutex` is held.
extension Line {
  /// A message for the application, read before.
  func accept(_ message: WireMessage, receivedAt: Int64) {
    if inbound.feed?.number != nil { liveness.lastNumberAt = inbound.moment.now }
    inbound.offer(message.arrival(receivedAt), side: side.rawValue)
  }

  /// A message that was parked until its connection took over.
  func deliverLater(_ record: MessageRecord) {
    inbound.feed?.read(record.payload)
    inbound.offer(
      Inbound.Arrival(kind: record.kind, flags: record.flags, payload: record.payload, receivedAt: record.receivedAt),
      side: side.rawValue)
  }

  /// For the application, but not as data.
  func takeAside(_ message: WireMessage) {
    inbound.takeAside(message.arrival(Clock.realtime()), side: side.rawValue)
  }

  // MARK: A full queue

  /// The connection is left until the application has taken half of the queue. True if that was to be done.
  func leavesSlowConsumer(_ connection: Connection) -> Bool {
    guard client.options.receiveQueuePolicy == .disconnect, !connection.ignoresLimit else { return false }
    connection.leave(
      Failure(
        .slowConsumer,
        "\(connection.url.redacted): receive_queue_bytes (\(client.options.receiveQueueBytes)) wait to be taken by the application"
      ))
    return true
  }

  /// After it was left for a slow consumer the next attempt waits for half of the queue to be free.
  var waitsForConsumer: Bool { client.options.receiveQueuePolicy == .disconnect && !inbound.isHalfFree }

  // MARK: Staleness

  /// Data came with the last chunk.
  @inline(__always)
  func dataArrived(on connection: Connection) {
    if connection === successor { return }
    if liveness.dataArrived(inbound.moment.now) { carryOut(liveness.next) }
    if marks.awaitsFirstMessage {
      marks.awaitsFirstMessage = false
      marks.firstMessageTime = Clock.monotonic() &- connection.openedAt
    }
  }

  func lookWhetherStale() {
    guard let connection, connection.phase == .open else { return }
    let step = liveness.look(host.loop.turnTime, readUpTo: connection.readUpTo, isPaused: connection.readingPaused)
    client.carryOut()
    carryOut(step)
  }
}
