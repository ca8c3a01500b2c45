// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// What all lines bring, in one queue. `mutex` is held unless a function is `package`.
extension Client {
  // MARK: In the queue's place

  /// From now on `tap` takes what would be queued.
  package func setTap(_ tap: MessageTap) -> StatusCode {
    mutex.lock()
    defer { mutex.unlock() }
    if closing.isForGood { return .closed }
    return inbound.setTap(tap) ? .ok : .busy
  }

  /// The queue takes messages again, if it was that tap that did.
  package func removeTap(_ tap: MessageTap) {
    mutex.lock()
    inbound.removeTap(tap)
    mutex.unlock()
  }

  // MARK: What is told

  /// Puts an event between the messages, if the option is on. One that `isKept` does not give way to a full queue: all
  /// but those that may come with every message.
  func emit(_ event: Sentence, isKept: Bool = true) {
    guard emitsEvents else { return }
    setMoment()
    inbound.emit(event, isKept: isKept)
    carryOut()
  }

  /// `line` has moved, which makes this the state of the client.
  func emitState(_ event: SessionEvent, of line: Line, from previous: SessionState, cause: String, code: StatusCode) {
    guard emitsEvents else { return }
    emit(
      Event.state(
        state: toldState.name, previous: previous.name, trigger: event.name, cause: cause,
        error: code == .ok ? "" : StatusCode.name(code.rawValue), attempt: line.attemptNumber,
        nextDelay: line.dialer.nextDelay, endpoint: line.url.redacted, closeCode: Int(line.closeCode)))
  }

  func emitDiscarded() {
    setMoment()
    inbound.announceDiscarded(closing.hasBegun ? "began to close" : "left the connection with a full queue")
    carryOut()
  }

  // MARK: Keys

  func keysAreDue() {
    let now = host.loop.turnTime
    // A key has come when one of two lines has brought it.
    var readUpTo = now
    var isPaused = false
    each { line in
      guard let connection = line.connection else { return }
      readUpTo = min(readUpTo, connection.readUpTo)
      isPaused = isPaused || connection.readingPaused
    }
    inbound.moment = Moment(now: now, realtime: Clock.realtime())
    inbound.keysAreDue(readUpTo: readUpTo, isConnected: isConnected, isPaused: isPaused)
    carryOut()
  }
}
