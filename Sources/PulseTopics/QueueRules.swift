// SPDX-License-Identifier: Apache-2.0

/// What to do with a peer that reads slower than messages come.
package enum SlowPolicy: UInt8, Sendable {
  case dropOldest, conflate, disconnect
}

/// Where messages went. At every moment offered = written + conflated + dropped + those that are in queues.
package struct Books: Equatable, Sendable {
  package var offered: UInt64 = 0
  package var written: UInt64 = 0
  package var conflated: UInt64 = 0
  package var dropped: UInt64 = 0

  package init() {}

  package var queued: UInt64 { offered &- written &- conflated &- dropped }
}

/// What the queues of a loop have in common. It belongs to the loop's thread.
package final class QueueRules {
  package let policy: SlowPolicy
  /// Of messages that are not outgoing; a message always fits an empty queue.
  package let maxMessages: Int
  package let maxBytes: Int
  /// Of all queues together, also of those that are gone.
  package internal(set) var books = Books()
  package internal(set) var gapsSent: UInt64 = 0

  /// Memory that idle queues gave back, for the next ones: most messages find an empty queue and leave it empty.
  private var spareRing: FrameRing?
  private var few = SpareItems()
  private var more = SpareItems()
  /// The two smallest sizes of a queue's items.
  static let fewItems: Int32 = 4
  static let moreItems: Int32 = 16

  package init(policy: SlowPolicy, maxMessages: Int, maxBytes: Int) {
    self.policy = policy
    self.maxMessages = min(max(maxMessages, 1), 1 << 24)
    self.maxBytes = min(max(maxBytes, 1), 1 << 48)
  }

  deinit {
    few.free()
    more.free()
  }

  /// Memory for the items of one queue.
  @inline(__always) func takeItems(_ capacity: Int32) -> UnsafeMutablePointer<QueueItem> {
    let spare = capacity == QueueRules.fewItems ? few.take() : capacity == QueueRules.moreItems ? more.take() : nil
    return spare ?? UnsafeMutablePointer<QueueItem>.allocate(capacity: Int(capacity))
  }

  @inline(__always) func give(_ items: UnsafeMutablePointer<QueueItem>, _ capacity: Int32) {
    let isKept = capacity == QueueRules.fewItems ? few.keep(items) : capacity == QueueRules.moreItems && more.keep(items)
    if !isKept { items.deallocate() }
  }

  /// An empty one.
  @inline(__always) func takeRing() -> FrameRing {
    guard let ring = spareRing else { return FrameRing() }
    spareRing = nil
    return ring
  }

  @inline(__always) func give(_ ring: FrameRing) { spareRing = ring }
}

/// Memory of one size. Each piece begins with the address of the next.
private struct SpareItems {
  private var first: UnsafeMutableRawPointer?
  private var count = 0
  private static let most = 4096

  @inline(__always) mutating func take() -> UnsafeMutablePointer<QueueItem>? {
    guard let spare = first else { return nil }
    first = spare.load(as: UnsafeMutableRawPointer?.self)
    count &-= 1
    return spare.assumingMemoryBound(to: QueueItem.self)
  }

  /// False if there are enough.
  @inline(__always) mutating func keep(_ items: UnsafeMutablePointer<QueueItem>) -> Bool {
    if count >= SpareItems.most { return false }
    let spare = UnsafeMutableRawPointer(items)
    spare.storeBytes(of: first, as: UnsafeMutableRawPointer?.self)
    first = spare
    count &+= 1
    return true
  }

  @inline(never) mutating func free() {
    while let spare = take() { spare.deallocate() }
  }
}

/// What became of a message that was offered.
package enum Offer: UInt8, Sendable {
  case queued
  /// It is queued, and for the first time the peer's queue keeps only the latest message of each key.
  case conflated
  /// It is queued, and older messages were dropped for it.
  case dropped
  /// The peer is too slow and the policy says to end it (4008). Nothing more is queued.
  case disconnect
}
