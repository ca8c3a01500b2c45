// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

/// A non-blocking stream socket that listens: TCP, or a Unix socket, whose file is removed when it is closed.
package final class Listener: @unchecked Sendable {  // guarded by the owner, who serialises the calls
  package enum Accepted {
    /// `from`: nil of a Unix socket.
    case stream(TCPStream, from: SocketAddress?)
    case wouldBlock
    case failed(TransportError)
  }

  package private(set) var descriptor: Int32
  /// Where it listens, with the port that the system chose if 0 was asked for. Of a Unix socket nothing in particular.
  package let address: SocketAddress
  /// For people: "127.0.0.1:8080", "unix:/path", or "fd:3" for a copy of a Unix socket.
  package let name: String
  /// Of the file that was made.
  private var path: String?
  private var identity: UInt64 = 0

  /// - Parameters:
  ///   - address: port 0 lets the system choose one.
  ///   - isDualStack: for `::`, whether IPv4 is accepted too.
  ///   - sharesPort: SO_REUSEPORT.
  package convenience init(
    _ address: SocketAddress, backlog: Int32 = 512, isDualStack: Bool = false, sharesPort: Bool = false
  ) throws(TransportError) {
    var wanted = address.storage
    try self.init(psys_tcp_listen(&wanted, backlog, isDualStack ? 0 : 1, sharesPort ? 1 : 0), address.description)
  }

  /// A Unix socket. A file of one that nobody listens on is replaced.
  package convenience init(path: String, backlog: Int32) throws(TransportError) {
    var identity: UInt64 = 0
    try self.init(psys_unix_listen(path.cString, backlog, &identity), sentence("unix:\(path)"))
    self.path = path
    self.identity = identity
  }

  /// A copy of a socket that listens already; that one stays its owner's.
  package convenience init(copying descriptor: Int32) throws(TransportError) {
    try self.init(psys_listener_copy(descriptor), sentence("fd:\(Int(descriptor))"))
  }

  /// `made`: -errno if there is none.
  private init(_ made: Int32, _ name: String) throws(TransportError) {
    if made < 0 { throw TransportError(errno: -made, "can't listen on \(name)") }
    descriptor = made
    var actual = psys_address()
    let isTCP = psys_local_address(made, &actual) == 0
    address = SocketAddress(actual)
    self.name = isTCP ? SocketAddress(actual).description : name
  }

  deinit { close() }

  package var port: UInt16 { address.port }

  package func accept() -> Accepted {
    while true {
      var peer = psys_address()
      let made = psys_accept(descriptor, &peer)
      if made >= 0 {
        if peer.family == 0 { return .stream(TCPStream(descriptor: made, peer: "a Unix socket's client"), from: nil) }
        let from = SocketAddress(peer)
        return .stream(TCPStream(descriptor: made, peer: from.description), from: from)
      }
      if made == -psys_EAGAIN { return .wouldBlock }
      // The peer gave up while it waited in the queue: the next one.
      if made == -psys_ECONNABORTED { continue }
      return .failed(TransportError(errno: -made, "can't accept a connection on \(name)"))
    }
  }

  package func close() {
    if descriptor < 0 { return }
    if let path { psys_unix_remove(path.cString, identity) }
    psys_close(descriptor)
    descriptor = -1
  }
}
