// SPDX-License-Identifier: Apache-2.0

/// A block of message payloads, one behind another, with their records in a second block.
///
/// The queue appends at the end while a consumer reads records that it took before: both work on different bytes, so
/// only the counters need the queue's lock. Whoever holds a reference keeps the memory.
package final class MessageSegment: @unchecked Sendable {
  /// A record for each 64 bytes of payload: the small messages of a feed fill both blocks at about the same time.
  static let bytesPerRecord = 64

  let bytes: UnsafeMutableRawPointer
  let capacity: Int
  let records: UnsafeMutablePointer<MessageRecord>
  let recordCapacity: Int
  var bytesUsed = 0
  var recordCount = 0
  var recordsTaken = 0
  var next: MessageSegment?

  init(capacity: Int) {
    self.capacity = capacity
    let wanted = capacity / MessageSegment.bytesPerRecord
    recordCapacity = wanted < 8 ? 8 : (wanted > 8192 ? 8192 : wanted)
    bytes = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 64)
    records = UnsafeMutablePointer<MessageRecord>.allocate(capacity: recordCapacity)
  }

  deinit {
    bytes.deallocate()
    records.deallocate()
  }

  /// The memory it takes.
  var footprint: Int { capacity &+ recordCapacity &* MessageQueue.overhead }

  var isDrained: Bool { recordsTaken == recordCount }

  func reset() {
    bytesUsed = 0
    recordCount = 0
    recordsTaken = 0
    next = nil
  }
}
