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
  /// The kind of what the owner puts between the messages: not data.
  package static let event: UInt32 = 256
  /// The kind of a record that is not in the queue any more, but was neither taken.
  static let hole = UInt32.max

  static let smallestSegment = 4 << 10
  static let largestSegment = 256 << 10
  /// With the largest segments this is 4 MiB: a consumer that falls behind now and then costs no allocation each time.
  private static let usualSpareLimit = 16

  var head: MessageSegment?
  // The last segment of the list that begins at `head`, which keeps it alive.
  var tail: Unmanaged<MessageSegment>?
  /// Drained segments to use again, linked by `next`.
  private var spare: MessageSegment?
  private var spareCount = 0
  package private(set) var lastSequence: UInt64 = 0

  // Where the next message goes in `tail`, which learns of it in `noteWritten`: a message must not cost a reference
  // count.
  private var byteCursor: UnsafeMutableRawPointer
  private var bytesLeft = 0
  private(set) var recordCursor: UnsafeMutablePointer<MessageRecord>
  private var recordsLeft = 0

  /// Messages in the queue, and their bytes with the overhead of each.
  package internal(set) var count = 0
  package internal(set) var bytes = 0
  /// The most that `count` and `bytes` have been.
  package var highestCount: Int { count > notedCount ? count : notedCount }
  package var highestBytes: Int { bytes > notedBytes ? bytes : notedBytes }
  // Noted before each time that messages leave.
  private var notedCount = 0
  private var notedBytes = 0

  // MARK: What only a queue with a policy uses (MessageQueue+Policy.swift)

  /// The memory of the segments in the list and of the spare ones.
  package private(set) var ownedBytes = 0
  /// What the policy lets the queue hold; spare segments beyond it go.
  var memoryLimit = Int.max
  var segmentLimit = MessageQueue.largestSegment
  var spareLimit = MessageQueue.usualSpareLimit
  /// Records may be holes or have their key's number in the flags: `take` has to look at each.
  var needsSifting = false
  var isKeyed = false
  var isConflating = false
  /// Holes that `take` has not passed, and their bytes with the overhead.
  var holes = 0
  var holeBytes = 0
  /// By the number of a key: its message in the queue, while conflating.
  var latest: [LatestMessage] = []
  /// Messages up to this one have been taken or dropped. Right only while conflating.
  var passedSequence: UInt64 = 0
  var dropCursor = DropCursor()
  var eventCursor = DropCursor()
  /// Records with `keptMark` in the queue.
  var keptCount = 0
  package internal(set) var droppedCount: UInt64 = 0
  package internal(set) var droppedBytes: UInt64 = 0
  package internal(set) var droppedEvents: UInt64 = 0
  package internal(set) var conflatedCount: UInt64 = 0
  package internal(set) var conflatedBytes: UInt64 = 0

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
  func noteWritten() {
    tail?._withUnsafeGuaranteedRef { segment in
      segment.recordCount = segment.recordCapacity &- recordsLeft
      segment.bytesUsed = segment.capacity &- bytesLeft
    }
    if bytes > notedBytes { notedBytes = bytes }
    if count > notedCount { notedCount = count }
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
    if head?.isDrained == true, head?.next == nil { dropHead() }
    var wanted = segmentLimit < MessageQueue.smallestSegment ? segmentLimit : MessageQueue.smallestSegment
    while wanted < expected && wanted < segmentLimit { wanted &*= 2 }
    if wanted < length { wanted = length }
    let segment: MessageSegment
    if let reused = spare, reused.capacity >= length {
      segment = reused
      spare = reused.next
      spareCount &-= 1
      reused.next = nil
    } else {
      segment = MessageSegment(capacity: wanted)
      ownedBytes &+= segment.footprint
    }
    if let tail { tail._withUnsafeGuaranteedRef { $0.next = segment } } else { head = segment }
    tail = Unmanaged.passUnretained(segment)
    pointCursors()
  }

  /// Takes up to `max` messages from the front, all from one segment; nil if the queue is empty.
  package func take(_ max: Int) -> MessageSlice? {
    guard count > 0, max > 0 else { return nil }
    if needsSifting { return takeSifted(max) }
    noteWritten()
    while head?.isDrained == true, head?.next != nil { dropHead() }
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

  /// Numbers what is here behind what was in a queue that is drained, and takes over its records.
  package func follow(_ other: MessageQueue) {
    noteWritten()
    var segment = head
    while let current = segment {
      for index in current.recordsTaken..<current.recordCount { current.records[index].sequence &+= other.lastSequence }
      segment = current.next
    }
    lastSequence &+= other.lastSequence
    if other.highestBytes > notedBytes { notedBytes = other.highestBytes }
    if other.highestCount > notedCount { notedCount = other.highestCount }
  }

  /// Takes back a segment that a consumer is done with, to use it again if nobody else holds it.
  package func giveBack(_ segment: consuming MessageSegment) {
    if let head, head === segment { return }
    recycle(segment)
  }

  /// Takes the first segment, which is drained, out of the list. A caller that refers to it hinders its use again.
  @inline(never)
  func dropHead() {
    guard let first = head else { return }
    head = first.next
    first.next = nil
    if head == nil {
      tail = nil
      bytesLeft = 0
      recordsLeft = 0
    }
    ownedBytes &-= first.footprint
    recycle(consume first)
  }

  /// A segment that was in the list is not any more.
  func leave(_ segment: consuming MessageSegment) {
    ownedBytes &-= segment.footprint
    recycle(consume segment)
  }

  /// Takes all segments out of the list; `leave` is to follow for each.
  func detach() -> MessageSegment? {
    let first = head
    head = nil
    tail = nil
    pointCursors()
    return first
  }

  func recycle(_ segment: consuming MessageSegment) {
    guard spareCount < spareLimit, segment.capacity <= segmentLimit,
      ownedBytes &+ segment.footprint <= memoryLimit
    else { return }
    var candidate = consume segment
    guard isKnownUniquelyReferenced(&candidate) else { return }
    afterLastRelease()
    candidate.reset()
    ownedBytes &+= candidate.footprint
    candidate.next = spare
    spare = candidate
    spareCount &+= 1
  }

  /// Moves a record with its payload to the end, as it is.
  func place(_ record: MessageRecord, expected: Int) {
    let length = record.length
    if length > bytesLeft || recordsLeft == 0 { makeRoom(for: length, expected: expected) }
    if length > 0 { byteCursor.copyMemory(from: record.data, byteCount: length) }
    recordCursor.initialize(to: record)
    recordCursor.pointee.data = UnsafeRawPointer(byteCursor)
    byteCursor += length
    bytesLeft &-= length
    recordCursor += 1
    recordsLeft &-= 1
  }

  /// A consumer on another thread has read the segment and then released it: what is written now must not overtake
  /// those reads, which the look at the reference count alone does not order.
  @inline(__always)
  private func afterLastRelease() { atomicMemoryFence(ordering: .acquiring) }

  /// Gives back memory that an empty queue keeps for later, but for a small segment.
  package func trim() {
    dropSpare()
    guard count == 0, var only = head, only.next == nil else { return }
    head = nil
    tail = nil
    ownedBytes &-= only.footprint
    if only.capacity <= MessageQueue.smallestSegment, isKnownUniquelyReferenced(&only) {
      only.reset()
      ownedBytes &+= only.footprint
      spare = only
      spareCount = 1
    }
    pointCursors()
  }

  func dropSpare() {
    while let first = spare {
      ownedBytes &-= first.footprint
      spare = first.next
      first.next = nil
    }
    spareCount = 0
  }
}
