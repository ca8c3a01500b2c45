// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// From an open connection to one that takes messages: what its session says, done. `mutex` is held.
extension Line {
  // MARK: Steps

  func beginSession(on connection: Connection, with wanted: SubscriptionSet) {
    for text in connection.session.begin(wanted, realtime: Clock.realtime()) { sendOwn(text, on: connection) }
    if client.options.holdLogin { beginHold(.login(connection), endpoint: connection.url) }
    advanceSession(on: connection)
  }

  /// Goes as far as it can now.
  func advanceSession(on connection: Connection) {
    guard connection.phase == .open else { return }
    let session = connection.session
    if held !== connection { session.loggedIn(Clock.monotonic()) }
    if session.subscribes && sendSubscriptions(on: connection) && session.becomesReady(Clock.monotonic()) {
      becomeReady(connection)
    }
    watchSession(of: connection)
    if !connection.writeIsBlocked { connection.flush() }
  }

  /// Has the session's deadline met. A timer that comes too early looks again.
  func watchSession(of connection: Connection) {
    let deadline = connection.session.deadline
    if deadline == .max || deadline < connection.sessionDueAt { connection.cancel(&connection.sessionTimer) }
    if deadline == .max || connection.sessionTimer != nil { return }
    connection.sessionDueAt = deadline
    connection.sessionTimer = host.loop.schedule(connection, tag: Connection.Timer.session, deadline: deadline)
  }

  func sessionIsDue(on connection: Connection) {
    guard connection.phase == .open else { return }
    switch connection.session.problem(Clock.monotonic()) {
    case nil: watchSession(of: connection)
    case .loginNotConfirmed:
      connection.leave(
        Failure(
          .login,
          "\(connection.url.redacted): no message confirmed the login within login_timeout (\(seconds: client.options.loginTimeout) s)"
        ))
    case .notConfirmed(let count):
      connection.leave(
        Failure(
          .subscribe,
          "\(connection.url.redacted): \(count) messages that subscribe were not confirmed within subscribe_timeout (\(seconds: client.options.subscribeTimeout) s)"
        ))
    }
  }

  private func becomeReady(_ connection: Connection) {
    if connection === successor {
      hand(.ready)
    } else {
      becomeServing(connection)
    }
  }

  private func becomeServing(_ connection: Connection) {
    serve(connection)
    emit(
      Event.ready(
        endpoint: connection.url.redacted, attempt: attemptNumber, subscriptions: subscriptions.count,
        seconds: connection.session.readyAt &- connection.openedAt))
    log(.info) { "ready" }
    client.wake()
  }

  /// Messages flow over this connection from now on; those of the application, if it is one of the first line.
  func serve(_ connection: Connection) {
    outbound.open(Clock.monotonic())
    schedule(.stable, at: Clock.deadline(connection.session.readyAt, after: client.options.stableTime))
    scheduleRotation()
    client.setMoment()
    inbound.setReady(side: side.rawValue, true)
    client.carryOut()
  }

  /// The connection is over.
  func endSession() {
    outbound.close()
    cancel(.stable)
    cancel(.stale)
    cancel(.hold)
    cancel(.homeward)
    // One for the login, or for an attempt at a preferred endpoint.
    hold = nil
    hand(.ended)
    leaveSuccessor()
    // What a successor had unread may have planned that anew.
    cancel(.rotation)
    rescheduleFlow()
  }

  // MARK: Texts of the library's own

  func sendOwn(_ text: [UInt8], on connection: Connection) {
    if text.isEmpty { return }
    connection.encodeOwn(text)
    noteMessage()
  }

  /// A message goes out whatever the limits say; later ones wait for it.
  func noteMessage() { outbound.noteMessage(Clock.monotonic()) }

  func noteControl() { outbound.noteControl(Clock.monotonic()) }

  // MARK: Subscriptions

  /// Sends what is to be sent, as far as limits and room allow. True when nothing is left.
  func sendSubscriptions(on connection: Connection) -> Bool {
    let session = connection.session
    while session.pending > 0 {
      guard connection.takesMessages && connection.hasRoom else { return false }
      let now = Clock.monotonic()
      if let time = session.pause(now) ?? outbound.waitsForLimit(now) {
        scheduleFlow(at: time)
        return false
      }
      let text = session.next(now, realtime: Clock.realtime())
      if !text.isEmpty { connection.encodeOwn(text) }
    }
    return true
  }

  func subscribe(key: [UInt8], message: [UInt8]?, unsubscribe: [UInt8]?) -> Failure? {
    // With a text of its own and none to end it, nothing is sent at the end: an empty text stands for that.
    let ending = message != nil && unsubscribe == nil ? [] : unsubscribe
    switch subscriptions.add(key: key, subscribe: message, unsubscribe: ending) {
    case .changed:
      _ = successor?.session.subscriptions?.add(key: key, subscribe: message, unsubscribe: ending)
      subscriptionsChanged()
    case .unchanged:
      // A successor may have dropped what its server has rejected.
      if let made = successor?.session.subscriptions, !made.contains(key) {
        _ = made.add(key: key, subscribe: message, unsubscribe: ending)
        subscriptionsChanged()
      }
    case .keyNotAllowed:
      return Failure(.invalidArgument, "key has \(key.count) bytes; allowed: 1 to \(SubscriptionSet.longestKey)")
    case .textTooLong:
      return Failure(.invalidArgument, "a text has more than \(SubscriptionSet.longestText) bytes")
    case .full:
      return Failure(.invalidArgument, "there are \(subscriptions.count) subscriptions; more are not allowed")
    }
    return nil
  }

  /// False if it was not subscribed.
  func unsubscribe(key: [UInt8]) -> Bool {
    _ = successor?.session.subscriptions?.remove(key: key)
    guard subscriptions.remove(key: key) else { return false }
    subscriptionsChanged()
    return true
  }

  /// The loop sends them, so that many calls in a row make few messages.
  private func subscriptionsChanged() {
    guard connection?.session.subscribes == true || successor != nil else { return }
    post(.flow)
    host.hurry()
  }
}
