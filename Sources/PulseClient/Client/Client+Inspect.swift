// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import PulseTransport
import PulseWire

/// Which messages are more than data, and whether data comes at all. `mutex` is held.
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
    if options.deliverHeartbeats && connection !== successor { deliver(message) }
    return true
  }

  /// For the application, but not as data.
  private func deliver(_ message: WireMessage) {
    if let primary {
      primary.takeAsideFromTwin(UInt32(message.kind.rawValue), message.flags, message.payload)
    } else {
      deliverAside(UInt32(message.kind.rawValue), message.flags, message.payload)
    }
  }

  func deliverAside(_ kind: UInt32, _ flags: UInt32, _ payload: UnsafeRawBufferPointer) {
    statistics.messagesReceived &+= 1
    statistics.payloadBytesReceived &+= UInt64(truncatingIfNeeded: payload.count)
    inbox.append(
      kind: kind, flags: flags, payload: payload, receivedAt: Clock.realtime(), expected: payload.count)
    boundQueue()
    wake()
  }

  private func inspectSession(_ message: WireMessage, on connection: Connection) -> Bool {
    // A server that tells only failures may do so at any time.
    let loginIsOpen = connection.session.stage == .login || connection.session.stage == .confirming
    if (loginIsOpen || options.loginConfirm.isEmpty) && options.loginReject.matches(message.payload) {
      statistics.loginsRejected &+= 1
      leave(connection, because: message, Failure(.login, "\(connection.url.redacted): the server rejected the login"))
      return true
    }
    if loginIsOpen {
      if !connection.session.loginIsConfirmed && options.loginConfirm.matches(message.payload) {
        loginConfirmed(on: connection)
      }
    } else {
      if options.subscribeReject.matches(message.payload) {
        leave(connection, because: message, Failure(.subscribe, "\(connection.url.redacted): the server rejected a subscription"))
        return true
      }
      if connection.session.confirmsAwaited > 0 && options.subscribeConfirm.matches(message.payload) {
        subscriptionConfirmed(on: connection)
      }
    }
    return false
  }

  /// The message says why: it is delivered before the connection goes.
  private func leave(_ connection: Connection, because message: WireMessage, _ failure: Failure) {
    deliver(message)
    connection.leave(failure)
  }

  // MARK: Staleness

  /// Data came with the last chunk.
  @inline(__always)
  func dataArrived(at time: Int64, on connection: Connection) {
    if connection === successor { return }
    lastDataAt = time
    if statistics.awaitsFirstMessage {
      statistics.awaitsFirstMessage = false
      statistics.firstMessageTime = Clock.monotonic() &- connection.openedAt
    }
    if isStale { becomeFresh() }
  }

  private func becomeFresh() {
    isStale = false
    report("{\"event\":\"fresh\",\"silence\":\(seconds: Clock.monotonic() &- statistics.staleSince)}")
    log(.info) { "data comes again" }
    scheduleStale()
  }

  func scheduleStale() {
    cancel(&staleTimer)
    guard options.staleTimeout > 0 else { return }
    staleTimer = host.loop.schedule(
      self, tag: Signal.stale, deadline: Clock.deadline(lastDataAt, after: options.staleTimeout))
  }

  func lookWhetherStale() {
    guard let connection, connection.phase == .open, !isStale else { return }
    // What had arrived by then was read, but for what a later turn goes on with.
    let now = host.loop.turnTime
    if connection.readsAgain {
      staleTimer = host.loop.schedule(self, tag: Signal.stale, deadline: now &+ Client.lookAgainPause)
      return
    }
    // While the consumer makes reading pause, silence says nothing about the feed.
    if connection.readingPaused { lastDataAt = now }
    let silence = now &- lastDataAt
    if silence < options.staleTimeout {
      scheduleStale()
      return
    }
    statistics.staleEpisodes &+= 1
    statistics.staleSince = lastDataAt
    let action: Literal = options.staleReconnects ? "reconnect" : "event"
    report("{\"event\":\"stale\",\"silence\":\(seconds: silence),\"action\":\"\(action)\"}")
    log(.warning) { "\(self.url.redacted): no data for \(seconds: silence) s" }
    if options.staleReconnects {
      connection.leave(
        Failure(.stale, "\(url.redacted): no data within stale_timeout (\(seconds: options.staleTimeout) s)"))
    } else {
      isStale = true
      wake()
    }
  }
}
