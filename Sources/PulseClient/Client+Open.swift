// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
import PulseTransport
import PulseWire

/// From the first call to an open connection: resolve, connect, secure, upgrade.
extension Client {
  /// Starts to connect; does nothing when that was done before.
  package func start() -> StatusCode {
    mutex.lock()
    defer { mutex.unlock() }
    return startLocked()
  }

  private func startLocked() -> StatusCode {
    if closeStarted { return .closed }
    guard phase == .idle else { return .ok }
    state = .connecting
    let now = Clock.monotonic()
    openTimer = host.loop.schedule(self, tag: Signal.openDeadline, deadline: now &+ options.openTimeout)
    reportState(cause: "open")
    if let address = AddressResolver.literal(url.host, port: url.port) {
      addresses = .success([address])
      phase = .resolving
      host.loop.post(self, tag: Signal.resolved)
      host.hurry()
    } else {
      phase = .resolving
      if !ResolverPool.submit(host: url.host, port: url.port, for: self) {
        end(Failure(.noFiles, "can't start a thread to resolve \(url.host)"))
      }
    }
    return .ok
  }

  /// Starts, and waits for the outcome of the attempt.
  package func open(timeout: Int64) -> Failure? {
    let deadline = Client.deadline(after: timeout)
    mutex.lock()
    defer { mutex.unlock() }
    if closeStarted { return closedByCaller() }
    _ = startLocked()
    func isDecided() -> Bool { phase == .open || phase == .ended || closeStarted }
    if timeout == 0 && !isDecided() { driveBriefly() }
    if block(until: deadline, isDecided) {
      if closeStarted { return closedByCaller() }
      // A server that accepts and closes at once: the attempt succeeded, and there may be messages to receive.
      return phase == .ended && openedAt == 0 ? failure : nil
    }
    return Failure(.timeout, "not connected to \(url.redacted) yet")
  }

  /// Whether an answer of the resolver is still wanted.
  var isResolving: Bool {
    mutex.lock()
    defer { mutex.unlock() }
    return phase == .resolving
  }

  /// The resolver's answer; called by its thread.
  func resolved(_ answer: Result<[SocketAddress], TransportError>) {
    mutex.lock()
    if phase == .resolving {
      addresses = answer
      host.loop.post(self, tag: Signal.resolved)
    }
    mutex.unlock()
    host.hurry()
  }

  func connectToAddresses() {
    guard let answer = addresses else { return }
    addresses = nil
    switch answer {
    case .failure(let error):
      end(Failure(error))
    case .success(let list):
      phase = .connecting
      let connector = Connector(
        loop: host.loop, addresses: list, name: "\(url.host):\(url.port)", deadline: Int64.max,
        report: { outcome in self.connected(outcome) })
      self.connector = connector
      connector.start()
      host.hurry()
    }
  }

  /// Called by the driver, with no lock held.
  private func connected(_ outcome: Result<Connector.Connected, TransportError>) {
    mutex.lock()
    defer { mutex.unlock() }
    guard phase == .connecting else {
      if case .success(let winner) = outcome { psys_close(winner.descriptor) }
      return
    }
    connector = nil
    switch outcome {
    case .failure(let error):
      end(Failure(error))
    case .success(let winner):
      let tcp = winner.makeStream()
      do throws(TransportError) {
        if let tlsContext {
          stream = tlsContext.makeStream(over: tcp, host: url.host)
        } else {
          stream = tcp
        }
        registration = try host.loop.registerForChanges(winner.descriptor, self)
      } catch {
        if stream == nil { tcp.close() }
        end(Failure(error))
        return
      }
      if url.isSecure {
        phase = .securing
        continueSecuring()
      } else {
        sendUpgradeRequest()
      }
    }
  }

  func continueSecuring() {
    guard let stream else { return }
    var progress = stream.handshake()
    // The end has no event of its own when it came along with the last bytes: a second try meets it.
    if case .wouldBlock = progress, inputIsEnding { progress = stream.handshake() }
    switch progress {
    case .bytes:
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

  private func sendUpgradeRequest() {
    let key = handshakeKey()
    var offer: DeflateOffer? = nil
    if options.compression {
      let bits = options.compressionWindowBits
      offer = DeflateOffer(
        clientNoContextTakeover: !options.compressionContextTakeover,
        serverNoContextTakeover: !options.compressionContextTakeover,
        clientMaxWindowBits: bits == 15 ? 0 : bits, serverMaxWindowBits: bits == 15 ? nil : bits)
    }
    var headers = options.headers
    if let credentials = url.credentials, !hasHeader("authorization") {
      let login = Base64.encode([UInt8]("\(credentials.user):\(credentials.password)".utf8))
      headers.append(HTTPHeader(name: "Authorization", value: "Basic " + String(decoding: login, as: UTF8.self)))
    }
    if !hasHeader("user-agent") { headers.append(HTTPHeader(name: "User-Agent", value: "pulsews/" + text(Version.text))) }
    let request = UpgradeRequest(
      target: url.target, hostHeader: url.hostHeader, key: key, subprotocols: options.subprotocols, headers: headers,
      offerDeflate: offer)
    switch request.encode() {
    case .failure(let problem):
      end(Failure(.invalidArgument, problem.text))
    case .success(let bytes):
      bytes.withUnsafeBytes { output.append($0) }
      ledger.skip(bytes: bytes.count)
      upgradeParser = UpgradeResponseParser(
        key: key, subprotocols: options.subprotocols, offer: offer, maxSize: 64 << 10)
      phase = .upgrading
      flush()
    }
  }

  private func handshakeKey() -> [UInt8] {
    var key = [UInt8](repeating: 0, count: 16)
    key.withUnsafeMutableBytes { random.fill($0) }
    return key
  }

  private func hasHeader(_ name: String) -> Bool {
    for header in options.headers where equal(lowercased(header.name), name) { return true }
    return false
  }

  /// Bytes of the server's answer.
  func upgradeBytes(_ bytes: UnsafeMutableRawBufferPointer, receivedAt: Int64) {
    guard let parser = upgradeParser else { return }
    switch parser.receive(UnsafeRawBufferPointer(bytes)) {
    case .needMoreBytes:
      break
    case .accepted(let acceptance):
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
    case .refused(let refusal): refuse(refusal)
    case .failed, .needMoreBytes, .accepted: end(failure)
    }
  }

  private func failUpgrade(_ problem: UpgradeFailure) {
    let code: StatusCode =
      switch problem.kind {
      case .invalid: .upgrade
      case .malformed, .tooLarge: .headers
      case .incomplete: .endOfStream
      }
    end(Failure(code, "\(url.redacted): \(problem.text)"))
  }

  private func refuse(_ refusal: UpgradeRefusal) {
    self.refusal = refusal
    var sentence = "\(url.redacted): the server refused the WebSocket handshake with status \(refusal.status)"
    if !refusal.reason.utf8.isEmpty { sentence += " \(quoted(refusal.reason))" }
    let hint = refusal.hint
    if !hint.utf8.isEmpty { sentence += "; \(hint)" }
    end(Failure(.handshake, sentence))
  }

  private func becomeOpen(_ acceptance: UpgradeAcceptance) {
    self.acceptance = acceptance
    upgradeParser = nil
    var configuration = WireConfiguration(role: .client)
    configuration.maxMessageSize = options.maxMessageSize
    configuration.deflate = acceptance.deflate
    configuration.compressionThreshold = options.compressionThreshold
    wire = WireConnection(configuration: configuration)
    if let timer = openTimer {
      host.loop.cancel(timer)
      openTimer = nil
    }
    phase = .open
    state = .connected
    let now = Clock.monotonic()
    openedAt = now
    lastReceivedAt = now
    nextPingAt = options.heartbeatInterval > 0 ? now &+ options.heartbeatInterval : Int64.max
    statistics.connections &+= 1
    scheduleHeartbeat()
    reportState(cause: "accepted")
    wake()
  }

  func openDeadlinePassed() {
    let doing: StaticString
    switch phase {
    case .resolving: doing = "the host name was not resolved"
    case .connecting: doing = "the TCP connection was not made"
    case .securing: doing = "the TLS handshake was not finished"
    case .upgrading: doing = "the server did not answer the WebSocket handshake"
    case .idle, .open, .closing, .ended: return
    }
    let failure = Failure(
      .openTimeout, "\(url.redacted): \(text(doing)) within open_timeout (\(jsonSeconds(options.openTimeout)) s)")
    if phase == .upgrading { upgradeEnded(failure) } else { end(failure) }
  }
}
