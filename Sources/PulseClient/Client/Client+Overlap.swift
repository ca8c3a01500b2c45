// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// While a successor delivers and the connection before it still does. `mutex` is held.
extension Client {
  /// So often a take-over that waits is looked at.
  private static let overlapLook: Int64 = 100_000_000
  /// So long a connection that is behind may be silent and still be waited for, if the overlap is not longer.
  private static let catchUpPause: Int64 = 500_000_000

  func beginReplacement(_ opened: Connection) {
    opened.session.subscriptions = subscriptions?.copy() ?? SubscriptionSet()
    log(.debug) { "the next connection is open" }
    beginSession(on: opened)
  }

  func successorIsReady(_ ready: Connection) {
    rotation.readyAt = Clock.monotonic()
    rotation.proofAt = rotation.readyAt
    planOverlap(from: rotation.readyAt)
  }

  private func planOverlap(from time: Int64) {
    lookAgain(Clock.deadline(time, after: options.rotationOverlap))
  }

  /// A message of the successor: parked until it takes over.
  func park(_ message: WireMessage, receivedAt: Int64, from newcomer: Connection) {
    rotation.parked.append(
      kind: UInt32(message.kind.rawValue), flags: message.flags, payload: message.payload, receivedAt: receivedAt,
      expected: message.payload.count)
    if distinguishesCopies { inbound.feed?.noteJoint() }
    if newcomer.session.stage == .ready {
      noteData(hasNumber: distinguishesCopies && inbound.feed?.number != nil)
    }
    if rotation.parked.bytes < options.receiveQueueBytes { return }
    if newcomer.session.stage == .ready {
      // What the old one still has to bring comes first; what has arrived of it may have its turn after this one.
      newcomer.readingPaused = true
      overlapSoon()
      return
    }
    newcomer.leave(
      Failure(
        .slowConsumer,
        "\(newcomer.url.redacted): more than receive_queue_bytes (\(options.receiveQueueBytes)) came before login and subscriptions were confirmed"
      ))
  }

  /// The overlap begins with the first message, and anew with the first that has a number: what comes before that may
  /// be an answer to a subscription.
  private func noteData(hasNumber: Bool) {
    let now = Clock.monotonic()
    rotation.lastDataAt = now
    let isFirst = rotation.firstDataAt == 0
    let isFirstNumber = hasNumber && rotation.firstNumberAt == 0
    if isFirst { rotation.firstDataAt = now }
    if isFirstNumber { rotation.firstNumberAt = now }
    if isFirst && !distinguishesCopies {
      overlapSoon()
    } else if isFirst || isFirstNumber {
      planOverlap(from: now)
    }
  }

  /// The consumer has taken what the old connection had brought.
  func resumeSuccessor() {
    if let successor, successor.readingPaused, rotation.parked.bytes >= options.receiveQueueBytes { overlapSoon() }
  }

  private func overlapSoon() {
    lookAgain(Clock.monotonic())
    host.hurry()
  }

  /// By their numbers; those of a twin the client does that has the other one, too.
  var distinguishesCopies: Bool { primary != nil || (!options.sequencePath.isEmpty && options.sequenceScope != .connection) }

  /// By a timer: what had arrived by then of either connection was read, however long this process did not run.
  func overlapIsOver() {
    guard let successor, successor.session.stage == .ready else { return }
    let now = host.loop.turnTime
    let patience = max(options.openTimeout, options.rotationOverlap)
    if connection?.hasUnread == true {
      // What it has brought and nobody has taken yet comes before anything of the successor.
      rotation.overAt = 0
      rotation.proofAt = now
      return lookAgain(now &+ Client.overlapLook)
    }
    // One that is mute does not follow one that delivers. What came at about the time when it was ready is no proof.
    let countsNumbers = distinguishesCopies && inbound.lastNumberAt > rotation.proofAt
    let isMute = (countsNumbers ? rotation.firstNumberAt : rotation.firstDataAt) == 0
    let last = countsNumbers ? inbound.lastNumberAt : inbound.lastDataAt
    if isMute && last > rotation.proofAt {
      if now &- rotation.proofAt < patience {
        let pause = max(options.rotationOverlap, Client.overlapLook)
        return lookAgain(Clock.deadline(now, after: pause))
      }
      if last > Clock.deadline(rotation.proofAt, after: options.rotationOverlap) {
        successor.leave(
          Failure(.stale, "\(successor.url.redacted): no data came over the new connection, and over the old one there did"))
        return
      }
    }
    if rotation.overAt == 0 { rotation.overAt = now }
    if let connection, now &- rotation.overAt < patience, connection.outputIsCut || isCatchingUp(now) {
      return lookAgain(now &+ Client.overlapLook)
    }
    takeOver(successor, after: nil)
  }

  /// It is behind the successor, and goes on bringing what that one does not have.
  private func isCatchingUp(_ now: Int64) -> Bool {
    let pause = max(options.rotationOverlap, Client.catchUpPause)
    // Its pings prove nothing: a feed that is mute has those, too.
    guard distinguishesCopies, let feed = inbound.feed, now &- inbound.lastNumberAt < pause else { return false }
    return !feed.hasReachedJoints()
  }

  /// The next begin, or the end of the overlap.
  func lookAgain(_ time: Int64) { schedule(.rotation, at: time) }
}
