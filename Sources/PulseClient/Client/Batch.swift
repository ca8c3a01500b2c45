// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import Synchronization

/// The messages of one receive call; keeps their memory until it is used again or freed.
package final class Batch: @unchecked Sendable {
  // Whoever turns it to true may use the rest.
  private let busy = Atomic<Bool>(false)
  package private(set) var records: UnsafePointer<MessageRecord>?
  package private(set) var count = 0
  private var segment: MessageSegment?
  /// Records that were handed out one by one.
  private var handedOut = 0

  package init() {}

  func enter() -> Bool {
    busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
  }

  func leave() { busy.store(false, ordering: .releasing) }

  /// Lets go of the messages; the caller owns their memory now.
  func empty() -> MessageSegment? {
    let old = segment
    segment = nil
    records = nil
    count = 0
    handedOut = 0
    return old
  }

  func fill(_ slice: consuming MessageSlice) {
    records = slice.records
    count = slice.count
    segment = slice.segment
  }

  /// The next record to hand out.
  @inline(__always)
  func next() -> UnsafePointer<MessageRecord>? {
    guard handedOut < count, let records else { return nil }
    handedOut &+= 1
    return records + (handedOut &- 1)
  }

  /// Up to `max` records that were not handed out, for another batch.
  func rest(_ max: Int) -> MessageSlice? {
    guard handedOut < count, let records, let segment else { return nil }
    let left = count &- handedOut
    let slice = MessageSlice(segment: segment, records: records + handedOut, count: left < max ? left : max)
    handedOut &+= slice.count
    return slice
  }

  /// A set of `BatchTraits`, or a negative code.
  package var traits: Int32 {
    guard enter() else { return StatusCode.busy.rawValue }
    defer { leave() }
    guard count > 0, let records else { return 0 }
    var traits = BatchTraits.known
    for index in 0..<count {
      if records[index].kind != MessageCode.text { traits.subtract([.allText, .allASCII]) }
      if records[index].kind != MessageCode.binary { traits.remove(.allBinary) }
      if records[index].flags & MessageCode.isASCII == 0 { traits.remove(.allASCII) }
    }
    return traits.rawValue
  }
}

/// What holds for all messages of a batch.
package struct BatchTraits: OptionSet, Sendable {
  package let rawValue: Int32
  package init(rawValue: Int32) { self.rawValue = rawValue }
}
