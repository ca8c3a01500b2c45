// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import PulseTransport
import PulseWire

/// From an open connection to one that takes messages: login, then subscriptions. `mutex` is held unless a function is
/// `package`.
extension Client {
  // MARK: Steps

  func beginSession(on connection: Connection) {
    subscriptions?.beginConnection()
    confirmsAwaited = 0
    nextSubscribeAt = 0
    loginIsConfirmed = false
    stage = .login
    for template in options.login { sendOwn(render(template), on: connection) }
    if options.holdLogin { beginHold(.login, endpoint: connection.url) }
    advanceSession()
  }

  /// Goes as far as it can now.
  func advanceSession() {
    guard let connection, connection.phase == .open else { return }
    if stage == .login && hold == nil {
      stage = options.loginConfirm.isEmpty || loginIsConfirmed ? .subscribing : .confirming
      if stage == .confirming { watchSession(options.loginTimeout) }
    }
    if stage == .subscribing && sendSubscriptions(on: connection) && confirmsAwaited == 0 { becomeReady(connection) }
    if !connection.writeIsBlocked { connection.flush() }
  }

  private func watchSession(_ timeout: Int64) {
    cancel(&sessionTimer)
    sessionTimer = host.loop.schedule(
      self, tag: Signal.session, deadline: Clock.deadline(Clock.monotonic(), after: timeout))
  }

  private func becomeReady(_ connection: Connection) {
    stage = .ready
    readyAt = Clock.monotonic()
    cancel(&sessionTimer)
    if options.backlogInterval > 0 && !outbox.isEmpty {
      backlogEnd = lastID
      nextBacklogAt = readyAt
    } else {
      backlogEnd = 0
    }
    isDirect = limiter == nil
    stableTimer = host.loop.schedule(
      self, tag: Signal.stable, deadline: Clock.deadline(readyAt, after: options.stableTime))
    report(
      "{\"event\":\"ready\",\"endpoint\":\(json: connection.url.redacted),\"attempt\":\(attemptNumber),"
        + "\"subscriptions\":\(subscriptions?.count ?? 0),\"seconds\":\(seconds: readyAt &- connection.openedAt)}")
    log(.info) { "ready" }
    wake()
  }

  /// The connection is over.
  func endSession() {
    stage = .none
    isDirect = false
    backlogEnd = 0
    cancel(&sessionTimer)
    cancel(&stableTimer)
    cancel(&staleTimer)
    // One for the login, or for an attempt at a preferred endpoint.
    hold = nil
    holdIsOver = false
    cancel(&holdTimer)
    cancel(&homewardTimer)
    leaveSuccessor()
    rescheduleFlow()
  }

  func sessionTimedOut() {
    guard let connection, connection.phase == .open else { return }
    switch stage {
    case .confirming:
      connection.leave(
        Failure(
          .login,
          "\(url.redacted): no message confirmed the login within login_timeout (\(seconds: options.loginTimeout) s)"))
    case .subscribing, .ready:
      if confirmsAwaited == 0 { return }
      connection.leave(
        Failure(
          .subscribe,
          "\(url.redacted): \(confirmsAwaited) messages that subscribe were not confirmed within subscribe_timeout (\(seconds: options.subscribeTimeout) s)"
        ))
    case .none, .login:
      break
    }
  }

  /// This may be before the application has released its hold.
  func loginConfirmed() {
    loginIsConfirmed = true
    log(.debug) { "the login is confirmed" }
    guard stage == .confirming else { return }
    cancel(&sessionTimer)
    stage = .subscribing
    advanceSession()
  }

  func subscriptionConfirmed() {
    guard confirmsAwaited > 0 else { return }
    confirmsAwaited -= 1
    if confirmsAwaited > 0 { return }
    cancel(&sessionTimer)
    if stage == .subscribing { advanceSession() }
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
  func noteMessage() { limiter?.note(Clock.monotonic()) }

  func noteControl() {
    if options.rateLimitControl { limiter?.note(Clock.monotonic()) }
  }

  // MARK: Subscriptions

  /// Sends what is to be sent, as far as limits and room allow. True when nothing is left.
  func sendSubscriptions(on connection: Connection) -> Bool {
    guard let subscriptions, subscriptions.pending > 0 else { return true }
    while connection.takesMessages && connection.hasRoom {
      let now = Clock.monotonic()
      if now < nextSubscribeAt {
        scheduleFlow(at: nextSubscribeAt)
        return false
      }
      if limiter?.admit(now) == false {
        scheduleFlow(at: limiter?.readyAt(now) ?? now)
        return false
      }
      guard let work = subscriptions.next(batch: options.subscribeBatch) else { return true }
      var isSubscribe = false
      switch work {
      case .subscribe(let keys):
        isSubscribe = true
        if let template = options.subscribeMessage { connection.encodeOwn(render(template, keys: keys)) }
      case .unsubscribe(let keys):
        if let template = options.unsubscribeMessage { connection.encodeOwn(render(template, keys: keys)) }
      case .text(let text, _, let isUnsubscribe):
        isSubscribe = !isUnsubscribe
        if !text.isEmpty { connection.encodeOwn(text) }
      }
      if options.subscribeInterval > 0 { nextSubscribeAt = Clock.deadline(now, after: options.subscribeInterval) }
      if isSubscribe && !options.subscribeConfirm.isEmpty {
        confirmsAwaited += 1
        watchSession(options.subscribeTimeout)
      }
      if subscriptions.pending == 0 { return true }
    }
    return false
  }

  package func subscribe(key: [UInt8], message: [UInt8]?, unsubscribe: [UInt8]?) -> Failure? {
    if message == nil && options.subscribeMessage == nil {
      return Failure(.invalidArgument, "message is NULL; allowed only with option subscribe_message")
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
      subscriptionsChanged()
    case .unchanged:
      break
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
    mutex.lock()
    defer { mutex.unlock() }
    guard let subscriptions, subscriptions.remove(key: key) else { return .ok }
    subscriptionsChanged()
    return .ok
  }

  /// The loop sends them, so that many calls in a row make few messages.
  private func subscriptionsChanged() {
    guard stage == .ready || stage == .subscribing else { return }
    host.loop.post(self, tag: Signal.flow)
    host.hurry()
  }

  // MARK: What changes between connects

  package func setHeader(_ name: String, _ value: String?) -> Failure? {
    mutex.lock()
    defer { mutex.unlock() }
    var changed: [HTTPHeader] = []
    let wanted = lowercased(name)
    for header in headers where !equal(lowercased(header.name), wanted) { changed.append(header) }
    if let value {
      changed.append(HTTPHeader(name: name, value: ClientOptions.withoutBlanks([UInt8](value.utf8)[...])))
      if let problem = HeaderCheck.problem(changed) { return Failure(.badValue, text: problem) }
    }
    headers = changed
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
      return nil
    }
  }
}
