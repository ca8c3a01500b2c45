// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import CPulseSys
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// From the first step to an open connection: resolve, connect, secure, upgrade. The client's lock is held.
extension Connection {
  func start() {
    let options = client.options
    openTimer = host.loop.schedule(
      self, tag: Timer.openDeadline, deadline: Clock.deadline(startedAt, after: options.openTimeout))
    findWay()
  }

  /// The resolver's answer; called by its thread, without the lock.
  func resolved(_ answer: Result<[SocketAddress], TransportError>) {
    client.mutex.lock()
    if phase == .resolving {
      addresses = answer
      host.loop.post(self, tag: Post.resolved)
    }
    client.mutex.unlock()
    host.hurry()
  }

  func continueSecuring() {
    guard let stream else { return }
    var progress = stream.handshake()
    // The end has no event of its own when it came along with the last bytes: a second try meets it.
    if case .wouldBlock = progress, inputIsEnding { progress = stream.handshake() }
    switch progress {
    case .bytes:
      tlsIsOpen()
      sendUpgradeRequest()
      // What came behind the handshake had its event then.
      if phase == .upgrading { readInput() }
    case .wouldBlock:
      break
    case .end:
      end(Failure(.tls, "\(url.redacted): the server ended the connection during the TLS handshake"))
    case .failed(let error):
      end(Failure(error))
    }
  }

  func sendUpgradeRequest() {
    let options = client.options
    let key = handshakeKey()
    var offer: DeflateOffer? = nil
    if options.compression {
      let bits = options.compressionWindowBits
      offer = DeflateOffer(
        clientNoContextTakeover: !options.compressionContextTakeover,
        serverNoContextTakeover: !options.compressionContextTakeover,
        clientMaxWindowBits: bits == 15 ? 0 : bits, serverMaxWindowBits: bits == 15 ? nil : bits)
    }
    var headers = headersToSend
    if let credentials = credentialsToSend, !hasHeader("authorization") {
      headers.append(HTTPHeader(name: "Authorization", value: basic(credentials)))
    }
    if !hasHeader("user-agent") { headers.append(HTTPHeader(name: "User-Agent", value: sentence("pulsews/\(Version.text)"))) }
    let request = UpgradeRequest(
      target: url.target, hostHeader: url.hostHeader, key: key, subprotocols: options.subprotocols, headers: headers,
      offerDeflate: offer)
    switch request.encode() {
    case .failure(let problem):
      end(Failure(.invalidArgument, text: problem.text))
    case .success(let bytes):
      logHeaders("the upgrade request goes out", headers)
      bytes.withUnsafeBytes { output.append($0) }
      ledger.skip(bytes: bytes.count)
      upgradeParser = UpgradeResponseParser(
        key: key, subprotocols: options.subprotocols, offer: offer, maxSize: 64 << 10, stopsAtRedirects: true)
      phase = .upgrading
      flush()
    }
  }

  private func handshakeKey() -> [UInt8] {
    var key = [UInt8](repeating: 0, count: 16)
    key.withUnsafeMutableBytes { random.fill($0) }
    return key
  }

  private func basic(_ credentials: (user: String, password: String)) -> String {
    let login = Base64.encode(("\(credentials.user):\(credentials.password)" as Sentence).bytes)
    return sentence("Basic \(String(bytes: login))")
  }

  private func hasHeader(_ name: String) -> Bool {
    for header in client.headers where equal(lowercased(header.name), name) { return true }
    return false
  }

  /// Bytes of the server's answer.
  func upgradeBytes(_ bytes: UnsafeMutableRawBufferPointer, receivedAt: Int64) {
    guard let parser = upgradeParser else { return }
    switch parser.receive(UnsafeRawBufferPointer(bytes)) {
    case .needMoreBytes:
      if parser.isReadingBody { limitBody() }
    case .accepted(let acceptance):
      if client.options.resume, !equal("pulse.v1", acceptance.subprotocol ?? "") {
        return end(Failure(.handshake, "\(url.redacted): the server does not speak pulse.v1 here (option resume)"))
      }
      becomeOpen(acceptance)
      if acceptance.consumed < bytes.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[acceptance.consumed...])
        receiveFrames(rest, receivedAt: receivedAt)
      }
    case .refused(let refusal):
      refuse(refusal)
    case .failed(let problem):
      failUpgrade(problem)
    }
  }

  /// The stream ended before the answer was whole.
  func upgradeEnded(_ failure: Failure) {
    guard let parser = upgradeParser else {
      end(failure)
      return
    }
    switch parser.finish() {
    case .refused(let refusal): return refuse(refusal)
    case .failed(let problem): keepAnswer(problem.answer)
    case .needMoreBytes, .accepted: break
    }
    end(failure)
  }

  /// For whoever asks what the server said.
  private func keepAnswer(_ refusal: UpgradeRefusal) {
    logHeaders("the answer is \(refusal.status)", refusal.headers)
    guard self === line.connection else { return }
    line.refusal = refusal
    line.acceptance = nil
  }

  /// Names only: any value may be a key.
  @inline(never)
  private func logHeaders(_ what: Sentence, _ headers: [HTTPHeader]) {
    var text = what + "; headers:"
    for header in headers where text.bytes.count < 400 {
      text.add(" ")
      text.add(Sentence(header.name.bytes.prefix(64)))
    }
    line.log(.debug) { text }
  }

  private func failUpgrade(_ problem: UpgradeFailure) {
    keepAnswer(problem.answer)
    let code: StatusCode =
      switch problem.kind {
      case .invalid: .upgrade
      case .malformed, .tooLarge: .headers
      case .incomplete: .endOfStream
      }
    end(Failure(code, "\(url.redacted): \(problem.text)"))
  }

  private func refuse(_ refusal: UpgradeRefusal) {
    var problem: Sentence?
    if follow(refusal, &problem) { return }
    keepAnswer(refusal)
    if let problem {
      let failure = Failure(
        .redirect, "\(url.redacted): the server's redirect (status \(refusal.status)) can't be followed: \(problem)")
      failure.httpStatus = refusal.status
      end(failure)
      return
    }
    var why: Sentence = "\(url.redacted): the server refused the WebSocket handshake with status \(refusal.status)"
    var sent: Sentence = "\(url.target)"
    for header in headersToSend { sent.add(" \(header.value)") }
    if let login = credentialsToSend { sent.add(" \(login.user) \(login.password) \(basic(login))") }
    let reason = refusal.reason.bytes
    if !reason.isEmpty && pulse_repeats(reason, reason.count, sent.bytes, sent.bytes.count, nil, 0) == 0 {
      why.add(" \(quoted(refusal.reason))")
    }
    let excerpt = refusal.excerpt(sent: sent.bytes, shown: url.redacted.bytes)
    if !excerpt.bytes.isEmpty { why.add(": \(excerpt)") }
    let hint = refusal.hint
    if !hint.hasNoBytes { why.add("; \(hint)") }
    let failure = Failure(.handshake, why)
    failure.httpStatus = refusal.status
    failure.retryAfter = refusal.retryAfter(now: Clock.realtime() / 1_000_000_000)
    end(failure)
  }

  private func becomeOpen(_ acceptance: UpgradeAcceptance) {
    let options = client.options
    upgradeParser = nil
    var configuration = WireConfiguration(role: .client)
    configuration.maxMessageSize = options.maxMessageSize
    configuration.deflate = acceptance.deflate
    configuration.compressionThreshold = options.compressionThreshold
    wire = WireConnection(configuration: configuration)
    logHeaders("the answer is 101", acceptance.headers)
    cancel(&openTimer)
    cancel(&shareTimer)
    if let blamedAddress { AddressMemory.note(blamedAddress, .served) }
    phase = .open
    let now = Clock.monotonic()
    openedAt = now
    lastReceivedAt = now
    serverHeartbeatAt = now
    if options.heartbeatInterval > 0 { nextHeartbeatAt = Clock.deadline(now, after: options.heartbeatInterval) }
    scheduleHeartbeat()
    self.acceptance = acceptance
    if self === line.connection {
      line.acceptance = acceptance
      line.refusal = nil
    }
    line.connectionOpened(self)
  }

  func cancel(_ timer: inout TimerID?) {
    if let running = timer { host.loop.cancel(running) }
    timer = nil
  }

  /// This process did not run when the time was over. What had arrived by now was read, but the server may have more to
  /// answer: it gets a moment for that, once.
  private func goesOnLate() -> Bool {
    let timeout = client.options.openTimeout
    let now = host.loop.turnTime
    guard answerUntil == 0, now &- Clock.deadline(startedAt, after: timeout) > Connection.answerTime else { return false }
    answerUntil = Clock.deadline(now, after: min(2 * Connection.answerTime, timeout))
    openTimer = host.loop.schedule(self, tag: Timer.openDeadline, deadline: answerUntil)
    return true
  }

  func openDeadlinePassed() {
    if goesOnLate() { return }
    var limit: Sentence = "open_timeout (\(seconds: client.options.openTimeout) s)"
    let stuck = phase == .resolving ? ResolverPool.stuck(before: self) : 0
    if stuck > 0 { limit.add(": \(stuck) name look-ups are stuck") }
    isLate(limit)
  }

  /// The address has had its share of the time, or a refusal's body goes on and on.
  func shareIsOver() { isLate("half of the time that was left of open_timeout") }

  private func isLate(_ limit: Sentence) {
    var doing: Sentence
    switch phase {
    case .resolving:
      doing =
        proxy == nil || resolvesTarget
        ? "the host name was not resolved" : "the host name of the proxy was not resolved"
    case .connecting:
      doing = proxy == nil ? "the TCP connection was not made" : "the TCP connection to the proxy was not made"
    case .proxying:
      // It may have refused, and have owed no more than the page for that.
      if let refusal = tunnel?.timedOut() {
        end(Failure(refusal))
        return
      }
      doing = "the proxy did not answer"
    case .securing: doing = "the TLS handshake was not finished"
    case .upgrading: doing = "the server did not answer the WebSocket handshake"
    case .open, .closing, .ended: return
    }
    if let proxy, phase == .connecting || phase == .proxying { doing.add(" (\(proxy.name))") }
    let failure = Failure(.openTimeout, "\(url.redacted): \(doing) within \(limit)")
    if phase == .upgrading { upgradeEnded(failure) } else { end(failure) }
  }
}
