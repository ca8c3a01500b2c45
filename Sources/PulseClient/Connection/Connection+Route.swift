// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// The way to the server: names, proxies, and where redirects lead. The client's lock is held.
extension Connection {
  // MARK: Names

  /// Begins the way to `url`, directly or through a proxy.
  func findWay() {
    proxy = nil
    targets = []
    resolvesTarget = false
    switch client.ways.proxies.choice(isSecure: url.isSecure, host: url.host, port: url.port) {
    case .direct:
      resolve(url.host, url.port)
    case .bad(let problem):
      // That of the client's own URL was refused when the client was made.
      end(Failure(.redirect, "\(url.redacted): \(problem)"))
    case .proxy(let found):
      proxy = found
      line.log(.debug) { "\(self.url.redacted) goes through the proxy \(found.name)" }
      resolvesTarget = found.resolvesHere
      if resolvesTarget { resolve(url.host, url.port) } else { resolve(found.host, found.port) }
    }
  }

  private func resolve(_ name: String, _ port: UInt16) {
    phase = .resolving
    if let address = AddressResolver.literal(name, port: port) {
      addresses = .success([address])
      host.loop.post(self, tag: Post.resolved)
      host.hurry()
    } else if !ResolverPool.submit(name, for: self) {
      end(Failure(.noFiles, "can't start a thread to resolve \(name)"))
    }
  }

  func connectToAddresses() {
    guard let answer = addresses else { return }
    addresses = nil
    switch answer {
    case .failure(let error):
      end(Failure(resolvesTarget ? error : named(error)))
    case .success(let found):
      let port = resolvesTarget ? url.port : proxy?.port ?? url.port
      var list: [SocketAddress] = []
      var text: Sentence = "resolved to:"
      for address in found {
        list.add(address.with(port: port))
        text.add(" \(address.host)")
      }
      line.log(.debug) { text }
      if targets.isEmpty { known = list }
      if resolvesTarget, let proxy {
        resolvesTarget = false
        targets = AddressMemory.ordered(list).list
        resolve(proxy.host, proxy.port)
      } else {
        connect(to: list)
      }
    }
  }

  /// What happened on the way to the proxy, if there is one.
  private func named(_ error: TransportError) -> TransportError {
    if let proxy { error.atProxy(proxy.name) } else { error }
  }

  // MARK: Connecting

  private func connect(to list: [SocketAddress]) {
    phase = .connecting
    let place = sentence("\(proxy?.host ?? url.host):\(proxy?.port ?? url.port)")
    line.log(.debug) { "connecting to \(place), \(list.count) addresses" }
    let connector = Connector(
      loop: host.loop, addresses: list, name: place, deadline: Int64.max,
      suspectDelayNs: max(client.options.openTimeout / 4, Connector.recommendedAttemptDelay),
      report: { outcome in self.connected(outcome) })
    self.connector = connector
    connector.start()
    host.hurry()
  }

  /// Called by the driver, with no lock held.
  private func connected(_ outcome: Result<Connector.Connected, TransportError>) {
    client.mutex.lock()
    defer { client.mutex.unlock() }
    guard phase == .connecting else {
      if case .success(let winner) = outcome { psys_close(winner.descriptor) }
      return
    }
    others = connector?.others ?? []
    connector = nil
    switch outcome {
    case .failure(let error):
      end(Failure(named(error)))
    case .success(let winner):
      stream = winner.makeStream()
      address = winner.address
      line.log(.debug) { "the TCP connection to \(winner.address.description) is made" }
      limitShare()
      do throws(TransportError) {
        registration = try host.loop.registerForChanges(winner.descriptor, self)
      } catch {
        end(Failure(error))
        return
      }
      if let proxy { enter(proxy) } else { secure() }
    }
  }

  // MARK: Proxies

  private func enter(_ proxy: ProxyURL) {
    guard var lower = stream else { return }
    if proxy.scheme == .https, let context = client.ways.proxyTLS {
      if !client.options.verify { line.log(.warning) { "TLS without verification with the proxy \(proxy.name)" } }
      lower = context.makeStream(over: lower, host: proxy.host, port: proxy.port)
      overTLS = true
    }
    let tunnel = ProxyStream(over: lower, proxy: proxy, host: url.host, port: url.port, address: targets.first)
    self.tunnel = tunnel
    stream = tunnel
    phase = .proxying
    line.log(.debug) {
      if let target = self.targets.first {
        "connected to the proxy \(proxy.name); asking it for \(target.description)"
      } else {
        "connected to the proxy \(proxy.name); asking it for \(self.url.host):\(self.url.port)"
      }
    }
    continueProxying()
  }

  func continueProxying() {
    guard let tunnel else { return }
    var progress = tunnel.handshake()
    // The end has no event of its own when it came along with the last bytes: a second try meets it.
    if case .wouldBlock = progress, inputIsEnding { progress = tunnel.handshake() }
    switch progress {
    case .bytes:
      line.log(.debug) { "the proxy has opened the tunnel" }
      self.tunnel = nil
      secure()
      // What came behind the proxy's answer had its event then.
      if phase == .upgrading { readInput() }
    case .wouldBlock, .end:
      if tunnel.isReadingBody { limitBody() }
    case .failed(let error):
      if tunnel.refusedAddress, tryNextTarget() {
        line.log(.debug) { "\(error.text); trying the next address" }
      } else {
        end(Failure(error))
      }
    }
  }

  /// Asks the proxy for another address of the server.
  private func tryNextTarget() -> Bool {
    guard targets.count > 1, let address else { return false }
    targets.removeFirst()
    leaveStream()
    connect(to: [address])
    return true
  }

  // MARK: Addresses that fail behind TCP

  /// Where a failure of the present phase lies: the proxy as long as it is being asked, else the server, if that was
  /// resolved here.
  var blamedAddress: SocketAddress? { phase == .proxying ? address : targets.first ?? address }

  /// An address of the name that has not failed lately and was not tried in this attempt.
  private var hasAnother: Bool {
    targets.count > 1 ? AddressMemory.hasSound(targets, from: 1) : AddressMemory.hasSound(others, from: 0)
  }

  /// An address that takes the connection and then hangs leaves time for another.
  private func limitShare() {
    let now = Clock.monotonic()
    let left = Clock.deadline(startedAt, after: client.options.openTimeout) &- now
    if left < 2_000_000_000 || !hasAnother { return }
    shareTimer = host.loop.schedule(self, tag: Timer.share, deadline: Clock.deadline(now, after: left / 2))
  }

  /// The verdict is there: it does not wait long for its reasons.
  func limitBody() {
    if isReadingBody { return }
    isReadingBody = true
    cancel(&shareTimer)
    shareTimer = host.loop.schedule(self, tag: Timer.share, deadline: Clock.monotonic() &+ 1_000_000_000)
  }

  /// A failure behind the TCP connection is remembered as one of the address, which is named. True if the attempt goes
  /// on with another one that has not failed lately: each attempt but the first few makes one connection.
  func leavesAddress(_ failure: Failure) -> Bool {
    guard openedAt == 0, failure.isOfAddress else { return false }
    if phase != .connecting && phase != .resolving, let blamed = blamedAddress {
      AddressMemory.note(blamed, failure.isFatal ? .failedForGood : .failed)
      failure.isOfOneAddress = AddressMemory.hasHope(known)
      if known.count > 1 || !hasAddress {
        failure.text = sentence("\(failure.text) (address \(blamed.description))")
      }
      if failure.code != .handshake, openTimer != nil, hasAnother {
        let text = failure.text
        line.log(.warning) { "\(text); trying another address" }
        if !left.bytes.isEmpty { left.add(", ") }
        left.add("\(blamed.description)")
        let rest = others
        if !tryNextTarget() {
          leaveStream()
          connect(to: rest)
        }
        return true
      }
    }
    if !left.bytes.isEmpty { failure.text = sentence("\(failure.text); before that failed \(left)") }
    return false
  }

  /// The way began with an address, which sentences name anyway.
  private var hasAddress: Bool {
    if let proxy, phase == .proxying || targets.isEmpty { return AddressResolver.literal(proxy.host, port: 0) != nil }
    return proxy == nil && AddressResolver.literal(url.host, port: 0) != nil
  }

  // MARK: TLS

  /// TCP, or the tunnel, is there: TLS to the server, or its WebSocket handshake at once.
  private func secure() {
    guard url.isSecure, let tlsContext, let lower = stream else {
      sendUpgradeRequest()
      return
    }
    stream = makeTLS(over: lower, with: tlsContext)
    overTLS = true
    phase = .securing
    continueSecuring()
  }

  // MARK: Redirects

  /// Leaves the server for the one it names, within this attempt. False if the answer names none, or with a problem if
  /// that can't be followed.
  func follow(_ refusal: UpgradeRefusal, _ problem: inout Sentence?) -> Bool {
    guard WebSocketURL.isRedirect(status: refusal.status), let location = refusal.location else { return false }
    var next: WebSocketURL?
    problem = checkRedirect(location, &next)
    guard let next else { return false }
    line.statistics.redirects &+= 1
    line.log(.debug) { "\(self.url.redacted) redirects to \(next.redacted) with status \(refusal.status)" }
    leaveStream()
    visited.append(url)
    url = next
    findWay()
    return true
  }

  /// A sentence on what is wrong with it, or where it leads.
  private func checkRedirect(_ location: String, _ next: inout WebSocketURL?) -> Sentence? {
    let limit = client.options.maxRedirects
    if limit == 0 { return "max_redirects is 0" }
    if visited.count >= limit { return "it is more than max_redirects (\(limit)) allows" }
    let found: WebSocketURL
    switch url.resolving(location: location) {
    case .failure(let problem): return "\(problem.text)"
    case .success(let url): found = url
    }
    var circle = found.isSameRequest(as: url)
    for before in visited where before.isSameRequest(as: found) { circle = true }
    if circle { return "it leads in a circle, back to \(found.redacted)" }
    if !found.hasSameOrigin(as: endpointURL), !client.options.login.isEmpty || client.options.holdLogin {
      return "it leads to another origin, which must not get the login; if it is right make it the URL: \(found.redacted)"
    }
    if found.isSecure, tlsContext == nil {
      do throws(TransportError) {
        tlsContext = try ClientFactory.tlsContext(client.options)
      } catch {
        return "\(error.text)"
      }
    }
    next = found
    return nil
  }

  /// Gives up the stream for another one of the same attempt.
  private func leaveStream() {
    cancel(&shareTimer)
    isReadingBody = false
    if let registration { host.loop.unregister(registration) }
    registration = nil
    stream?.shutdown()
    stream?.close()
    stream = nil
    tunnel = nil
    tls = nil
    upgradeParser = nil
    output.removeAll(keepingCapacityUpTo: 0)
    ledger = FrameLedger()
    overTLS = false
    inputIsEnding = false
    writeIsBlocked = false
    outputIsCut = false
    readsAgain = false
    brokenWrite = nil
  }

  // MARK: What goes to the server

  /// The application's headers. Any but those that tell nothing may be a key, and stay with the server of its own URL.
  var headersToSend: [HTTPHeader] {
    if url.hasSameOrigin(as: endpointURL) { return client.headers }
    var headers: [HTTPHeader] = []
    for header in client.headers where Connection.isHarmless(header.name) { headers.append(header) }
    return headers
  }

  @inline(never)
  private static func isHarmless(_ header: String) -> Bool {
    let name = lowercased(header)
    return equal("user-agent", name) || equal("origin", name) || equal("accept-language", name)
  }

  /// User and password of the client's own URL, for its server only.
  var credentialsToSend: (user: String, password: String)? {
    url.hasSameOrigin(as: endpointURL) ? endpointURL.credentials : nil
  }
}

extension UpgradeRefusal {
  /// The value of its Location header.
  var location: String? {
    for header in headers where equal(lowercased(header.name), "location") { return header.value }
    return nil
  }
}
