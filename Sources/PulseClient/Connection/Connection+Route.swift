// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
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
    switch client.proxies.choice(isSecure: url.isSecure, host: url.host, port: url.port) {
    case .direct:
      resolve(url.host, url.port)
    case .bad(let problem):
      // That of the client's own URL was refused when the client was made.
      end(Failure(.redirect, "\(url.redacted): \(problem)"))
    case .proxy(let found):
      proxy = found
      client.log(.debug) { "\(self.url.redacted) goes through the proxy \(found.name)" }
      resolvesTarget = found.resolvesHere
      if resolvesTarget { resolve(url.host, url.port) } else { resolve(found.host, found.port) }
    }
  }

  private func resolve(_ name: String, _ port: UInt16) {
    phase = .resolving
    if let address = AddressResolver.literal(name, port: port) {
      addresses = .success([address])
      host.loop.post(self, tag: Signal.resolved)
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
      for address in found { list.append(address.with(port: port)) }
      if resolvesTarget, let proxy {
        resolvesTarget = false
        targets = list
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
    client.log(.debug) { "connecting to \(place), \(list.count) addresses" }
    let connector = Connector(
      loop: host.loop, addresses: list, name: place, deadline: Int64.max,
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
    connector = nil
    switch outcome {
    case .failure(let error):
      end(Failure(named(error)))
    case .success(let winner):
      stream = winner.makeStream()
      do throws(TransportError) {
        registration = try host.loop.registerForChanges(winner.descriptor, self)
      } catch {
        end(Failure(error))
        return
      }
      if let proxy { enter(proxy, at: winner.address) } else { secure() }
    }
  }

  // MARK: Proxies

  private func enter(_ proxy: ProxyURL, at address: SocketAddress) {
    guard var lower = stream else { return }
    proxyAddress = address
    if proxy.scheme == .https, let context = client.proxyTLS {
      if !client.options.verify { client.log(.warning) { "TLS without verification with the proxy \(proxy.name)" } }
      lower = context.makeStream(over: lower, host: proxy.host, port: proxy.port)
      overTLS = true
    }
    let tunnel = ProxyStream(over: lower, proxy: proxy, host: url.host, port: url.port, address: targets.first)
    self.tunnel = tunnel
    stream = tunnel
    phase = .proxying
    client.log(.debug) {
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
      client.log(.debug) { "the proxy has opened the tunnel" }
      self.tunnel = nil
      secure()
      // What came behind the proxy's answer had its event then.
      if phase == .upgrading { readInput() }
    case .wouldBlock, .end:
      break
    case .failed(let error):
      if tunnel.refusedAddress, targets.count > 1, let proxyAddress {
        client.log(.debug) { "\(error.text); trying the next address" }
        targets.removeFirst()
        leaveStream()
        connect(to: [proxyAddress])
      } else {
        end(Failure(error))
      }
    }
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
    client.log(.debug) { "TCP is connected, TLS begins" }
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
    client.statistics.redirects &+= 1
    client.log(.debug) { "\(self.url.redacted) redirects to \(next.redacted) with status \(refusal.status)" }
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
    recordIsPending = false
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
