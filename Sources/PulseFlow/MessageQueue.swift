// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// What `MessageQueue.take` hands out: records of one segment, alive as long as `segment` is referenced.
package struct MessageSlice {
  package var segment: MessageSegment
  package var records: UnsafePointer<MessageRecord>
  package var count: Int

  package init(segment: MessageSegment, records: UnsafePointer<MessageRecord>, count: Int) {
    self.segment = segment
    self.records = records
    self.count = count
  }
}

/// A queue of messages in segments: appending copies the payload once, taking copies nothing. In the steady state it
/// allocates nothing: a drained segment is used again. Not thread safe; its owner locks.
package final class MessageQueue {
  /// What a message costs besides its payload; counted in `bytes`, so that a queue of empty messages is bounded too.
  package static let overhead = MemoryLayout<MessageRecord>.size

  static let smallestSegment = 4 << 10
  static let largestSegment = 256 << 10
  /// With the largest segments this is 4 MiB: a consumer that falls behind now and then costs no allocation each time.
  static let spareLimit = 16

  private var head: MessageSegment?
  // The last segment of the list that begins at `head`, which keeps it alive.
  private var tail: Unmanaged<MessageSegment>?
  /// Drained segments to use again, linked by `next`.
  private var spare: MessageSegment?
  private var spareCount = 0
  private var lastSequence: UInt64 = 0

  // Where the next message goes in `tail`, which learns of it in `noteWritten`: a message must not cost a reference
  // count.
  private var byteCursor: UnsafeMutableRawPointer
  private var bytesLeft = 0
  private var recordCursor: UnsafeMutablePointer<MessageRecord>
  private var recordsLeft = 0

  /// Messages in the queue, and their bytes with the overhead of each.
  package private(set) var count = 0
  package private(set) var bytes = 0
  /// The most that `count` and `bytes` have been.
  package private(set) var highestCount = 0
  package private(set) var highestBytes = 0

  package init() {
    // Never written to: there is no room.
    byteCursor = UnsafeMutableRawPointer(bitPattern: 64)!
    recordCursor = UnsafeMutablePointer(bitPattern: 64)!
  }

  deinit {
    // One by one: releasing a long list at once would recurse through every `next`.
    var segment = head
    while let current = segment {
      segment = current.next
      current.next = nil
    }
  }

  package var isEmpty: Bool { count == 0 }

  /// Copies a message to the end. `expected` hints at how many bytes are about to follow in all.
  @inline(__always)
  @discardableResult
  package func append(
    kind: UInt32, flags: UInt32, payload: UnsafeRawBufferPointer, receivedAt: Int64, expected: Int
  ) -> UInt64 {
    let length = payload.count
    if length > bytesLeft || recordsLeft == 0 { makeRoom(for: length, expected: expected) }
    if length > 0, let source = payload.baseAddress { byteCursor.copyMemory(from: source, byteCount: length) }
    lastSequence &+= 1
    recordCursor.initialize(
      to: MessageRecord(
        data: UnsafeRawPointer(byteCursor), length: length, kind: kind, flags: flags, receivedAt: receivedAt,
        sequence: lastSequence))
    byteCursor += length
    bytesLeft &-= length
    recordCursor += 1
    recordsLeft &-= 1
    count &+= 1
    bytes &+= length &+ MessageQueue.overhead
    return lastSequence
  }

  /// Tells `tail` what was appended to it.
  private func noteWritten() {
    tail?._withUnsafeGuaranteedRef { segment in
      segment.recordCount = segment.recordCapacity &- recordsLeft
      segment.bytesUsed = segment.capacity &- bytesLeft
    }
    if bytes > highestBytes { highestBytes = bytes }
    if count > highestCount { highestCount = count }
  }

  private func pointCursors() {
    guard let tail else {
      bytesLeft = 0
      recordsLeft = 0
      return
    }
    tail._withUnsafeGuaranteedRef { segment in
      byteCursor = segment.bytes + segment.bytesUsed
      bytesLeft = segment.capacity &- segment.bytesUsed
      recordCursor = segment.records + segment.recordCount
      recordsLeft = segment.recordCapacity &- segment.recordCount
    }
  }

  /// Before the messages of a chunk: begins a drained segment anew, so that a consumer that keeps up sees the same,
  /// cached, memory again and again.
  @inline(__always)
  package func beginChunk() {
    if count == 0, tail != nil { rewind() }
  }

  private func rewind() {
    noteWritten()
    guard isKnownUniquelyReferenced(&head), head?.next == nil, head?.isDrained == true else { return }
    afterLastRelease()
    head?.reset()
    pointCursors()
  }

  /// The last segment is full: begins it anew if everything in it was taken and given back, else adds another one.
  @inline(never)
  private func makeRoom(for length: Int, expected: Int) {
    noteWritten()
    if let only = head, only.next == nil, only.isDrained {
      head = nil
      tail = nil
      recycle(only)
    }
    var wanted = MessageQueue.smallestSegment
    while wanted < expected && wanted < MessageQueue.largestSegment { wanted &*= 2 }
    if wanted < length { wanted = length }
    let segment: MessageSegment
    if let reused = spare, reused.capacity >= length {
      segment = reused
      spare = reused.next
      spareCount &-= 1
      reused.next = nil
    } else {
      segment = MessageSegment(capacity: wanted)
    }
    if let tail { tail._withUnsafeGuaranteedRef { $0.next = segment } } else { head = segment }
    tail = Unmanaged.passUnretained(segment)
    pointCursors()
  }

  /// Takes up to `max` messages from the front, all from one segment; nil if the queue is empty.
  package func take(_ max: Int) -> MessageSlice? {
    guard count > 0, max > 0 else { return nil }
    noteWritten()
    while let first = head, first.isDrained, let second = first.next {
      first.next = nil
      head = second
      recycle(first)
    }
    guard let segment = head else { return nil }
    let available = segment.recordCount &- segment.recordsTaken
    let taken = available < max ? available : max
    let first = segment.records + segment.recordsTaken
    var size = 0
    for index in 0..<taken { size &+= first[index].length }
    segment.recordsTaken &+= taken
    count &-= taken
    bytes &-= size &+ taken &* MessageQueue.overhead
    return MessageSlice(segment: segment, records: UnsafePointer(first), count: taken)
  }

  /// Takes back a segment that a consumer is done with, to use it again if nobody else holds it.
  package func giveBack(_ segment: consuming MessageSegment) {
    if let head, head === segment { return }
    recycle(segment)
  }

  private func recycle(_ segment: consuming MessageSegment) {
    guard spareCount < MessageQueue.spareLimit, segment.capacity <= MessageQueue.largestSegment else { return }
    var candidate = segment
    guard isKnownUniquelyReferenced(&candidate) else { return }
    afterLastRelease()
    candidate.reset()
    candidate.next = spare
    spare = candidate
    spareCount &+= 1
  }

  /// A consumer on another thread has read the segment and then released it: what is written now must not overtake
  /// those reads, which the look at the reference count alone does not order.
  @inline(__always)
  private func afterLastRelease() { atomicMemoryFence(ordering: .acquiring) }

  /// Gives back memory that an empty queue keeps for later, but for a small segment.
  package func trim() {
    spare = nil
    spareCount = 0
    guard count == 0, var only = head, only.next == nil else { return }
    head = nil
    tail = nil
    if only.capacity <= MessageQueue.smallestSegment, isKnownUniquelyReferenced(&only) {
      only.reset()
      spare = only
      spareCount = 1
    }
    pointCursors()
  }
}
