// SPDX-License-Identifier: Apache-2.0

/// Which of the messages in a byte stream are written: the ends of their frames, in order.
package struct FrameLedger {
  /// A ring; its size is a power of two.
  private var ends: [UInt64] = []
  private var first = 0
  private var last = 0
  private var appended: UInt64 = 0
  private var writtenBytes: UInt64 = 0

  package init() {}

  /// Messages that are not wholly written.
  package var pending: Int { last &- first }

  /// A message was added at the end with a frame of so many bytes.
  package mutating func append(bytes: Int) {
    appended &+= UInt64(bytes)
    if last &- first == ends.count { grow() }
    ends[last & (ends.count &- 1)] = appended
    last &+= 1
  }

  private mutating func grow() {
    var larger = [UInt64](repeating: 0, count: ends.isEmpty ? 16 : ends.count * 2)
    for index in first..<last { larger[index & (larger.count &- 1)] = ends[index & (ends.count &- 1)] }
    ends = larger
  }

  /// Bytes that belong to no message (a close frame) went into the stream.
  package mutating func skip(bytes: Int) { appended &+= UInt64(bytes) }

  /// So many bytes of the stream were written.
  package mutating func written(bytes: Int) { writtenBytes &+= UInt64(bytes) }

  /// How many more messages are now wholly written.
  package mutating func settle() -> UInt64 {
    let before = first
    while first != last && ends[first & (ends.count &- 1)] <= writtenBytes { first &+= 1 }
    return UInt64(first &- before)
  }
}
