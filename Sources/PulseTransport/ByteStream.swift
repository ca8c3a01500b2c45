// SPDX-License-Identifier: Apache-2.0
import CPulseSys

package enum IOResult {
  /// So many bytes were moved; at least one, but for an empty buffer and for `handshake()`.
  case bytes(Int)
  /// Nothing moves now: wait for the descriptor (see `needsReadable`, `needsWritable`).
  case wouldBlock
  /// The peer's orderly end: FIN for TCP, close_notify for TLS.
  case end
  /// The stream is broken; every later call gives a failure too.
  case failed(TransportError)
}

/// A reliable stream of bytes in both directions; layers stack (TLS over a proxy over TCP). No call blocks. The owner
/// serialises the calls.
///
/// A `write` that did not take all of its bytes (also one that gave `wouldBlock`) must be followed by one that begins
/// with the bytes left and has at least as many: a TLS record that could not leave is already encrypted.
package class ByteStream: @unchecked Sendable {  // guarded by the owner, who serialises the calls
  package init() {}

  /// Ends the set-up that the layers need before data can flow: `.bytes(0)` when done.
  package func handshake() -> IOResult { .bytes(0) }
  package func read(into buffer: UnsafeMutableRawBufferPointer) -> IOResult { .end }
  package func write(_ bytes: UnsafeRawBufferPointer) -> IOResult { .end }
  /// Several pieces in one call, as if they were one; nil if this stream has no such call. At most 1024.
  package func write(pieces: UnsafeBufferPointer<psys_piece>) -> IOResult? { nil }
  /// Whether a `write` or `handshake` that gave `wouldBlock` waits for the descriptor to become readable. Then, at the
  /// next event, repeat it.
  package var needsReadable: Bool { false }
  /// Whether a `read` or `handshake` that gave `wouldBlock` waits for the descriptor to become writable. Then, at the
  /// next event, repeat it.
  package var needsWritable: Bool { false }
  /// Whether something has arrived that the descriptor no longer shows, bytes or the end: read on without waiting. To
  /// be looked at after every read that filled its buffer, and after the handshake.
  package var hasBufferedInput: Bool { false }
  /// So many of the bytes that the last `write` was given and did not take may be on their way all the same: they go out
  /// with the next one, whatever that brings.
  package var committedBytes: Int { 0 }
  /// Ends the outgoing direction in an orderly way, as far as that goes without waiting; reading goes on.
  package func shutdown() {}
  /// Releases the descriptor. Idempotent. The descriptor must be unregistered from its loop before.
  package func close() {}
  /// -1 when closed.
  package var descriptor: Int32 { -1 }
}
