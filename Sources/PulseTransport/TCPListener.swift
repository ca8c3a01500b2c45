// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

/// A non-blocking listening socket.
package final class TCPListener: @unchecked Sendable {  // guarded by the owner, who serialises the calls
  package enum Accepted {
    case stream(TCPStream, from: SocketAddress)
    case wouldBlock
    case failed(TransportError)
  }

  package private(set) var descriptor: Int32
  /// Where it listens; the port that the system chose if 0 was asked for.
  package let address: SocketAddress

  /// - Parameters:
  ///   - address: port 0 lets the system choose one.
  ///   - isDualStack: for `::`, whether IPv4 is accepted too.
  ///   - sharesPort: SO_REUSEPORT.
  package init(
    _ address: SocketAddress, backlog: Int32 = 512, isDualStack: Bool = false, sharesPort: Bool = false
  ) throws(TransportError) {
    var wanted = address.storage
    let made = psys_tcp_listen(&wanted, backlog, isDualStack ? 0 : 1, sharesPort ? 1 : 0)
    if made < 0 { throw TransportError(errno: -made, "can't listen on \(address.description)") }
    var actual = psys_address()
    let status = psys_local_address(made, &actual)
    if status < 0 {
      psys_close(made)
      throw TransportError(errno: -status, "can't listen on \(address.description)")
    }
    descriptor = made
    self.address = SocketAddress(actual)
  }

  deinit { close() }

  package var port: UInt16 { address.port }

  package func accept() -> Accepted {
    while true {
      var peer = psys_address()
      let made = psys_accept(descriptor, &peer)
      if made >= 0 {
        let from = SocketAddress(peer)
        return .stream(TCPStream(descriptor: made, peer: from.description), from: from)
      }
      if made == -psys_EAGAIN { return .wouldBlock }
      // The peer gave up while it waited in the queue: the next one.
      if made == -psys_ECONNABORTED { continue }
      return .failed(TransportError(errno: -made, "can't accept a connection on \(address.description)"))
    }
  }

  package func close() {
    if descriptor >= 0 { psys_close(descriptor) }
    descriptor = -1
  }
}
