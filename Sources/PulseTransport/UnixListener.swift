// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

/// A non-blocking Unix socket that listens. Its file is removed when it is closed.
package final class UnixListener: @unchecked Sendable {  // guarded by the owner, who serialises the calls
  package private(set) var descriptor: Int32
  package let path: String
  private var identity: UInt64 = 0

  package init(_ path: String, backlog: Int32) throws(TransportError) {
    self.path = path
    let made = psys_unix_listen(path.cString, backlog, &identity)
    if made < 0 { throw TransportError(errno: -made, "can't listen on unix:\(path)") }
    descriptor = made
  }

  deinit { close() }

  /// nil if nobody waits; else a stream or why there is none.
  package func accept() -> Result<TCPStream, TransportError>? {
    while true {
      let made = psys_accept_stream(descriptor)
      if made >= 0 { return .success(TCPStream(descriptor: made, peer: "a Unix socket's client")) }
      if made == -psys_EAGAIN { return nil }
      if made == -psys_ECONNABORTED { continue }
      return .failure(TransportError(errno: -made, "can't accept a connection on unix:\(path)"))
    }
  }

  package func close() {
    if descriptor < 0 { return }
    psys_unix_remove(path.cString, identity)
    psys_close(descriptor)
    descriptor = -1
  }
}
