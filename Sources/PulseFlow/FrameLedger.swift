// SPDX-License-Identifier: Apache-2.0

/// Which of the messages in a byte stream are written: the ends of their frames, in order.
package struct FrameLedger {
  private var ends: [UInt64] = []
  private var first = 0
  private var appended: UInt64 = 0
  private var writtenBytes: UInt64 = 0

  package init() {}

  /// Messages that are not wholly written.
  package var pending: Int { ends.count - first }

  /// Some bytes of the message at the front are written, but not all.
  package var isCut: Bool {
    guard first < ends.count else { return false }
    return writtenBytes > start
  }

  /// Where the message at the front begins.
  private var start: UInt64 = 0

  /// A message was added at the end with a frame of so many bytes.
  package mutating func append(bytes: Int) {
    appended &+= UInt64(bytes)
    ends.append(appended)
  }

  /// So many bytes of the stream were written.
  package mutating func written(bytes: Int) { writtenBytes &+= UInt64(bytes) }

  /// How many more messages are now wholly written.
  package mutating func settle() -> UInt64 {
    var count: UInt64 = 0
    while first < ends.count && ends[first] <= writtenBytes {
      start = ends[first]
      first += 1
      count &+= 1
    }
    if first == ends.count {
      ends.removeAll(keepingCapacity: ends.capacity <= 4096)
      first = 0
    } else if first > 4096 {
      ends.removeFirst(first)
      first = 0
    }
    return count
  }

  /// Bytes that belong to no message (a close frame) went into the stream.
  package mutating func skip(bytes: Int) { appended &+= UInt64(bytes) }
}
