// SPDX-License-Identifier: Apache-2.0
@testable import PulseFlow

/// A journal in memory of its own, as a file would hold it.
final class JournalImage {
  let memory: UnsafeMutableRawPointer
  let capacity: Int
  var size: Int { JournalFormat.pageSize + capacity }

  init(capacity: Int = 4096, salt: UInt64 = 0x1234_5678_9ABC_DEF0) {
    self.capacity = capacity
    memory = .allocate(byteCount: JournalFormat.pageSize + capacity, alignment: 4096)
    // What was there before must not matter.
    memory.initializeMemory(as: UInt8.self, repeating: 0xA5, count: JournalFormat.pageSize + capacity)
    memory.copyMemory(
      from: JournalFormat.firstPage(capacity: capacity, salt: salt), byteCount: JournalFormat.pageSize)
  }

  /// The same bytes in other memory: what a process that was killed leaves.
  init(copyOf other: JournalImage) {
    capacity = other.capacity
    memory = .allocate(byteCount: JournalFormat.pageSize + other.capacity, alignment: 4096)
    memory.copyMemory(from: other.memory, byteCount: JournalFormat.pageSize + other.capacity)
  }

  deinit { memory.deallocate() }

  subscript(_ offset: Int) -> UInt8 {
    get { memory.load(fromByteOffset: offset, as: UInt8.self) }
    set { memory.storeBytes(of: newValue, toByteOffset: offset, as: UInt8.self) }
  }

  var inspection: JournalFormat.Inspection {
    JournalFormat.inspect(UnsafeRawBufferPointer(start: memory, count: JournalFormat.pageSize))
  }

  /// As the next process sees it.
  func open() -> (Journal, Journal.Recovery) {
    let journal = Journal(memory, capacity: capacity, owner: self)
    let found = journal.recover()
    return (journal, found)
  }
}

/// The payload of message `id`: its length and bytes follow from the id.
func payload(_ id: UInt64, _ length: Int? = nil) -> [UInt8] {
  let count = length ?? Int(id &* 7 % 50)
  return (0..<count).map { UInt8(truncatingIfNeeded: id &* 31 &+ UInt64($0)) }
}

extension Journal {
  @discardableResult
  func add(_ id: UInt64, length: Int? = nil, flags: OutboxFlags = [], expiresAt: Int64 = .max) -> Bool {
    PulseFlowTests.payload(id, length).withUnsafeBytes {
      append(id: id, kind: 1, flags: flags, payload: $0, acceptedAt: Int64(id), expiresAt: expiresAt)
    }
  }

  struct Found: Equatable {
    var id: UInt64
    var isInDoubt: Bool
    var payload: [UInt8]
  }

  /// All that is not done.
  var content: [Found] {
    var found: [Found] = []
    var id: UInt64 = 0
    while let record = record(after: id) {
      id = record.id
      found.append(Found(id: id, isInDoubt: record.isInDoubt, payload: Array(record.payload)))
    }
    return found
  }

  var ids: [UInt64] { content.map(\.id) }
}
