// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// Which messages are more than data. `mutex` is held.
extension Client {
  var hasPatterns: Bool {
    !options.heartbeatReply.isEmpty || !options.heartbeatRequest.isEmpty || !options.serverHeartbeat.isEmpty
      || !options.loginConfirm.isEmpty || !options.loginReject.isEmpty || !options.subscribeConfirm.isEmpty
      || !options.subscribeReject.isEmpty || !options.rotateOn.isEmpty
  }

  /// True if the message is not for the application. It may end the connection.
  func inspect(_ message: WireMessage, on connection: Connection) -> Bool {
    let payload = message.payload
    if options.heartbeatReply.matches(payload) {
      connection.heartbeatAnswered()
      return swallow(message, on: connection)
    }
    if options.serverHeartbeat.matches(payload) {
      connection.serverHeartbeatAt = connection.lastReceivedAt
      return swallow(message, on: connection)
    }
    if options.heartbeatRequest.matches(payload) {
      if let template = options.heartbeatAnswer, connection.takesMessages {
        // To a peer that asks and does not read there is no end of answers.
        guard connection.hasRoom else {
          statistics.pongsSkipped &+= 1
          return swallow(message, on: connection)
        }
        let answer = render(template, request: payload)
        if answer.isEmpty { log(.warning) { "a heartbeat_request has no value that heartbeat_answer needs" } }
        sendOwn(answer, on: connection)
        if !connection.writeIsBlocked { connection.flush() }
      }
      return swallow(message, on: connection)
    }
    if !options.rotateOn.isEmpty && options.rotateOn.matches(payload) { noticeArrived(on: connection) }
    return inspectSession(message, on: connection)
  }

  private func swallow(_ message: WireMessage, on connection: Connection) -> Bool {
    statistics.heartbeatsReceived &+= 1
    // Those of the connection that serves are enough, and nothing bounds what a successor would add to them.
    if options.deliverHeartbeats && connection !== successor { takeAside(message) }
    return true
  }

  /// Answers count while they are waited for; all else is data.
  private func inspectSession(_ message: WireMessage, on connection: Connection) -> Bool {
    let stage = connection.session.stage
    let loginIsOpen = stage == .login || stage == .confirming
    if loginIsOpen || (options.loginConfirm.isEmpty && connection.lastReceivedAt < connection.session.loginUntil) {
      if answersLogin(options.loginReject, message.payload, connection) {
        statistics.loginsRejected &+= 1
        leave(connection, because: message, .login, "the login")
        return true
      }
      if loginIsOpen && !connection.session.loginIsConfirmed
        && answersLogin(options.loginConfirm, message.payload, connection)
      {
        loginConfirmed(on: connection)
      }
    }
    guard !loginIsOpen, let subscriptions = subscriptions(of: connection), subscriptions.waiting > 0 else { return false }
    endWaiting(on: connection)
    var answer = PatternCapture()
    if let request = answered(options.subscribeReject, message.payload, subscriptions, &answer) {
      // Of several, without answers to the good ones, nobody knows which is rejected.
      let isNobody = answer.id == nil && answer.key == nil && options.subscribeConfirm.isEmpty && subscriptions.waiting > 1
      if options.subscribeRejectAction == .reconnect || isNobody {
        leave(connection, because: message, .subscribe, "a subscription")
        return true
      }
      if let key = subscriptions.reject(request, key: answer.key) { emitRejected(key, message, on: connection) }
    } else if let request = answered(options.subscribeConfirm, message.payload, subscriptions, &answer) {
      subscriptions.confirm(request, key: answer.key)
    } else {
      return false
    }
    subscriptionAnswered(on: connection)
    return false
  }

  private func answersLogin(_ patterns: PatternList, _ payload: UnsafeRawBufferPointer, _ connection: Connection) -> Bool {
    var index = 0
    var answer = PatternCapture()
    while patterns.next(payload, &index, &answer) {
      guard let id = answer.id, !connection.session.loginIDs.isEmpty else { return true }
      for known in connection.session.loginIDs where PatternCapture.isText(id, known) { return true }
    }
    return false
  }

  private func answered(
    _ patterns: PatternList, _ payload: UnsafeRawBufferPointer, _ subscriptions: SubscriptionSet,
    _ answer: inout PatternCapture
  ) -> SubscriptionRequest? {
    var index = 0
    while patterns.next(payload, &index, &answer) {
      if let request = subscriptions.find(answer) { return request }
    }
    return nil
  }

  private func emitRejected(_ key: [UInt8], _ message: WireMessage, on connection: Connection) {
    let said = repeatsLogin(message, on: connection) ? "" : excerpt(message)
    let event = Event.subscriptionRejected(key: String(bytes: key), text: said, endpoint: connection.url.redacted)
    log(.warning) { event }
    guard let primary else { return emit(event) }
    primary.mutex.withLock { primary.emit(event) }
  }

  /// The message says why: it is delivered before the connection goes.
  private func leave(_ connection: Connection, because message: WireMessage, _ code: StatusCode, _ what: Literal) {
    takeAside(message)
    let said = excerpt(message)
    var text: Sentence = "\(connection.url.redacted): the server rejected \(what)"
    if !repeatsLogin(message, on: connection) { text.add(": \(json: said)") }
    let failure = Failure(code, text)
    failure.isFinal = code == .login && options.loginRejectAction == .stop
    failure.isRejection = true
    if connection === self.connection { serverMessage = said }
    connection.leave(failure)
  }

  /// Servers repeat what they reject, and with it the keys of a login, which must not get into the log.
  private func repeatsLogin(_ message: WireMessage, on connection: Connection) -> Bool {
    let words: Literal = "authenticate authentication authorization client_credentials client_signature subscribe"
    let sent = connection.session.loginTexts
    let text = message.payload
    return pulse_repeats(text.baseAddress, text.count, sent, sent.count, words.start, words.count) != 0
  }

  /// The begin of a message, to whole characters, short enough for a sentence.
  @inline(never) private func excerpt(_ message: WireMessage) -> String {
    var end = min(message.payload.count, 256)
    if end < message.payload.count { while end > 0, message.payload[end] & 0xC0 == 0x80 { end -= 1 } }
    return String(bytes: UnsafeRawBufferPointer(rebasing: message.payload[0..<end]))
  }
}
