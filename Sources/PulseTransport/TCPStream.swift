// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

/// A connected, non-blocking TCP socket (or any stream socket).
package final class TCPStream: ByteStream, @unchecked Sendable {  // guarded by the owner, who serialises the calls
  private var socket: Int32
  /// What error sentences call the other side: "127.0.0.1:443".
  private let peer: String

  /// Takes the descriptor over.
  package init(descriptor: Int32, peer: String) {
    socket = descriptor
    self.peer = peer
    super.init()
  }

  deinit { if socket >= 0 { psys_close(socket) } }

  package override var descriptor: Int32 { socket }

  package override func read(into buffer: UnsafeMutableRawBufferPointer) -> IOResult {
    guard let start = buffer.baseAddress, buffer.count > 0 else { return .bytes(0) }
    let count = psys_recv(socket, start, buffer.count)
    if count > 0 { return .bytes(Int(count)) }
    if count == 0 { return .end }
    return failure(count, "reading from")
  }

  package override func write(_ bytes: UnsafeRawBufferPointer) -> IOResult {
    guard let start = bytes.baseAddress, bytes.count > 0 else { return .bytes(0) }
    let count = psys_send(socket, start, bytes.count)
    return count >= 0 ? .bytes(Int(count)) : failure(count, "writing to")
  }

  package override func write(pieces: UnsafeBufferPointer<psys_piece>) -> IOResult? {
    guard let start = pieces.baseAddress, pieces.count > 0 else { return .bytes(0) }
    let count = psys_send_pieces(socket, start, pieces.count)
    return count >= 0 ? .bytes(Int(count)) : failure(count, "writing to")
  }

  package override func shutdown() { if socket >= 0 { _ = psys_shutdown_write(socket) } }

  package override func close() {
    guard socket >= 0 else { return }
    psys_close(socket)
    socket = -1
  }

  @inline(never)
  private func failure(_ status: Int64, _ action: String) -> IOResult {
    let errno = Int32(truncatingIfNeeded: 0 &- status)
    if errno == psys_EAGAIN { return .wouldBlock }
    if socket < 0 { return .failed(TransportError(.io, errno: errno, "\(action) \(peer) after its close")) }
    return .failed(TransportError(errno: errno, "\(action) \(peer) failed"))
  }
}
