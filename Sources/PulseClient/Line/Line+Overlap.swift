// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// While a successor delivers and the connection before it still does. `mutex` is held.
extension Line {
  func beginReplacement(_ opened: Connection) {
    log(.debug) { "the next connection is open" }
    beginSession(on: opened, with: subscriptions.copy())
  }

  /// A message of the successor: parked until it takes over.
  func park(_ message: WireMessage, receivedAt: Int64, from newcomer: Connection) {
    if distinguishesCopies { inbound.feed?.noteJoint(in: &handover.joints) }
    let hasNumber = distinguishesCopies && inbound.feed?.number != nil
    let step = handover.park(message.arrival(receivedAt), hasNumber: hasNumber, Clock.monotonic())
    carryOut(step)
    if case .plan = step { host.hurry() }
    if handover.parkedBytes < client.options.receiveQueueBytes { return }
    if newcomer.session.isReady {
      // What the old one still has to bring comes first; what has arrived of it may have its turn after this one.
      newcomer.readingPaused = true
      overlapSoon()
      return
    }
    newcomer.leave(
      Failure(
        .slowConsumer,
        "\(newcomer.url.redacted): more than receive_queue_bytes (\(client.options.receiveQueueBytes)) came before login and subscriptions were confirmed"
      ))
  }

  /// The consumer has taken what the old connection had brought.
  func resumeSuccessor() {
    if let successor, successor.readingPaused, handover.parkedBytes >= client.options.receiveQueueBytes { overlapSoon() }
  }

  private func overlapSoon() {
    schedule(.rotation, at: Clock.monotonic())
    host.hurry()
  }

  /// By their numbers, what the successor brings again is told from what is new.
  var distinguishesCopies: Bool { handover.rules.distinguishesCopies }
}
