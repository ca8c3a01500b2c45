// SPDX-License-Identifier: Apache-2.0

/// Messages that wait to be sent, in order, within limits. What it discards it tells in `book`.
///
/// A message is copied once, into a segment; in the steady state nothing is allocated, because segments are used again.
/// One that is removed from the middle leaves its place empty until the front comes by; a segment without messages is
/// given back at once, and when what remains is thinly spread it moves together. Not thread safe; its owner locks.
package final class Outbox {
  package struct Limits {
    package var count: Int
    /// Payloads, with `MessageQueue.overhead` for each message.
    package var bytes: Int

    package init(count: Int, bytes: Int) {
      self.count = count
      self.bytes = bytes
    }
  }

  package enum Admission {
    case accepted
    /// Accepted and dropped at once, which `book` has noted: for the owner it is an accepted message.
    case dropNewest
    /// Not accepted.
    case full
  }

  static let smallestSegment = 4 << 10
  static let largestSegment = 256 << 10
  static let spareLimit = 16
  /// A search for expired messages that saw more than `shortScan` is not repeated before this time (ns) for each of
  /// them is over, of which the search took a small share.
  static let scanPause: Int64 = 100
  /// Memory that removed messages may hold beyond a multiple of what the others need.
  static let slack = 1 << 20

  package var limits = Limits(count: .max, bytes: .max)
  package var policy = OverflowPolicy.dropOldest
  /// Fates of the messages that were discarded, and of others that the owner enters.
  package var book = FateBook()

  /// Messages that wait, and their bytes with the overhead of each.
  package private(set) var count = 0
  package private(set) var bytes = 0
  /// The most that `count` and `bytes` have been.
  package private(set) var highestCount = 0
  package private(set) var highestBytes = 0

  private var head: OutboxSegment.Pointer?
  private var tail: OutboxSegment.Pointer?
  /// What waits behind the messages that are being put back.
  private var laterHead: OutboxSegment.Pointer?
  private var laterTail: OutboxSegment.Pointer?
  /// Segments to use again, linked by `next`.
  private var spare: OutboxSegment.Pointer?
  private var spareCount = 0
  /// The memory of all segments with messages.
  private(set) var ownedBytes = 0
  /// No message expires before this.
  private var earliest = Int64.max
  /// When the next search for expired messages may be.
  private var scanAllowedAt = Int64.min
  /// A search for expired messages that saw no more than this may be repeated at once. Tests change it.
  var shortScan = 1024

  package init() {}

  deinit {
    OutboxSegment.freeAll(head)
    OutboxSegment.freeAll(laterHead)
    OutboxSegment.freeAll(spare)
  }

  package var isEmpty: Bool { count == 0 }

  /// Whether a message with a payload of so many bytes is within the limits. An empty outbox takes one of any size.
  package func hasRoom(for payloadBytes: Int) -> Bool {
    count == 0 || (count < limits.count && payloadBytes <= limits.bytes &- bytes &- MessageQueue.overhead)
  }

  // MARK: Adding

  /// Copies a message to the end. When there is no room, what has expired by `acceptedAt` goes first, then the policy
  /// decides.
  package func append(
    id: UInt64, kind: UInt32, flags: OutboxFlags, payload: UnsafeRawBufferPointer, expiresAt: Int64, acceptedAt: Int64
  ) -> Admission {
    if !hasRoom(for: payload.count) {
      expire(now: acceptedAt)
      while !hasRoom(for: payload.count) {
        switch policy {
        case .dropOldest:
          guard discardFront(now: acceptedAt) else { return .full }
        case .dropNewest:
          book.discard(id: id, flags: flags, cause: .newest)
          return .dropNewest
        case .reject, .block:
          return .full
        }
      }
    }
    add(
      OutboxMessage(
        id: id, kind: kind, flags: flags, payload: payload, expiresAt: expiresAt, acceptedAt: acceptedAt))
    return .accepted
  }

  private func add(_ message: OutboxMessage) {
    // The list is empty, also while messages are put back: then it holds only those.
    if count == 0, let only = head, only == tail { OutboxSegment.reset(only) }
    let length = message.payload.count
    store(message)
    count &+= 1
    bytes &+= length &+ MessageQueue.overhead
    if count > highestCount { highestCount = count }
    if bytes > highestBytes { highestBytes = bytes }
  }

  private func store(_ message: OutboxMessage) {
    let length = message.payload.count
    let needed = length &+ OutboxSegment.recordSize
    let segment: OutboxSegment.Pointer
    if let tail, tail.pointee.left >= needed { segment = tail } else { segment = addSegment(room: needed) }
    let data = segment.pointee.bytes
    if length > 0, let source = message.payload.baseAddress { data.copyMemory(from: source, byteCount: length) }
    segment.pointee.record(segment.pointee.recordCount).initialize(
      to: OutboxRecord(
        data: data, length: length, id: message.id, expiresAt: message.expiresAt, acceptedAt: message.acceptedAt,
        kind: message.kind, flags: message.flags))
    segment.pointee.recordCount &+= 1
    segment.pointee.live &+= 1
    segment.pointee.bytes = data + length
    segment.pointee.left &-= needed
    if message.expiresAt < segment.pointee.earliest {
      segment.pointee.earliest = message.expiresAt
      if message.expiresAt < earliest { earliest = message.expiresAt }
    }
  }

  @inline(never)
  private func addSegment(room: Int) -> OutboxSegment.Pointer {
    var found: OutboxSegment.Pointer?
    while found == nil, let candidate = spare {
      spare = candidate.pointee.next
      spareCount &-= 1
      // One that is too small now would be so again: larger ones take its place.
      if candidate.pointee.capacity >= room { found = candidate } else { OutboxSegment.free(candidate) }
    }
    let segment: OutboxSegment.Pointer
    if let found {
      segment = found
      segment.pointee.next = nil
    } else {
      var wanted = Outbox.smallestSegment
      while wanted < bytes && wanted < Outbox.largestSegment { wanted &*= 2 }
      segment = OutboxSegment.make(room: wanted < room ? room : wanted)
    }
    ownedBytes &+= segment.pointee.size
    if let tail { tail.pointee.next = segment } else { head = segment }
    tail = segment
    return segment
  }

  /// Messages that were taken to be framed and not written follow, oldest first: between this call and `endPutBack`
  /// only `putBack` is allowed.
  package func beginPutBack() {
    guard laterHead == nil else { return }
    if count == 0 { removeSegments() }
    laterHead = head
    laterTail = tail
    head = nil
    tail = nil
  }

  /// They were accepted before, so that the limits do not matter.
  package func putBack(_ message: OutboxMessage) { add(message) }

  package func endPutBack() {
    if let tail { tail.pointee.next = laterHead } else { head = laterHead }
    if laterTail != nil { tail = laterTail }
    laterHead = nil
    laterTail = nil
  }

  // MARK: Taking

  /// The first message that has not expired; those before it are discarded. Its payload lives until something is
  /// added or removed.
  package func front(now: Int64) -> OutboxMessage? {
    while let record = frontRecord() {
      if record.pointee.expiresAt > now {
        return OutboxMessage(
          id: record.pointee.id, kind: record.pointee.kind, flags: record.pointee.flags,
          payload: UnsafeRawBufferPointer(start: record.pointee.data, count: record.pointee.length),
          expiresAt: record.pointee.expiresAt, acceptedAt: record.pointee.acceptedAt)
      }
      book.discard(id: record.pointee.id, flags: record.pointee.flags, cause: .expired)
      removeFront()
    }
    return nil
  }

  /// The lowest id of all. Live-only messages may have overtaken others before they were put back.
  package func lowestID(now: Int64) -> UInt64? {
    guard front(now: now) != nil else { return nil }
    var lowest = UInt64.max
    var link = head
    while let segment = link {
      for index in segment.pointee.first..<segment.pointee.recordCount {
        let record = segment.pointee.record(index)
        guard record.pointee.isLive else { continue }
        if record.pointee.id < lowest { lowest = record.pointee.id }
        if !record.pointee.flags.contains(.liveOnly) { return lowest }
      }
      link = segment.pointee.next
    }
    return lowest
  }

  /// Takes the first message out, which the owner has framed.
  package func removeFront() {
    guard let record = frontRecord(), let segment = head else { return }
    forget(record, of: segment)
    segment.pointee.first &+= 1
    if count == 0 { becameEmpty() }
  }

  /// The id of the first message that has all of these flags.
  package func firstID(withFlags mask: OutboxFlags) -> UInt64? { first(withFlags: mask)?.record.pointee.id }

  /// Makes room by discarding that one.
  package func dropOldest(withFlags mask: OutboxFlags) {
    guard let (record, segment) = first(withFlags: mask) else { return }
    book.discard(id: record.pointee.id, flags: record.pointee.flags, cause: .oldest)
    forget(record, of: segment)
    _ = frontRecord()
    if count == 0 { becameEmpty() }
  }

  private func first(withFlags mask: OutboxFlags) -> (record: UnsafeMutablePointer<OutboxRecord>, segment: OutboxSegment.Pointer)? {
    var link = head
    while let segment = link {
      for index in segment.pointee.first..<segment.pointee.recordCount {
        let record = segment.pointee.record(index)
        if record.pointee.isLive && record.pointee.flags.isSuperset(of: mask) { return (record, segment) }
      }
      link = segment.pointee.next
    }
    return nil
  }

  private func discardFront(now: Int64) -> Bool {
    guard let record = frontRecord() else { return false }
    let isExpired = record.pointee.expiresAt <= now
    book.discard(id: record.pointee.id, flags: record.pointee.flags, cause: isExpired ? .expired : .oldest)
    removeFront()
    return true
  }

  private func frontRecord() -> UnsafeMutablePointer<OutboxRecord>? {
    while let segment = head {
      if segment.pointee.live == 0 {
        guard count > 0 else { return nil }
        head = segment.pointee.next
        if head == nil { tail = nil }
        release(segment)
        continue
      }
      while segment.pointee.first < segment.pointee.recordCount {
        let record = segment.pointee.record(segment.pointee.first)
        if record.pointee.isLive { return record }
        segment.pointee.first &+= 1
      }
      return nil
    }
    return nil
  }

  // MARK: Removing

  /// When `expire` has something to do; `.max` for never.
  package var nextExpiry: Int64 {
    if earliest == .max { return .max }
    return earliest > scanAllowedAt ? earliest : scanAllowedAt
  }

  /// Discards the messages that have expired, wherever they are. A call costs next to nothing when none can have; after
  /// a long search the next one waits, so that the messages may go somewhat later, never to the peer. Returns how many.
  @discardableResult
  package func expire(now: Int64) -> Int {
    if now < nextExpiry || earliest == .max { return 0 }
    let before = count
    let seen = scan(now: now, mask: [], cause: .expired)
    let pause = seen > shortScan ? Int64(seen) &* Outbox.scanPause : 0
    let (end, isTooLate) = now.addingReportingOverflow(pause)
    scanAllowedAt = isTooLate ? .max : end
    return before &- count
  }

  /// Discards all messages. Returns how many.
  @discardableResult
  package func purge() -> Int { removeAll(withFlags: [], cause: .purged) }

  /// Discards the messages that have all of these flags; with none, all messages. Returns how many.
  @discardableResult
  package func removeAll(withFlags mask: OutboxFlags, cause: DiscardCause) -> Int {
    let before = count
    if before > 0 { _ = scan(now: .max, mask: mask, cause: cause) }
    return before &- count
  }

  /// Removes what has expired by `now` and has the flags, from the segments that can have such messages; learns when
  /// the others expire. With `.max` the time does not matter. Returns how many records it saw.
  private func scan(now: Int64, mask: OutboxFlags, cause: DiscardCause) -> Int {
    var seen = 0
    var previous: OutboxSegment.Pointer?
    var link = head
    earliest = .max
    while let segment = link {
      link = segment.pointee.next
      if segment.pointee.earliest <= now {
        seen &+= segment.pointee.recordCount &- segment.pointee.first
        scan(segment, now: now, mask: mask, cause: cause)
      }
      if segment.pointee.live == 0 {
        if let previous { previous.pointee.next = link } else { head = link }
        if link == nil { tail = previous }
        release(segment)
      } else {
        previous = segment
        if segment.pointee.earliest < earliest { earliest = segment.pointee.earliest }
      }
    }
    if count == 0 { becameEmpty() }
    if ownedBytes &- Outbox.slack > bytes &* 4 { moveTogether() }
    return seen
  }

  private func scan(_ segment: OutboxSegment.Pointer, now: Int64, mask: OutboxFlags, cause: DiscardCause) {
    var soonest = Int64.max
    for index in segment.pointee.first..<segment.pointee.recordCount {
      let record = segment.pointee.record(index)
      guard record.pointee.isLive else { continue }
      if record.pointee.expiresAt <= now && record.pointee.flags.isSuperset(of: mask) {
        book.discard(id: record.pointee.id, flags: record.pointee.flags, cause: cause)
        forget(record, of: segment)
      } else if record.pointee.expiresAt < soonest {
        soonest = record.pointee.expiresAt
      }
    }
    segment.pointee.earliest = soonest
  }

  private func forget(_ record: UnsafeMutablePointer<OutboxRecord>, of segment: OutboxSegment.Pointer) {
    count &-= 1
    bytes &-= record.pointee.length &+ MessageQueue.overhead
    record.pointee.length = -1
    segment.pointee.live &-= 1
  }

  /// Copies what is left into few segments.
  private func moveTogether() {
    var old = head
    head = nil
    tail = nil
    while let segment = old {
      old = segment.pointee.next
      for index in segment.pointee.first..<segment.pointee.recordCount {
        let record = segment.pointee.record(index).pointee
        guard record.isLive else { continue }
        store(
          OutboxMessage(
            id: record.id, kind: record.kind, flags: record.flags,
            payload: UnsafeRawBufferPointer(start: record.data, count: record.length),
            expiresAt: record.expiresAt, acceptedAt: record.acceptedAt))
      }
      release(segment)
    }
  }

  // MARK: Memory

  private func becameEmpty() {
    earliest = .max
    scanAllowedAt = .min
  }

  private func removeSegments() {
    while let segment = head {
      head = segment.pointee.next
      release(segment)
    }
    tail = nil
  }

  private func release(_ segment: OutboxSegment.Pointer) {
    ownedBytes &-= segment.pointee.size
    guard spareCount < Outbox.spareLimit, segment.pointee.capacity <= Outbox.largestSegment else {
      OutboxSegment.free(segment)
      return
    }
    OutboxSegment.reset(segment)
    segment.pointee.next = spare
    spare = segment
    spareCount &+= 1
  }

  /// Gives back memory that is kept for later.
  package func trim() {
    if count == 0 { removeSegments() }
    OutboxSegment.freeAll(spare)
    spare = nil
    spareCount = 0
  }
}
