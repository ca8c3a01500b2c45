// SPDX-License-Identifier: Apache-2.0
import PulseTransport
import PulseWire

extension Failure: Error {}

/// Makes clients and loops from what a caller gives.
package enum ClientFactory {
  /// `host` nil: the process's default loop.
  package static func make(url text: String, options: ClientOptions, host: LoopHost?) -> Result<Client, Failure> {
    let url: WebSocketURL
    switch WebSocketURL.parse(text) {
    case .failure(let problem): return .failure(Failure(.badURL, problem.text))
    case .success(let parsed): url = parsed
    }
    if let host, host.isForked { return .failure(Failure(.forked, "the loop was made before fork()")) }
    do throws(TransportError) {
      let context = url.isSecure ? try TLSContextCache.context(caFile: options.caFile, verify: options.verify) : nil
      let chosen: LoopHost
      if let host {
        try host.addUser()
        chosen = host
      } else {
        chosen = try DefaultHost.acquire()
      }
      return .success(Client(url: url, options: options, host: chosen, tlsContext: context))
    } catch {
      return .failure(Failure(error))
    }
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
