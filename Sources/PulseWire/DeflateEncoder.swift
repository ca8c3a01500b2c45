// SPDX-License-Identifier: Apache-2.0
import CZlib

/// Deflates the messages of one direction of a connection (RFC 7692 §7.2.1).
package final class DeflateEncoder {
  private let stream: UnsafeMutablePointer<z_stream>
  let forgets: Bool

  /// Whether zlib can keep to the window: its raw deflate begins at 9 bits. With 8 negotiated, messages are sent as
  /// they are, which is always allowed (RFC 7692 §6).
  static func supports(windowBits: Int) -> Bool { (9...15).contains(windowBits) }

  /// Nil if there is no memory, or the window is not supported.
  package init?(windowBits: Int, noContextTakeover: Bool, level: Int32) {
    guard DeflateEncoder.supports(windowBits: windowBits) else { return nil }
    stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    stream.initialize(to: z_stream())
    forgets = noContextTakeover
    if deflateInit2_(
      stream, min(max(level, 1), 9), Z_DEFLATED, -Int32(windowBits), 8, Z_DEFAULT_STRATEGY, zlibVersion(),
      Int32(MemoryLayout<z_stream>.size)) != Z_OK
    {
      stream.deallocate()
      return nil
    }
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  /// Appends the compressed form of `payload`, which is not empty, without the four bytes that the receiver puts back.
  /// False, with the queue's length as before, if that failed; the encoder is of no further use then.
  package func deflate(_ payload: UnsafeRawBufferPointer, into queue: inout ByteQueue) -> Bool {
    guard let start = payload.baseAddress else { return false }
    let before = queue.count
    var offset = 0
    repeat {
      // zlib counts in 32 bits.
      let part = min(payload.count &- offset, 1 << 30)
      let isLast = offset &+ part == payload.count
      stream.pointee.next_in = UnsafeMutablePointer(mutating: (start + offset).assumingMemoryBound(to: UInt8.self))
      stream.pointee.avail_in = UInt32(truncatingIfNeeded: part)
      // Room for the worst case makes one round the rule.
      var wanted = part &+ part / 1000 &+ 64
      repeat {
        guard let place = queue.tryReserve(wanted, limit: .max) else { return undo(&queue, before) }
        let space = min(queue.room, 1 << 30)
        stream.pointee.next_out = place.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(truncatingIfNeeded: space)
        let result = CZlib.deflate(stream, isLast ? Z_SYNC_FLUSH : Z_NO_FLUSH)
        queue.commit(space &- Int(stream.pointee.avail_out))
        if result != Z_OK && result != Z_BUF_ERROR { return undo(&queue, before) }
        wanted = 4096
      } while stream.pointee.avail_out == 0
      offset &+= part
    } while offset < payload.count
    if forgets { deflateReset(stream) }
    guard queue.count &- before >= 4 else { return undo(&queue, before) }
    queue.dropLast(4)
    return true
  }

  private func undo(_ queue: inout ByteQueue, _ before: Int) -> Bool {
    queue.dropLast(queue.count &- before)
    return false
  }
}
