// SPDX-License-Identifier: Apache-2.0
import CPulseKernels

/// The messages of an outbox in memory that outlives the process: a ring of records in a mapped file. What is stored
/// here is there for the next process, whenever this one ends; nothing is written through to the disk.
///
/// A message is `queued`, then `begun` before its first byte may leave, then `done`. Records leave at the front, once
/// they are done. Not thread safe; its owner locks.
package final class Journal {
  /// Ids that follow each other, the first and the last one of each row.
  package struct Rows {
    package private(set) var rows: [(first: UInt64, last: UInt64)] = []
    package private(set) var count: UInt64 = 0

    package init() {}

    package mutating func add(_ first: UInt64, _ last: UInt64) {
      count &+= last &- first &+ 1
      if let row = rows.last, row.last &+ 1 == first {
        rows[rows.count - 1].last = last
      } else {
        rows.append((first, last))
      }
    }
  }

  /// What `recover` found.
  package struct Recovery {
    package var queued = 0
    /// Begun and not done when the process ended: they may have been sent, or not. So those that the end of a connection
    /// cut, of which nobody was told.
    package var inDoubt = Rows()
    /// Of the ones in doubt those that are no records any more.
    package var failed: UInt64 = 0
    /// Discarded by the process before, which did not tell the application.
    package var dropped = Rows()
    package var expired = Rows()
    /// Ids of the last three for which there was no room.
    package var unlisted: UInt64 = 0
    /// Of damaged records and all behind them, which are lost.
    package var cutBytes: UInt64 = 0
    /// At most so many messages were in there; nil where the words that say so are damaged, too.
    package var cutMessages: UInt64? = 0
  }

  /// A message in the journal; the payload lies in the mapped memory.
  package struct Record {
    package var id: UInt64
    package var kind: UInt32
    package var flags: OutboxFlags
    /// Nanoseconds since 1970.
    package var acceptedAt: Int64
    /// `.max` for never.
    package var expiresAt: Int64
    package var payload: UnsafeRawBufferPointer
    package var isInDoubt: Bool
  }

  /// With nothing in it, the journal begins at the start of its ring again after so many bytes: what is written over
  /// and over should stay in the processor's cache.
  private static let hotBytes: UInt64 = 256 << 10
  /// Positions end here, after centuries.
  private static let lastPosition: UInt64 = 1 << 62

  let memory: UnsafeMutableRawPointer
  /// Whoever has the memory, which must not go before.
  private let owner: AnyObject
  let capacity: UInt64
  let salt: UInt32
  private let turn: UInt64
  var index = JournalIndex()
  var head: UInt64 = 0
  var tail: UInt64 = 0
  /// The position at which the lap of `tail` began.
  var lap: UInt64 = 0
  var headWord: JournalWord
  var firstWord: JournalWord
  var tailWord: JournalWord
  var lastWord: JournalWord
  var news: JournalNews
  /// Messages in doubt, and the news of an earlier process, stay in the file until the application has heard of them.
  var hasInDoubt = false
  private var hasAppended = false
  /// The application will be told which messages were discarded, and `newsIsTaken` says when it was.
  package var keepsNews = false
  /// The same of messages in doubt, `doubtsAreTold`.
  package var keepsInDoubt = false

  /// `memory`: the whole file, with a first page that `JournalFormat.inspect` took for a journal with this capacity;
  /// aligned to 8 bytes. `recover` comes before everything else.
  package init(_ memory: UnsafeMutableRawPointer, capacity: Int, owner: AnyObject) {
    self.memory = memory
    self.owner = owner
    self.capacity = UInt64(truncatingIfNeeded: capacity)
    let number = UInt64(littleEndian: memory.load(fromByteOffset: 24, as: UInt64.self))
    salt = UInt32(truncatingIfNeeded: number ^ number >> 32)
    // A large journal takes longer turns, since each uses up a lap of positions.
    turn = max(Journal.hotBytes, UInt64(truncatingIfNeeded: capacity) >> 12)
    headWord = JournalWord(memory + JournalFormat.Word.head)
    firstWord = JournalWord(memory + JournalFormat.Word.firstID)
    tailWord = JournalWord(memory + JournalFormat.Word.tail)
    lastWord = JournalWord(memory + JournalFormat.Word.lastID)
    news = JournalNews(memory)
  }

  deinit { index.removeAll() }

  /// The highest id that was given to any message.
  package var lastID: UInt64 { lastWord.value }
  /// Bytes of the ring that are in use.
  package var usedBytes: Int { Int(truncatingIfNeeded: tail &- head) }
  package var ringBytes: Int { Int(truncatingIfNeeded: capacity) }
  /// The oldest message that is not done, or that pins the others.
  package var oldestID: UInt64? { index.entry(0)?.id }

  // MARK: Adding

  /// Whether a message with a payload of so many bytes could ever be taken.
  package func fits(_ length: Int) -> Bool { JournalFormat.size(length) <= capacity }

  /// Whether `append` will take a message with a payload of so many bytes.
  package func hasRoom(for length: Int) -> Bool {
    if hasInDoubt && !keepsInDoubt { settleInDoubt() }
    return isFree(length) || makeRoom(for: length)
  }

  private func isFree(_ length: Int) -> Bool {
    let size = JournalFormat.size(length)
    if size > capacity || tail >= Journal.lastPosition { return false }
    if index.isEmpty { return true }
    let rest = lap &+ capacity &- tail
    return tail &- head &+ (size <= rest ? size : rest &+ size) <= capacity
  }

  /// Adds a message behind all others; its id is higher than theirs. False if there is no room. When this returns, the
  /// message is there for the next process.
  package func append(
    id: UInt64, kind: UInt32, flags: OutboxFlags, payload: UnsafeRawBufferPointer, acceptedAt: Int64, expiresAt: Int64
  ) -> Bool {
    guard hasRoom(for: payload.count) else { return false }
    let size = JournalFormat.size(payload.count)
    let rest = lap &+ capacity &- tail
    if index.isEmpty {
      if size > rest || tail &- lap >= turn { tail = beginLap() }
      head = tail
    } else if size > rest {
      fill(rest)
      tail = beginLap()
    }
    // Before anything is written over what was free: the next process must not look for records there.
    headWord.store(head)
    firstWord.store(index.entry(0)?.id ?? id)
    let record = address(tail)
    record.storeBytes(
      of: UInt32(truncatingIfNeeded: payload.count).littleEndian, toByteOffset: JournalFormat.Field.length,
      as: UInt32.self)
    store(id, record, JournalFormat.Field.id)
    store(tail, record, JournalFormat.Field.position)
    store(UInt64(bitPattern: acceptedAt), record, JournalFormat.Field.acceptedAt)
    store(UInt64(bitPattern: expiresAt), record, JournalFormat.Field.expiresAt)
    store(UInt64(kind) | UInt64(flags.rawValue) << 32, record, JournalFormat.Field.kind)
    store(0, record, JournalFormat.Field.reserved)
    store(JournalFormat.State.queued, record, JournalFormat.Field.state)
    if let start = payload.baseAddress {
      pulse_memory_copy(record + JournalFormat.Field.payload, start, payload.count)
    }
    record.storeBytes(
      of: checksum(record, payload.count).littleEndian, toByteOffset: JournalFormat.Field.checksum, as: UInt32.self)
    index.append(id: id, position: tail)
    tail &+= size
    tailWord.store(tail)
    lastWord.store(id)
    hasAppended = true
    return true
  }

  /// An id was given to a message that is not kept here.
  package func skip(_ id: UInt64) { lastWord.store(id) }

  private func beginLap() -> UInt64 {
    lap &+= capacity
    return lap
  }

  /// Marks the rest of the ring as free of messages. What has no room for a record needs no mark.
  private func fill(_ rest: UInt64) {
    if rest < UInt64(JournalFormat.Field.payload) { return }
    let record = address(tail)
    let length = rest &- UInt64(JournalFormat.Field.payload)
    for offset in stride(from: 0, to: JournalFormat.Field.payload, by: 8) { store(0, record, offset) }
    // A filler may be longer than any message: its length is in the place of the id.
    store(length, record, JournalFormat.Field.id)
    store(tail, record, JournalFormat.Field.position)
    store(JournalFormat.State.done, record, JournalFormat.Field.state)
    record.storeBytes(
      of: checksum(record, 0).littleEndian, toByteOffset: JournalFormat.Field.checksum, as: UInt32.self)
  }

  @inline(__always)
  private func store(_ number: UInt64, _ record: UnsafeMutableRawPointer, _ offset: Int) {
    record.storeBytes(of: number.littleEndian, toByteOffset: offset, as: UInt64.self)
  }

  // MARK: States

  /// Its first byte may leave now.
  package func begun(_ id: UInt64) { mark(id, JournalFormat.State.begun) }

  /// No byte of it has left, nor will for now.
  package func queuedAgain(_ id: UInt64) { mark(id, JournalFormat.State.queued) }

  private func mark(_ id: UInt64, _ state: UInt64) {
    guard let place = index.find(id), let entry = index.entry(place), !entry.isDone else { return }
    pulse_publish64(address(entry.position) + JournalFormat.Field.state, state)
  }

  /// It has its fate. An id that is not here does no harm.
  package func done(_ id: UInt64) {
    guard let place = index.find(id), let entry = index.entry(place), !entry.isDone else { return }
    settle(entry, place)
    if place == 0 { moveHead() }
  }

  /// It is not sent any more. If the process ends before the application knows, the next one tells of it.
  package func discarded(_ id: UInt64, _ fate: Fate, cause: UInt8 = 0) {
    if keepsNews { news.add(id, Journal.kind(fate), cause) }
    done(id)
  }

  private static func kind(_ fate: Fate) -> JournalNews.Kind {
    fate == .failed ? .failed : fate == .dropped ? .dropped : .expired
  }

  /// The ids with this fate, of this cause, that no event tells of yet.
  package func newsOf(_ fate: Fate, cause: UInt8 = 0) -> Rows { news.open(Journal.kind(fate), cause) }

  /// An event with all that was discarded so far is on its way to the application.
  package func newsIsQueued() { news.seal() }

  /// The application has it.
  package func newsIsTaken() { news.forgetQueued() }

  /// The file learns of it with the next message: until then a new process passes over what is done.
  func moveHead() { head = index.dropDone() ?? tail }

  /// Something of an earlier process is kept only to be told.
  package var hasNews: Bool { hasInDoubt }

  /// The application goes on: what it was told when it began was told.
  private func settleInDoubt() {
    hasInDoubt = false
    news.forgetInherited()
    settle { $0.isInDoubt }
  }

  /// The application has heard of the messages that were in doubt when it began.
  package func doubtsAreTold() {
    keepsInDoubt = false
    if hasInDoubt && hasAppended { settleInDoubt() }
  }

  /// What is kept only to be told gives way to what is to be sent, the oldest first, and no more of it than has to; its id
  /// stays.
  @inline(never)
  private func makeRoom(for length: Int) -> Bool {
    while fits(length), let entry = index.entry(0), entry.isInDoubt {
      news.add(entry.id, .failed, isInherited: true)
      settle(entry, 0)
      moveHead()
      if isFree(length) { return true }
    }
    return false
  }

  @inline(never)
  private func settle(_ isMeant: (JournalIndex.Entry) -> Bool) {
    for place in 0..<index.count {
      guard let entry = index.entry(place), !entry.isDone, isMeant(entry) else { continue }
      settle(entry, place)
    }
    moveHead()
  }

  private func settle(_ entry: JournalIndex.Entry, _ place: Int) {
    pulse_publish64(address(entry.position) + JournalFormat.Field.state, JournalFormat.State.done)
    index.markDone(place)
  }

  /// So that the next process has little to look at.
  package func save() {
    headWord.store(head)
    firstWord.store(index.entry(0)?.id ?? lastID &+ 1)
    index.trim()
  }

  // MARK: Records

  /// Where a position of the last `capacity` bytes lies.
  @inline(__always)
  func address(_ position: UInt64) -> UnsafeMutableRawPointer {
    let offset = position >= lap ? position &- lap : position &+ capacity &- lap
    // A position that is none must not reach outside of the ring.
    return memory + (JournalFormat.pageSize &+ Int(truncatingIfNeeded: offset < capacity ? offset : 0))
  }

  /// Over all that does not change; with the salt, so that records of another journal are none here.
  @inline(__always)
  func checksum(_ record: UnsafeMutableRawPointer, _ length: Int) -> UInt32 {
    let head = pulse_crc32c(
      salt, record + JournalFormat.Field.length, JournalFormat.Field.state &- JournalFormat.Field.length)
    return length == 0 ? head : pulse_crc32c(head, record + JournalFormat.Field.payload, length)
  }

  /// The first message with a higher id that is not done.
  package func record(after id: UInt64) -> Record? {
    var place = index.lowest(from: id &+ 1)
    while let entry = index.entry(place), entry.isDone { place &+= 1 }
    guard let entry = index.entry(place) else { return nil }
    let record = address(entry.position)
    func number(_ offset: Int) -> UInt64 { UInt64(littleEndian: record.load(fromByteOffset: offset, as: UInt64.self)) }
    let length = UInt32(littleEndian: record.load(fromByteOffset: JournalFormat.Field.length, as: UInt32.self))
    let kind = number(JournalFormat.Field.kind)
    return Record(
      id: entry.id, kind: UInt32(truncatingIfNeeded: kind), flags: OutboxFlags(rawValue: UInt32(truncatingIfNeeded: kind >> 32)),
      acceptedAt: Int64(bitPattern: number(JournalFormat.Field.acceptedAt)),
      expiresAt: Int64(bitPattern: number(JournalFormat.Field.expiresAt)),
      payload: UnsafeRawBufferPointer(start: record + JournalFormat.Field.payload, count: Int(length)),
      isInDoubt: entry.isInDoubt)
  }
}
