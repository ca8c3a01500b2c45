// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// Which messages are more than data. `mutex` is held.
extension Line {
  /// True if the message is not for the application. It may end the connection.
  func inspect(_ message: WireMessage, on connection: Connection) -> Bool {
    let session = connection.session
    switch session.heartbeat(message.payload) {
    case .none: break
    case .reply:
      connection.heartbeatAnswered()
      return swallow(message, on: connection)
    case .server:
      connection.serverHeartbeatAt = connection.lastReceivedAt
      return swallow(message, on: connection)
    case .request:
      answerHeartbeat(message.payload, on: connection)
      return swallow(message, on: connection)
    }
    // The session of one that was left has nobody to tell.
    if connection !== self.connection && connection !== successor { return false }
    if session.isNotice(message.payload) { noticeArrived(on: connection) }
    let answer = session.answer(message.payload, connection.lastReceivedAt)
    if case .none = answer { return false }
    return take(answer, message, on: connection)
  }

  private func answerHeartbeat(_ request: UnsafeRawBufferPointer, on connection: Connection) {
    guard let template = client.options.heartbeatAnswer, connection.takesMessages else { return }
    // To a peer that asks and does not read there is no end of answers.
    guard connection.hasRoom else {
      statistics.pongsSkipped &+= 1
      return
    }
    let answer = texts.render(template, Clock.realtime(), request: request)
    if answer.isEmpty { log(.warning) { "a heartbeat_request has no value that heartbeat_answer needs" } }
    sendOwn(answer, on: connection)
    if !connection.writeIsBlocked { connection.flush() }
  }

  private func swallow(_ message: WireMessage, on connection: Connection) -> Bool {
    statistics.heartbeatsReceived &+= 1
    // Those of the connection that serves are enough, and nothing bounds what a successor would add to them.
    if client.options.deliverHeartbeats && connection !== successor { takeAside(message) }
    return true
  }

  /// True if the connection was left.
  @inline(never)
  private func take(_ answer: Session.Answer, _ message: WireMessage, on connection: Connection) -> Bool {
    switch answer {
    case .none: return false
    case .loginRejected:
      statistics.loginsRejected &+= 1
      leave(connection, because: message, .login, "the login")
      return true
    case .subscriptionRejected:
      leave(connection, because: message, .subscribe, "a subscription")
      return true
    case .loginConfirmed:
      // This may be before the application has released its hold.
      log(.debug) { "the login is confirmed" }
    case .keyRejected(let key): emitRejected(key, message, on: connection)
    case .subscribed: break
    }
    // There may be more to send after it.
    advanceSession(on: connection)
    return false
  }

  private func emitRejected(_ key: [UInt8], _ message: WireMessage, on connection: Connection) {
    let said = repeatsLogin(message, on: connection) ? "" : excerpt(message)
    let event = Event.subscriptionRejected(key: String(bytes: key), text: said, endpoint: connection.url.redacted)
    log(.warning) { event }
    // Of a twin, too.
    client.emit(event)
  }

  /// The message says why: it is delivered before the connection goes.
  private func leave(_ connection: Connection, because message: WireMessage, _ code: StatusCode, _ what: Literal) {
    takeAside(message)
    let said = excerpt(message)
    var text: Sentence = "\(connection.url.redacted): the server rejected \(what)"
    if !repeatsLogin(message, on: connection) { text.add(": \(json: said)") }
    let failure = Failure(code, text)
    failure.isFinal = code == .login && client.options.loginRejectAction == .stop
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
