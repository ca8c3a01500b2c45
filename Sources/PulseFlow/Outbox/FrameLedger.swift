// SPDX-License-Identifier: Apache-2.0

/// A frame on its way to the peer.
package struct FrameEntry {
  package var id: UInt64
  /// Where the frame lies in the stream of all bytes that were appended.
  package fileprivate(set) var start: UInt64 = 0
  package fileprivate(set) var end: UInt64 = 0
  package var expiresAt: Int64
  package var acceptedAt: Int64
  package var kind: UInt32
  /// As in the outbox (`OutboxFlags`).
  package var flags: OutboxFlags
  package var isCompressed: Bool
  /// Not so for a frame that is no accepted message, such as a login or a subscription: it is not counted.
  package var isMessage: Bool
  /// Several frames, all of `FrameLedger.frameSize` but the last one.
  package var isFragmented = false

  package init(
    id: UInt64, kind: UInt32, flags: OutboxFlags = [], expiresAt: Int64 = .max, acceptedAt: Int64 = 0,
    isCompressed: Bool = false, isMessage: Bool = true
  ) {
    self.id = id
    self.kind = kind
    self.flags = flags
    self.expiresAt = expiresAt
    self.acceptedAt = acceptedAt
    self.isCompressed = isCompressed
    self.isMessage = isMessage
  }

  package var length: Int { Int(truncatingIfNeeded: end &- start) }
}

/// Which of the frames in a byte stream are written, in order.
package struct FrameLedger {
  /// A ring; its size is a power of two.
  private var entries: [FrameEntry] = []
  private var first = 0
  private var last = 0
  private var appended: UInt64 = 0
  private var writtenBytes: UInt64 = 0
  private var reported: [UInt64] = []
  /// Entries before this one, counted as `first` and `last` are, are marked as begun in the journal.
  private var begunEnd = 0
  /// Entries that are not settled and have several frames.
  private var fragmented = 0
  /// Of a frame of a fragmented message, in bytes with its header.
  package static let frameSize: UInt64 = 65_528

  package init() {}

  /// Messages that are not wholly written.
  package private(set) var pending = 0

  /// A frame of so many bytes was added at the end.
  @inline(__always)
  package mutating func append(bytes: Int, _ entry: FrameEntry) {
    if last &- first == entries.count { grow() }
    var placed = entry
    placed.start = appended
    appended &+= UInt64(truncatingIfNeeded: bytes)
    placed.end = appended
    entries[last & (entries.count &- 1)] = placed
    last &+= 1
    if entry.isMessage { pending &+= 1 }
    if placed.isFragmented { fragmented &+= 1 }
  }

  package mutating func append(bytes: Int) { append(bytes: bytes, FrameEntry(id: 0, kind: 0)) }

  @inline(never)
  private mutating func grow() {
    var larger = [FrameEntry](repeating: FrameEntry(id: 0, kind: 0), count: entries.isEmpty ? 16 : entries.count * 2)
    for index in first..<last { larger[index & (larger.count &- 1)] = entries[index & (entries.count &- 1)] }
    entries = larger
  }

  /// Bytes that belong to no entry (a close frame) went into the stream.
  package mutating func skip(bytes: Int) { appended &+= UInt64(truncatingIfNeeded: bytes) }

  /// How many of the `count` unwritten bytes are to be written at once, so that control frames get their turn between
  /// the fragments of a message (RFC 6455 §5.4).
  @inline(__always)
  package func bytesToBoundary(of count: Int) -> Int { fragmented == 0 ? count : bytesToFragment(of: count) }

  @inline(never)
  private func bytesToFragment(of count: Int) -> Int {
    for index in first..<last {
      let entry = entries[index & (entries.count &- 1)]
      if !entry.isFragmented { continue }
      let written = writtenBytes > entry.start ? writtenBytes &- entry.start : 0
      let boundary = min(entry.start &+ (written / Self.frameSize &+ 1) &* Self.frameSize, entry.end)
      return min(count, Int(truncatingIfNeeded: boundary &- writtenBytes))
    }
    return count
  }

  /// So many bytes of the stream were written.
  package mutating func written(bytes: Int) { writtenBytes &+= UInt64(truncatingIfNeeded: bytes) }

  /// How many more messages are now wholly written. The ids of those whose fate is asked for go to `takeReported`; the
  /// journal learns of those that are in it.
  package mutating func settle(_ journal: Journal? = nil) -> UInt64 {
    let before = pending
    while first != last {
      let place = first & (entries.count &- 1)
      if entries[place].end > writtenBytes { break }
      first &+= 1
      if entries[place].isFragmented { fragmented &-= 1 }
      guard entries[place].isMessage else { continue }
      pending &-= 1
      let flags = entries[place].flags
      if flags.isDisjoint(with: [.report, .journaled]) { continue }
      if flags.contains(.journaled) { journal?.done(entries[place].id) }
      if flags.contains(.report) { reported.append(entries[place].id) }
    }
    return UInt64(before &- pending)
  }

  // MARK: The journal

  /// All bytes of the stream are about to be given away: any message may be reached.
  package mutating func begin(_ journal: Journal) {
    var index = max(first, begunEnd)
    while index < last {
      let place = index & (entries.count &- 1)
      if entries[place].flags.contains(.journaled) { journal.begun(entries[place].id) }
      index &+= 1
    }
    begunEnd = last
  }

  /// Not so many were taken: the messages that begin so many bytes or more behind the last written one are as before.
  package mutating func takeBackBegun(_ journal: Journal, beyond bytes: Int) {
    while begunEnd > first {
      let entry = entries[(begunEnd &- 1) & (entries.count &- 1)]
      if entry.start < writtenBytes || bytesBefore(entry) < bytes { return }
      begunEnd &-= 1
      if entry.flags.contains(.journaled) { journal.queuedAgain(entry.id) }
    }
  }

  /// The ids of messages with `OutboxFlags.report` that were settled since the last call, in order.
  package mutating func takeReported() -> [UInt64] {
    if reported.isEmpty { return [] }
    let taken = reported
    reported = []
    return taken
  }

  // MARK: When the connection ends

  /// Entries that are not settled, those that are no messages included.
  package var count: Int { last &- first }

  /// One of them, the oldest being 0.
  package func entry(_ index: Int) -> FrameEntry? {
    guard index >= 0, index < count else { return nil }
    return entries[(first &+ index) & (entries.count &- 1)]
  }

  /// The index of the first entry of which no byte was written; `count` if there is none. A message before it must
  /// never be sent again.
  package var firstUnstarted: Int {
    var index = 0
    while let entry = entry(index), entry.start < writtenBytes { index &+= 1 }
    return index
  }

  /// How many unwritten bytes of the stream lie before the entry's frame, of which no byte is written.
  package func bytesBefore(_ entry: FrameEntry) -> Int { Int(truncatingIfNeeded: entry.start &- writtenBytes) }

  /// Takes back the entries from this one on, of which no byte was written.
  package mutating func removeAll(from index: Int) {
    while count > max(0, index), let entry = entry(count &- 1), entry.start >= writtenBytes {
      last &-= 1
      appended = entry.start
      if entry.isMessage { pending &-= 1 }
      if entry.isFragmented { fragmented &-= 1 }
    }
    if begunEnd > last { begunEnd = last }
  }

  /// Forgets the frames and begins a new stream, with the memory of the old one. What was reported stays to be taken.
  package mutating func reset() {
    first = 0
    last = 0
    appended = 0
    writtenBytes = 0
    pending = 0
    begunEnd = 0
    fragmented = 0
  }
}
