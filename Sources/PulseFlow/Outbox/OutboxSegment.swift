// SPDX-License-Identifier: Apache-2.0

/// A message as it lies in a segment.
struct OutboxRecord {
  var data: UnsafeMutableRawPointer
  /// Negative: the message was removed, and its place is passed over.
  var length: Int
  var id: UInt64
  var expiresAt: Int64
  var acceptedAt: Int64
  var kind: UInt32
  var flags: OutboxFlags

  var isLive: Bool { length >= 0 }
}

/// A block of messages: payloads grow from its beginning, records from its end, so that neither is short while the
/// other has room. It lies at the beginning of its own memory and has one owner, who frees it: a message costs no
/// reference count.
struct OutboxSegment {
  typealias Pointer = UnsafeMutablePointer<OutboxSegment>

  /// Where the records end: record 0 is the one before it.
  let limit: UnsafeMutablePointer<OutboxRecord>
  /// All of the memory.
  let size: Int
  var bytes: UnsafeMutableRawPointer
  /// Room between the payloads and the records.
  var left: Int
  var recordCount = 0
  /// Records before this one are taken or removed.
  var first = 0
  /// Messages that are neither.
  var live = 0
  /// None of its messages expires before this.
  var earliest = Int64.max
  var next: Pointer?

  /// What a segment needs besides payloads: the segment itself, and what aligning the records may waste.
  private static let header = (MemoryLayout<OutboxSegment>.size + 15) & ~15
  static let recordSize = MemoryLayout<OutboxRecord>.stride

  /// A segment with room for so many bytes of payloads and records.
  static func make(room: Int) -> Pointer {
    let rounded = (room &+ 15) & ~15
    let size = header + rounded
    let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
    let segment = memory.bindMemory(to: OutboxSegment.self, capacity: 1)
    // Records are multiples of 16 bytes, so that they are aligned from an aligned end.
    let limit = (memory + size).assumingMemoryBound(to: OutboxRecord.self)
    segment.initialize(to: OutboxSegment(limit: limit, size: size, bytes: memory + header, left: rounded))
    return segment
  }

  static func free(_ segment: Pointer) { UnsafeMutableRawPointer(segment).deallocate() }

  static func freeAll(_ first: Pointer?) {
    var segment = first
    while let current = segment {
      segment = current.pointee.next
      free(current)
    }
  }

  static func reset(_ segment: Pointer) {
    let size = segment.pointee.size
    let limit = segment.pointee.limit
    segment.initialize(
      to: OutboxSegment(
        limit: limit, size: size, bytes: UnsafeMutableRawPointer(segment) + header, left: size &- header))
  }

  /// The room of a segment without messages.
  var capacity: Int { size &- OutboxSegment.header }

  @inline(__always)
  func record(_ index: Int) -> UnsafeMutablePointer<OutboxRecord> { limit - (index &+ 1) }
}
