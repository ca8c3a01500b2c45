// SPDX-License-Identifier: Apache-2.0

/// What `MessageQueue.take` hands out: records of one segment, alive as long as `segment` is referenced.
package struct MessageSlice {
  package var segment: MessageSegment
  package var records: UnsafePointer<MessageRecord>
  package var count: Int
}

/// A queue of messages in segments: appending copies the payload once, taking copies nothing. In the steady state it
/// allocates nothing: a drained segment is used again. Not thread safe; its owner locks.
package final class MessageQueue {
  /// What a message costs besides its payload; counted in `bytes`, so that a queue of empty messages is bounded too.
  package static let overhead = MemoryLayout<MessageRecord>.size

  static let smallestSegment = 4 << 10
  static let largestSegment = 256 << 10

  private var head: MessageSegment?
  // The last segment of the list that begins at `head`, which keeps it alive.
  private unowned(unsafe) var tail: MessageSegment?
  private var spare: MessageSegment?
  private var lastSequence: UInt64 = 0

  /// Messages in the queue, and their bytes with the overhead of each.
  package private(set) var count = 0
  package private(set) var bytes = 0
  /// The most that `count` and `bytes` have been.
  package private(set) var highestCount = 0
  package private(set) var highestBytes = 0

  package init() {}

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
    if let tail, tail.hasRoom(for: length) {
      return write(to: tail, kind: kind, flags: flags, payload: payload, receivedAt: receivedAt)
    }
    let segment = makeRoom(for: length, expected: expected)
    return write(to: segment, kind: kind, flags: flags, payload: payload, receivedAt: receivedAt)
  }

  @inline(__always)
  private func write(
    to segment: MessageSegment, kind: UInt32, flags: UInt32, payload: UnsafeRawBufferPointer, receivedAt: Int64
  ) -> UInt64 {
    let length = payload.count
    let target = segment.bytes + segment.bytesUsed
    if let source = payload.baseAddress { target.copyMemory(from: source, byteCount: length) }
    lastSequence &+= 1
    (segment.records + segment.recordCount).initialize(
      to: MessageRecord(
        data: UnsafeRawPointer(target), length: length, kind: kind, flags: flags, receivedAt: receivedAt,
        sequence: lastSequence))
    segment.bytesUsed &+= length
    segment.recordCount &+= 1
    count &+= 1
    bytes &+= length &+ MessageQueue.overhead
    if bytes > highestBytes { highestBytes = bytes }
    if count > highestCount { highestCount = count }
    return lastSequence
  }

  /// Before the messages of a chunk: begins a drained segment anew, so that a consumer that keeps up sees the same,
  /// cached, memory again and again.
  @inline(__always)
  package func beginChunk() {
    if count == 0, let only = tail, only.recordCount > 0 { rewind() }
  }

  private func rewind() {
    guard isKnownUniquelyReferenced(&head), head?.next == nil, head?.isDrained == true else { return }
    head?.reset()
  }

  /// The last segment is full: begins it anew if everything in it was taken and given back, else adds another one.
  @inline(never)
  private func makeRoom(for length: Int, expected: Int) -> MessageSegment {
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
      spare = nil
    } else {
      segment = MessageSegment(capacity: wanted)
    }
    if let tail { tail.next = segment } else { head = segment }
    tail = segment
    return segment
  }

  /// Takes up to `max` messages from the front, all from one segment; nil if the queue is empty.
  package func take(_ max: Int) -> MessageSlice? {
    guard count > 0, max > 0 else { return nil }
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
    guard spare == nil, segment.capacity <= MessageQueue.largestSegment else { return }
    var candidate = segment
    guard isKnownUniquelyReferenced(&candidate) else { return }
    candidate.reset()
    spare = candidate
  }

  /// Gives back memory that an empty queue keeps for later.
  package func trim() {
    spare = nil
    if count == 0, var only = head, only.next == nil {
      head = nil
      tail = nil
      if isKnownUniquelyReferenced(&only), only.capacity <= MessageQueue.smallestSegment {
        only.reset()
        spare = only
      }
    }
  }
}
