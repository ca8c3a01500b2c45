// SPDX-License-Identifier: Apache-2.0
import CPulseKernels

/// A growable queue of bytes: appended at the end, consumed at the front, always readable as one piece.
///
/// It is a value with one owner and not safe to share between threads. Once grown to what a connection needs, it
/// allocates no more, but memory beyond `ByteQueue.retained` is given back as soon as it is empty.
@usableFromInline
package struct ByteQueue: ~Copyable {
  /// The memory that an empty queue keeps at most, in bytes.
  package static var retained: Int { 256 << 10 }

  @usableFromInline package private(set) var base: UnsafeMutableRawPointer?
  private var head = 0
  private var tail = 0
  private var capacity = 0

  package init() {}

  // Embedded Swift destroys a value where it is used, which may be another module.
  @inlinable deinit { pulse_memory_free(base) }

  /// Readable bytes.
  @inline(__always)
  package var count: Int { tail &- head }

  package var isEmpty: Bool { tail == head }

  /// Bytes of memory that the queue holds.
  package var allocatedBytes: Int { capacity }

  /// All readable bytes; valid until the next mutation.
  package var readable: UnsafeRawBufferPointer {
    guard let base else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(start: base + head, count: tail &- head)
  }

  /// As `readable`, for bytes that must be patched after they were appended.
  package var writable: UnsafeMutableRawBufferPointer {
    guard let base else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
    return UnsafeMutableRawBufferPointer(start: base + head, count: tail &- head)
  }

  /// Bytes that fit at the end without moving anything.
  var room: Int { capacity &- tail }

  package mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    pulse_memory_copy(reserve(bytes.count), source, bytes.count)
    tail &+= bytes.count
  }

  /// Room for `n` bytes at the end, in one piece; `commit` makes them readable. Valid until the next mutation.
  ///
  /// Ends the process when there is no memory, as Swift's own containers do; `tryReserve` does not.
  @inline(__always)
  package mutating func reserve(_ n: Int) -> UnsafeMutableRawPointer {
    if let base, capacity &- tail >= n { return base + tail }
    guard let place = grow(n, limit: .max) else { pulse_out_of_memory() }
    return place
  }

  /// As `reserve`, but nil when there is no memory. The queue grows by doubling, up to `limit` bytes or what the
  /// call itself needs.
  @inline(__always)
  mutating func tryReserve(_ n: Int, limit: Int) -> UnsafeMutableRawPointer? {
    if let base, capacity &- tail >= n { return base + tail }
    return grow(n, limit: limit)
  }

  /// `n` of the reserved bytes were written.
  @inline(__always)
  package mutating func commit(_ n: Int) {
    tail &+= min(max(n, 0), capacity &- tail)
  }

  /// Removes `n` bytes, or all there are, from the front.
  package mutating func consume(_ n: Int) {
    head &+= min(max(n, 0), tail &- head)
    if head == tail { removeAll(keepingCapacityUpTo: ByteQueue.retained) }
  }

  /// Takes back the last `n` bytes that were committed.
  mutating func dropLast(_ n: Int) {
    tail &-= min(max(n, 0), tail &- head)
  }

  /// Takes back what lies behind the first `count` readable bytes.
  package mutating func truncate(to count: Int) { dropLast((tail &- head) &- max(count, 0)) }

  /// Empties the queue, and frees its memory if that is more than `limit` bytes.
  package mutating func removeAll(keepingCapacityUpTo limit: Int) {
    head = 0
    tail = 0
    if capacity > limit {
      pulse_memory_free(base)
      base = nil
      capacity = 0
    }
  }

  @inline(never)
  private mutating func grow(_ n: Int, limit: Int) -> UnsafeMutableRawPointer? {
    let used = tail &- head
    let (needed, overflow) = used.addingReportingOverflow(max(n, 0))
    if overflow || needed > Int.max / 4 { return nil }
    // Moving is worth it when it frees at least as much as it moves.
    if let base, head >= used, needed <= capacity {
      pulse_memory_move(base, base + head, used)
      head = 0
      tail = used
      return base + tail
    }
    let doubled = max(256, min(capacity &* 2, max(limit, 0)))
    let wanted = max(needed, doubled)
    if head > 0, let base {
      pulse_memory_move(base, base + head, used)
      head = 0
      tail = used
    }
    guard let grown = pulse_memory_resize(base, wanted) else { return nil }
    base = grown
    capacity = wanted
    return grown + tail
  }
}
