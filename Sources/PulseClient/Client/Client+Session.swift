// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// From an open connection to one that takes messages: login, then subscriptions. `mutex` is held unless a function is
/// `package`.
extension Client {
  // MARK: Steps

  func beginSession(on connection: Connection) {
    subscriptions(of: connection)?.beginConnection()
    connection.session.stage = .login
    for template in options.login {
      let text = render(template)
      noteLogin(text, on: connection)
      sendOwn(text, on: connection)
    }
    if options.holdLogin {
      heldConnection = connection
      beginHold(.login, endpoint: connection.url)
    }
    advanceSession(on: connection)
  }

  func subscriptions(of connection: Connection) -> SubscriptionSet? {
    connection === self.connection ? subscriptions : connection.session.subscriptions
  }

  /// Goes as far as it can now.
  func advanceSession(on connection: Connection) {
    guard connection.phase == .open else { return }
    let isHeld = hold == .login && heldConnection === connection
    if connection.session.stage == .login && !isHeld {
      let isConfirmed = options.loginConfirm.isEmpty || connection.session.loginIsConfirmed
      connection.session.loginUntil = Clock.deadline(Clock.monotonic(), after: options.loginTimeout)
      connection.session.stage = isConfirmed ? .subscribing : .confirming
      if !isConfirmed { watchSession(connection, options.loginTimeout) }
    }
    if connection.session.stage == .subscribing && sendSubscriptions(on: connection)
      && confirmsAwaited(on: connection) == 0
    {
      becomeReady(connection)
    }
    if !connection.writeIsBlocked { connection.flush() }
  }

  private func watchSession(_ connection: Connection, _ timeout: Int64) {
    connection.cancel(&connection.session.timer)
    connection.session.timer = host.loop.schedule(
      connection, tag: Connection.Timer.session, deadline: Clock.deadline(Clock.monotonic(), after: timeout))
  }

  private func becomeReady(_ connection: Connection) {
    connection.session.stage = .ready
    connection.session.readyAt = Clock.monotonic()
    connection.cancel(&connection.session.timer)
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
        endpoint: connection.url.redacted, attempt: attemptNumber, subscriptions: subscriptions?.count ?? 0,
        seconds: readyAt &- connection.openedAt))
    log(.info) { "ready" }
    wake()
  }

  /// The client's messages go over this connection from now on.
  func serve(_ connection: Connection) {
    outbound.open(Clock.monotonic())
    schedule(.stable, at: Clock.deadline(readyAt, after: options.stableTime))
    scheduleRotation()
    sideIsReady(.url)
    primary?.twinIsReady()
  }

  /// The connection is over.
  func endSession() {
    outbound.close()
    cancel(.stable)
    cancel(.stale)
    cancel(.rotation)
    cancel(.hold)
    cancel(.homeward)
    // One for the login, or for an attempt at a preferred endpoint.
    hold = nil
    heldConnection = nil
    hand(.ended)
    leaveSuccessor()
    rescheduleFlow()
  }

  func sessionTimedOut(on connection: Connection) {
    guard connection.phase == .open else { return }
    switch connection.session.stage {
    case .confirming:
      connection.leave(
        Failure(
          .login,
          "\(connection.url.redacted): no message confirmed the login within login_timeout (\(seconds: options.loginTimeout) s)"
        ))
    case .subscribing, .ready:
      endWaiting(on: connection)
      guard let oldest = subscriptions(of: connection)?.waitingSince else { return }
      let left = Clock.deadline(oldest, after: options.subscribeTimeout) &- Clock.monotonic()
      if left > 0 { return watchSession(connection, left) }
      let awaited = confirmsAwaited(on: connection)
      if awaited == 0 { return }
      connection.leave(
        Failure(
          .subscribe,
          "\(connection.url.redacted): \(awaited) messages that subscribe were not confirmed within subscribe_timeout (\(seconds: options.subscribeTimeout) s)"
        ))
    case .none, .login:
      break
    }
  }

  /// This may be before the application has released its hold.
  func loginConfirmed(on connection: Connection) {
    connection.session.loginIsConfirmed = true
    log(.debug) { "the login is confirmed" }
    guard connection.session.stage == .confirming else { return }
    connection.cancel(&connection.session.timer)
    connection.session.stage = .subscribing
    advanceSession(on: connection)
  }

  /// An answer has come; there may be more to send after it.
  func subscriptionAnswered(on connection: Connection) {
    if subscriptions(of: connection)?.waiting == 0 { connection.cancel(&connection.session.timer) }
    if connection.session.stage == .subscribing {
      advanceSession(on: connection)
    } else if !connection.writeIsBlocked {
      connection.flush()
    }
  }

  private func confirmsAwaited(on connection: Connection) -> Int {
    options.subscribeConfirm.isEmpty ? 0 : subscriptions(of: connection)?.waiting ?? 0
  }

  /// A server that confirms nothing has subscribe_timeout to reject.
  func endWaiting(on connection: Connection) {
    guard options.subscribeConfirm.isEmpty else { return }
    subscriptions(of: connection)?.endWaiting(before: Clock.monotonic() &- options.subscribeTimeout)
  }

  private func requestID(_ text: [UInt8], _ confirm: PatternList, _ reject: PatternList) -> [UInt8] {
    let id = confirm.requestID(of: text)
    return id.isEmpty ? reject.requestID(of: text) : id
  }

  func noteLogin(_ text: [UInt8], on connection: Connection) {
    let id = requestID(text, options.loginConfirm, options.loginReject)
    if !id.isEmpty { connection.session.loginIDs.append(id) }
    if !options.loginReject.isEmpty && connection.session.loginTexts.count < 16 << 10 {
      for byte in text { connection.session.loginTexts.append(byte) }
      connection.session.loginTexts.append(0x20)
    }
  }

  // MARK: Texts of the library's own

  func sendOwn(_ text: [UInt8], on connection: Connection) {
    if text.isEmpty { return }
    connection.encodeOwn(text)
    noteMessage()
  }

  func render(_ template: Template, request: UnsafeRawBufferPointer? = nil, keys: [[UInt8]] = []) -> [UInt8] {
    var text: [UInt8] = []
    messageCounter &+= 1
    _ = template.render(into: &text, id: messageCounter, realtime: Clock.realtime(), keys: keys, request: request)
    // Empty if the request does not have what the template asks for: then nothing is sent.
    return text
  }

  /// A message goes out whatever the limits say; later ones wait for it.
  func noteMessage() { outbound.noteMessage(Clock.monotonic()) }

  func noteControl() { outbound.noteControl(Clock.monotonic()) }

  // MARK: Subscriptions

  /// Sends what is to be sent, as far as limits and room allow. True when nothing is left.
  func sendSubscriptions(on connection: Connection) -> Bool {
    guard let subscriptions = subscriptions(of: connection), subscriptions.pending > 0 else { return true }
    while connection.takesMessages && connection.hasRoom {
      let now = Clock.monotonic()
      if now < connection.session.nextSubscribeAt {
        scheduleFlow(at: connection.session.nextSubscribeAt)
        return false
      }
      if let time = outbound.waitsForLimit(now) {
        scheduleFlow(at: time)
        return false
      }
      guard let work = subscriptions.next(batch: options.subscribeBatch) else { return true }
      var text: [UInt8] = []
      var subscribed: [[UInt8]] = []
      switch work {
      case .subscribe(let keys):
        subscribed = keys
        if let template = options.subscribeMessage {
          text = render(template, keys: keys)
        } else if let points = inbound.points {
          messageCounter &+= 1
          points.appendSubscribe(keys, id: messageCounter, to: &text)
        }
      case .unsubscribe(let keys):
        if let template = options.unsubscribeMessage { text = render(template, keys: keys) }
      case .text(let own, let key, let isUnsubscribe):
        text = own
        if !isUnsubscribe { subscribed.append(key) }
      }
      if !text.isEmpty { connection.encodeOwn(text) }
      if options.subscribeInterval > 0 {
        connection.session.nextSubscribeAt = Clock.deadline(now, after: options.subscribeInterval)
      }
      if !subscribed.isEmpty && !(options.subscribeConfirm.isEmpty && options.subscribeReject.isEmpty) {
        subscriptions.awaitAnswer(
          subscribed, id: requestID(text, options.subscribeConfirm, options.subscribeReject), now: now)
        // It looks after all that follow, too.
        if subscriptions.waiting == 1 || connection.session.timer == nil { watchSession(connection, options.subscribeTimeout) }
      }
      if subscriptions.pending == 0 { return true }
    }
    return false
  }

  package func subscribe(key: [UInt8], message: [UInt8]?, unsubscribe: [UInt8]?) -> Failure? {
    twin?.order.lock()
    defer { twin?.order.unlock() }
    let failure = subscribeHere(key: key, message: message, unsubscribe: unsubscribe)
    if failure == nil { _ = twin?.partner.subscribe(key: key, message: message, unsubscribe: unsubscribe) }
    return failure
  }

  private func subscribeHere(key: [UInt8], message: [UInt8]?, unsubscribe: [UInt8]?) -> Failure? {
    if message == nil && options.subscribeMessage == nil && !options.resume {
      return Failure(.invalidArgument, "message is NULL, and option subscribe_message, of which it would be made, is not set")
    }
    mutex.lock()
    defer { mutex.unlock() }
    if closeStarted && isClosedForGood { return closedByCaller() }
    let set = subscriptions ?? SubscriptionSet()
    subscriptions = set
    // With a text of its own and none to end it, nothing is sent at the end: an empty text stands for that.
    let ending = message != nil && unsubscribe == nil ? [] : unsubscribe
    switch set.add(key: key, subscribe: message, unsubscribe: ending) {
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
      return Failure(.invalidArgument, "there are \(set.count) subscriptions; more are not allowed")
    }
    return nil
  }

  package func unsubscribe(key: [UInt8]) -> StatusCode {
    twin?.order.lock()
    defer { twin?.order.unlock() }
    _ = twin?.partner.unsubscribe(key: key)
    mutex.lock()
    defer { mutex.unlock() }
    _ = successor?.session.subscriptions?.remove(key: key)
    guard let subscriptions, subscriptions.remove(key: key) else { return .ok }
    inbound.points?.forget(key)
    subscriptionsChanged()
    return .ok
  }

  /// The loop sends them, so that many calls in a row make few messages.
  private func subscriptionsChanged() {
    guard stage == .ready || stage == .subscribing || successor != nil else { return }
    host.loop.post(self, tag: Post.flow)
    host.hurry()
  }

  // MARK: What changes between connects

  package func setHeader(_ name: String, _ value: String?) -> Failure? {
    twin?.order.lock()
    defer { twin?.order.unlock() }
    if let failure = twin?.partner.setHeader(name, value) { return failure }
    mutex.lock()
    defer { mutex.unlock() }
    var changed: [HTTPHeader] = []
    let wanted = lowercased(name)
    for header in headers where !equal(lowercased(header.name), wanted) { changed.append(header) }
    if let value {
      changed.append(HTTPHeader(name: name, value: ClientOptions.withoutBlanks(value.bytes[...])))
      if let problem = HeaderCheck.problem(changed) { return Failure(.badValue, text: problem) }
    }
    headers = changed
    successor?.isOutdated = true
    return nil
  }

  package func setURL(_ text: String) -> Failure? {
    switch WebSocketURL.parse(text) {
    case .failure(let problem):
      return Failure(.badURL, text: problem.text)
    case .success(let url):
      mutex.lock()
      defer { mutex.unlock() }
      if url.isSecure != urls[0].isSecure {
        return Failure(.badURL, "the URL must stay with \(urls[0].isSecure ? "wss" : "ws")")
      }
      urls[0] = url
      successor?.isOutdated = true
      return nil
    }
  }
}
