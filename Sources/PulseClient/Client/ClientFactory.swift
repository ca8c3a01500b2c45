// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// Makes clients and loops from what a caller gives.
package enum ClientFactory {
  /// `host` nil: the process's default loop.
  package static func make(url text: String, options: ClientOptions, host: LoopHost?) -> Result<Client, Failure> {
    make(url: text, Settings(options), host: host)
  }

  package static func make(url text: String, _ settings: Settings, host: LoopHost?) -> Result<Client, Failure> {
    Log.readEnvironment()
    let url: WebSocketURL
    switch WebSocketURL.parse(text) {
    case .failure(let problem): return .failure(Failure(.badURL, text: problem.text))
    case .success(let parsed): url = parsed
    }
    let options = settings.options
    let urls = [url] + options.endpoints
    let isSecure = url.isSecure
    // Failing over to an endpoint without TLS would give away what TLS protects.
    for other in options.endpoints where other.isSecure != isSecure {
      return .failure(
        Failure(.badURL, "option endpoints has \(other.redacted); allowed: \(isSecure ? "wss" : "ws"), as the client's URL"))
    }
    let proxies = ProxyRules(option: options.proxy)
    if let problem = proxies.problem(isSecure: isSecure) { return .failure(Failure(.badValue, text: problem)) }
    if options.clientCertificate == nil && (options.clientKey != nil || options.clientKeyPassword != nil) {
      return .failure(
        Failure(.badValue, "option \(options.clientKey != nil ? "client_key" : "client_key_password") needs client_certificate"))
    }
    if let problem = options.twinProblem(isSecure: isSecure) { return .failure(problem) }
    if let host, host.isForked { return .failure(Failure(.forked, "the loop was made before fork()")) }
    do throws(TransportError) {
      let context = isSecure ? try tlsContext(options) : nil
      var proxyTLS: TLSContext?
      if proxies.hasSecureProxy {
        proxyTLS = try TLSContextCache.context(caFile: options.proxyCAFile, verify: options.verify)
      }
      var journal: OpenJournal?
      if let path = options.journal, !path.hasNoBytes {
        do throws(TransportError) {
          journal = try OpenJournal.open(path, size: options.journalSize)
        } catch {
          return .failure(Failure(.journal, text: error.text))
        }
      }
      let chosen: LoopHost
      if let host {
        try host.addUser()
        chosen = host
      } else {
        chosen = try DefaultHost.acquire()
      }
      let client = Client(urls: urls, settings, host: chosen, Ways(proxies: proxies, tls: context, proxyTLS: proxyTLS))
      if let journal { client.take(journal) }
      client.warnOfIdleOptions(isSecure: isSecure)
      ClientRegistry.add(client)
      return .success(client)
    } catch {
      return .failure(Failure(error))
    }
  }

  static func tlsContext(_ options: ClientOptions) throws(TransportError) -> TLSContext {
    try TLSContextCache.context(options.tlsSettings)
  }

  package static func makeHost(hasThread: Bool) -> Result<LoopHost, Failure> {
    do throws(TransportError) {
      let host = try LoopHost(hasThread: hasThread)
      try host.addUser()
      return .success(host)
    } catch {
      return .failure(Failure(error))
    }
  }

  package static func isCloseCode(_ code: UInt16) -> Bool { CloseCode.isAllowedOnWire(code) }
}

extension ClientOptions {
  /// Why there can't be a twin; nil if all is well.
  @inline(never) fileprivate func twinProblem(isSecure: Bool) -> Failure? {
    guard let twin else { return nil }
    if twin.isSecure != isSecure {
      return Failure(.badURL, "option twin is \(twin.redacted); allowed: \(isSecure ? "wss" : "ws"), as the client's URL")
    }
    if sequencePath.isEmpty || sequenceScope == .connection {
      return Failure(.badValue, "option twin needs sequence_path, with numbers that go on from one connection to the next")
    }
    if holdLogin || holdConnect || resume {
      return Failure(.badValue, "option twin does not go with hold_login, hold_connect and resume")
    }
    return nil
  }
}

extension Client {
  /// What was asked for and can't come to be, without being wrong.
  fileprivate func warnOfIdleOptions(isSecure: Bool) {
    if options.receiveQueuePolicy == .conflate && options.keyPath.isEmpty {
      first.log(.warning) { "receive_queue_policy conflate without key_path does what drop_oldest does" }
    }
    if options.staleKeyTimeout > 0 && options.keyPath.isEmpty {
      first.log(.warning) { "stale_key_timeout has no effect without key_path" }
    }
    if options.sequencePath.isEmpty && (!options.sequenceKey.isEmpty || options.sequencePrevious != nil) {
      first.log(.warning) { "sequence_key and sequence_previous have no effect without sequence_path" }
    }
    if !isSecure && (!options.pins.isEmpty || options.clientCertificate != nil) {
      first.log(.warning) { "pin_sha256 and client_certificate have no effect on ws, which has no TLS" }
    }
  }
}
