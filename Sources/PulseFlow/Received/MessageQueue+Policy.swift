// SPDX-License-Identifier: Apache-2.0

/// Where the message of a key is while the queue conflates.
struct LatestMessage {
  /// 0 for none.
  var sequence: UInt64 = 0
  var record: UnsafeMutablePointer<MessageRecord>?
}

/// How far a queue that keeps its events has looked for a message to drop.
struct DropCursor {
  /// Not referenced: it is in the list as long as the first message of the queue is not behind `sequence`.
  var segment: Unmanaged<MessageSegment>?
  var index = 0
  /// Of the last record that was looked at; it is in `segment`.
  var sequence: UInt64 = 0
}

/// What a full queue does instead of making the peer wait. A message that is discarded among others leaves a hole;
/// `take` closes the holes as it passes them, so that the payloads it hands out lie without gaps. When holes take too
/// much memory, what is left is copied together: that happens once for as many bytes as it copies.
extension MessageQueue {
  private static var keyShift: UInt32 { 8 }
  private static var flagMask: UInt32 { 0xFF }
  /// In the flags of an event that is not dropped for lack of room.
  static var keptMark: UInt32 { 1 << 31 }
  /// What those events may take beyond the limit.
  package static var keptBytes: Int { 1 << 20 }

  /// From now on the queue holds no more memory than twice `limit`, and a message, if the owner calls `dropOldest` or
  /// `conflate` with that limit behind each message.
  package func bound(to limit: Int) {
    memoryLimit = limit > Int.max / 2 ? Int.max : limit < 0 ? 0 : limit &* 2
    spareLimit = Int.max
    // Small enough for the first and the last segment, which may be nearly empty, not to matter.
    segmentLimit = 512
    while segmentLimit < MessageQueue.largestSegment && segmentLimit < limit / 16 { segmentLimit &*= 2 }
  }

  /// Whether there is something to do for `dropOldest` or `conflate`.
  @inline(__always)
  package func isFull(_ limit: Int) -> Bool { bytes >= limit || ownedBytes > memoryLimit }

  /// As `append`, with the number of the message's key (see `KeyTable`); -1 for none.
  @inline(__always)
  @discardableResult
  package func append(
    kind: UInt32, flags: UInt32, payload: UnsafeRawBufferPointer, receivedAt: Int64, expected: Int, key: Int
  ) -> UInt64 {
    if key < 0 || key >= KeyTable.maxKeys {
      return append(kind: kind, flags: flags, payload: payload, receivedAt: receivedAt, expected: expected)
    }
    isKeyed = true
    needsSifting = true
    let marked = flags & MessageQueue.flagMask | UInt32(truncatingIfNeeded: key &+ 1) << MessageQueue.keyShift
    let sequence = append(kind: kind, flags: marked, payload: payload, receivedAt: receivedAt, expected: expected)
    if isConflating { setLatest(key, recordCursor - 1) }
    return sequence
  }

  /// An event, to the end; one that `isKept` goes only when such events alone take `keptBytes` beyond the limit.
  package func append(event json: [UInt8], isKept: Bool, receivedAt: Int64) {
    if isKept {
      needsSifting = true
      keptCount &+= 1
    }
    json.withUnsafeBytes { bytes in
      _ = append(
        kind: MessageQueue.event, flags: isKept ? MessageQueue.keptMark : 0, payload: bytes, receivedAt: receivedAt,
        expected: bytes.count)
    }
  }

  /// Drops messages from the front until the others have no more than `limit` bytes. Events go only when nothing but
  /// the newest message is left; that one stays. Those that are kept go last.
  package func dropOldest(toFit limit: Int) {
    if !isFull(limit) { return }
    noteWritten()
    shrink(toFit: limit)
  }

  /// If the queue is full: keeps of each key the latest message only, now and until the queue is empty. If that is not
  /// enough, drops as `dropOldest` does.
  package func conflate(toFit limit: Int) {
    // What is only kept for later is no reason.
    if ownedBytes > memoryLimit { dropSpare() }
    if !isFull(limit) { return }
    noteWritten()
    if !isConflating { beginConflating() }
    shrink(toFit: limit)
  }

  // MARK: Conflating

  @inline(never) private func beginConflating() {
    settle()
    guard count > 0, let first = head else { return }
    isConflating = true
    // The end of the queue is the end of that.
    needsSifting = true
    passedSequence = first.records[first.recordsTaken].sequence &- 1
    var segment = head
    while let current = segment {
      for index in current.recordsTaken..<current.recordCount {
        let record = current.records + index
        let key = Int(record.pointee.flags >> MessageQueue.keyShift) &- 1
        if record.pointee.kind < MessageQueue.event && key >= 0 { setLatest(key, record) }
      }
      segment = current.next
    }
  }

  private func setLatest(_ key: Int, _ record: UnsafeMutablePointer<MessageRecord>) {
    while key >= latest.count { latest.append(LatestMessage()) }
    let old = latest[key]
    if old.sequence > passedSequence, let replaced = old.record, replaced.pointee.kind != MessageQueue.hole {
      noteWritten()
      conflatedCount &+= 1
      conflatedBytes &+= UInt64(truncatingIfNeeded: replaced.pointee.length)
      punch(replaced)
    }
    latest[key] = LatestMessage(sequence: record.pointee.sequence, record: record)
  }

  /// Makes a hole.
  private func punch(_ record: UnsafeMutablePointer<MessageRecord>) {
    let size = record.pointee.length &+ MessageQueue.overhead
    record.pointee.kind = MessageQueue.hole
    needsSifting = true
    count &-= 1
    bytes &-= size
    holes &+= 1
    holeBytes &+= size
  }

  // MARK: Dropping

  private func shrink(toFit limit: Int) {
    if ownedBytes > memoryLimit { dropSpare() }
    while bytes > limit || ownedBytes > memoryLimit {
      if ownedBytes > memoryLimit && holeBytes > limit / 4 {
        closeHoles()
        continue
      }
      if count <= 1 || !dropOne(limit) { return }
    }
  }

  private func dropOne(_ limit: Int) -> Bool {
    settle()
    let isDropped = discardFirst(limit)
    settle()
    return isDropped
  }

  /// Apart from `settle`, which may use the segment again: nothing must refer to it then.
  /// False if the rest is to stay: the newest message, which may exceed the limit alone, and events within it.
  @inline(never) private func discardFirst(_ limit: Int) -> Bool {
    guard count > 0, let segment = head else { return false }
    let first = segment.records + segment.recordsTaken
    let isEvent = first.pointee.kind == MessageQueue.event
    if isEvent, let other = nextDroppable(after: first.pointee.sequence, isEvent: false, &dropCursor) {
      noteDropped(other)
      let key = Int(other.pointee.flags >> MessageQueue.keyShift) &- 1
      if isConflating, key >= 0, key < latest.count, latest[key].sequence == other.pointee.sequence {
        latest[key].sequence = 0
      }
      punch(other)
      return true
    }
    if isEvent, recordCursor[-1].kind != MessageQueue.event, recordCursor[-1].sequence == lastSequence,
      bytes &- recordCursor[-1].length <= limit
    {
      return false
    }
    if isEvent && first.pointee.flags & MessageQueue.keptMark != 0 {
      if let other = nextDroppable(after: first.pointee.sequence, isEvent: true, &eventCursor) {
        noteDropped(other)
        punch(other)
        return true
      }
      if bytes <= limit &+ MessageQueue.keptBytes { return false }
      keptCount &-= 1
    }
    noteDropped(first)
    segment.recordsTaken &+= 1
    count &-= 1
    bytes &-= first.pointee.length &+ MessageQueue.overhead
    passedSequence = first.pointee.sequence
    return true
  }

  private func noteDropped(_ record: UnsafeMutablePointer<MessageRecord>) {
    if record.pointee.kind == MessageQueue.event {
      droppedEvents &+= 1
    } else {
      droppedCount &+= 1
      droppedBytes &+= UInt64(truncatingIfNeeded: record.pointee.length)
    }
  }

  /// The oldest message that is no event, or the oldest event that is not kept, and not the newest of all. Each record is
  /// looked at once by each of the two cursors.
  private func nextDroppable(
    after first: UInt64, isEvent: Bool, _ cursor: inout DropCursor
  ) -> UnsafeMutablePointer<MessageRecord>? {
    if cursor.segment == nil || cursor.sequence < first {
      guard let head else { return nil }
      cursor = DropCursor(segment: Unmanaged.passUnretained(head), index: head.recordsTaken &+ 1, sequence: first)
    }
    while let place = cursor.segment {
      let segment = place.takeUnretainedValue()
      if cursor.index >= segment.recordCount {
        guard let next = segment.next, next.recordCount > 0 else { return nil }
        cursor = DropCursor(segment: Unmanaged.passUnretained(next), index: 0, sequence: next.records[0].sequence)
      }
      let current = cursor.segment?.takeUnretainedValue() ?? segment
      let record = current.records + cursor.index
      if record.pointee.sequence >= lastSequence { return nil }
      cursor.index &+= 1
      cursor.sequence = record.pointee.sequence
      let kind = record.pointee.kind
      if isEvent
        ? kind == MessageQueue.event && record.pointee.flags & MessageQueue.keptMark == 0 : kind < MessageQueue.event
      {
        return record
      }
    }
    return nil
  }

  // MARK: Holes

  /// Passes the holes at the front, and the segments without a message.
  private func settle() {
    while headIsDrained() && head?.next != nil { dropHead() }
  }

  /// Passes the holes of the first segment.
  @inline(never) private func headIsDrained() -> Bool {
    guard let segment = head else { return false }
    while segment.recordsTaken < segment.recordCount {
      let record = segment.records + segment.recordsTaken
      if record.pointee.kind != MessageQueue.hole { return false }
      passHole(record)
      segment.recordsTaken &+= 1
    }
    return true
  }

  private func passHole(_ record: UnsafeMutablePointer<MessageRecord>) {
    holes &-= 1
    holeBytes &-= record.pointee.length &+ MessageQueue.overhead
    passedSequence = record.pointee.sequence
  }

  /// `take` of a queue that has holes or keys. Messages behind a hole move up to the one before it.
  func takeSifted(_ max: Int) -> MessageSlice? {
    noteWritten()
    settle()
    guard let segment = head, count > 0 else { return nil }
    let first = segment.recordsTaken
    var index = first
    var taken = 0
    var size = 0
    var place = UnsafeMutableRawPointer(mutating: segment.records[first].data)
    while index < segment.recordCount && taken < max {
      let record = segment.records + index
      index &+= 1
      if record.pointee.kind == MessageQueue.hole {
        passHole(record)
        continue
      }
      let length = record.pointee.length
      let out = segment.records + (first &+ taken)
      if out != record {
        if length > 0 { place.copyMemory(from: record.pointee.data, byteCount: length) }
        out.pointee = record.pointee
        out.pointee.data = UnsafeRawPointer(place)
      }
      if out.pointee.flags & MessageQueue.keptMark != 0 { keptCount &-= 1 }
      out.pointee.flags &= MessageQueue.flagMask
      place += length
      size &+= length
      taken &+= 1
      passedSequence = out.pointee.sequence
    }
    segment.recordsTaken = index
    count &-= taken
    bytes &-= size &+ taken &* MessageQueue.overhead
    let slice = MessageSlice(segment: segment, records: UnsafePointer(segment.records + first), count: taken)
    if count == 0 {
      settle()
      isConflating = false
    }
    if holes == 0 && !isKeyed && keptCount == 0 && !isConflating { needsSifting = false }
    return slice
  }

  /// Copies the messages together.
  func closeHoles() {
    noteWritten()
    dropCursor = DropCursor()
    eventCursor = DropCursor()
    holes = 0
    holeBytes = 0
    let expected = bytes
    var rest = detach()
    while let segment = rest {
      rest = segment.next
      segment.next = nil
      move(segment, expected: expected)
      leave(consume segment)
    }
    noteWritten()
  }

  @inline(never) private func move(_ segment: MessageSegment, expected: Int) {
    for index in segment.recordsTaken..<segment.recordCount {
      let record = segment.records[index]
      if record.kind == MessageQueue.hole { continue }
      place(record, expected: expected)
      let key = Int(record.flags >> MessageQueue.keyShift) &- 1
      if isConflating, key >= 0, key < latest.count, latest[key].sequence == record.sequence {
        latest[key].record = recordCursor - 1
      }
    }
  }
}
