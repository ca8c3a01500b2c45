// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import CZlib

/// Inflates the messages of one direction of a connection (RFC 7692 §7.2.2), as their bytes arrive.
final class DeflateDecoder {
  enum Progress {
    case done
    /// The bytes are not a deflate stream.
    case malformed
    /// More than the allowed output.
    case tooMuch
    case noMemory
  }

  private let stream: UnsafeMutablePointer<z_stream>
  private let forgets: Bool
  /// A block with BFINAL was the last thing decoded (RFC 7692 §7.2.3.4).
  private var isAfterFinalBlock = false
  private var isEmptyMessage = true

  /// Nil if there is no memory.
  init?(noContextTakeover: Bool) {
    stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    stream.initialize(to: z_stream())
    forgets = noContextTakeover
    // Negative: raw deflate without zlib's header. The window has its full size whatever was agreed: with a smaller one
    // zlib refuses a reference beyond it only where the input happens to be cut, so that one and the same message
    // would pass or fail by chance.
    if inflateInit2_(stream, -15, zlibVersion(), Int32(MemoryLayout<z_stream>.size)) != Z_OK {
      stream.deallocate()
      return nil
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Inflates the next part of a message to the end of `output`, which then holds at most `limit` bytes: memory is
  /// taken for what comes out, never for what the peer claims.
  func inflate(_ input: UnsafeRawBufferPointer, into output: inout ByteQueue, limit: Int) -> Progress {
    guard let start = input.baseAddress, input.count > 0 else { return .done }
    isEmptyMessage = false
    // zlib counts input in 32 bits.
    var offset = 0
    while offset < input.count {
      let part = min(input.count &- offset, 1 << 30)
      let progress = run(start + offset, part, &output, limit)
      if progress != .done { return progress }
      offset &+= part
    }
    return .done
  }

  /// Ends the message: gives the decoder the four bytes that the sender left out (RFC 7692 §7.2.2).
  func finish(into output: inout ByteQueue, limit: Int) -> Progress {
    defer {
      isEmptyMessage = true
      if forgets {
        inflateReset(stream)
        isAfterFinalBlock = false
      }
    }
    // Not even an empty block: some senders do this for an empty message, and it can mean nothing else.
    if isEmptyMessage { return .done }
    // After a final block there is nothing that the four bytes could complete. RFC 7692 §7.2.3.4 asks the sender for
    // a byte 00 behind it, which begins a new block; without that byte the message is whole as well.
    if isAfterFinalBlock { return .done }
    let progress = withUnsafeTemporaryTail { run($0, 4, &output, limit) }
    if progress != .done { return progress }
    // A message that ends inside of a block was cut off. 128: zlib is between two blocks; the low bits: how many bits
    // of the last byte are unused.
    return stream.pointee.data_type & (128 | 63) == 128 && !isAfterFinalBlock ? .done : .malformed
  }

  private func withUnsafeTemporaryTail(_ body: (UnsafeRawPointer) -> Progress) -> Progress {
    var tail = UInt32(littleEndian: 0xFFFF_0000)
    return withUnsafeMutablePointer(to: &tail) { body(UnsafeRawPointer($0)) }
  }

  private func run(_ input: UnsafeRawPointer, _ count: Int, _ output: inout ByteQueue, _ limit: Int) -> Progress {
    stream.pointee.next_in = UnsafeMutablePointer(mutating: input.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(truncatingIfNeeded: count)
    while true {
      if isAfterFinalBlock {
        if stream.pointee.avail_in == 0 { return .done }
        if !continueAfterFinalBlock() { return .noMemory }
      }
      // One byte beyond the limit shows that the limit was passed.
      let allowed = limit &- output.count &+ 1
      let wanted = min(allowed, max(256, min(Int(stream.pointee.avail_in) &* 3, 64 << 10)))
      guard let place = output.tryReserve(output.room >= 64 ? min(output.room, wanted) : wanted, limit: limit &+ 1)
      else { return .noMemory }
      let space = min(min(allowed, output.room), 1 << 30)
      stream.pointee.next_out = place.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(truncatingIfNeeded: space)
      let result = CZlib.inflate(stream, Z_SYNC_FLUSH)
      output.commit(space &- Int(stream.pointee.avail_out))
      if output.count > limit { return .tooMuch }
      switch result {
      case Z_STREAM_END: isAfterFinalBlock = true
      case Z_OK, Z_BUF_ERROR:
        // Space left over means that everything that was to come out is out.
        if stream.pointee.avail_in == 0 && stream.pointee.avail_out != 0 { return .done }
        if result == Z_BUF_ERROR && stream.pointee.avail_out != 0 { return .malformed }
      case Z_MEM_ERROR: return .noMemory
      default: return .malformed
      }
    }
  }

  /// Goes on with the next block after a final one. The history stays: RFC 7692 §7.2.3.5 has an example.
  private func continueAfterFinalBlock() -> Bool {
    isAfterFinalBlock = false
    guard let history = pulse_memory_resize(nil, 32 << 10) else { return false }
    defer { pulse_memory_free(history) }
    let bytes = history.assumingMemoryBound(to: UInt8.self)
    var count: UInt32 = 0
    // inflateReset leaves next_in and avail_in alone.
    guard inflateGetDictionary(stream, bytes, &count) == Z_OK, inflateReset(stream) == Z_OK else { return false }
    return count == 0 || inflateSetDictionary(stream, bytes, count) == Z_OK
  }
}
