// SPDX-License-Identifier: Apache-2.0

/// The messages that a topic holds, by their ordinals, which have no holes.
final class DeliveryRing {
  private var slots: UnsafeMutablePointer<Unmanaged<Delivery>>
  private var capacity: UInt64 = 8
  /// The ordinal of the first one.
  private(set) var first: UInt64 = 1
  private(set) var count = 0
  /// Of payloads and keys.
  private(set) var bytes = 0

  init() { slots = UnsafeMutablePointer<Unmanaged<Delivery>>.allocate(capacity: 8) }

  deinit {
    while count > 0 { dropFirst() }
    slots.deallocate()
  }

  private func place(_ ordinal: UInt64) -> Int { Int(truncatingIfNeeded: ordinal & (capacity &- 1)) }

  /// The ordinal must be one of those that are there.
  func delivery(_ ordinal: UInt64) -> Delivery { slots[place(ordinal)].takeUnretainedValue() }

  func size(_ ordinal: UInt64) -> Int { slots[place(ordinal)]._withUnsafeGuaranteedRef { $0.publication.footprint } }

  func append(_ delivery: Delivery) {
    if count == 0 { first = delivery.publication.ordinal }
    if UInt64(count) == capacity { resize(capacity &* 2) }
    slots[place(delivery.publication.ordinal)] = Unmanaged.passRetained(delivery)
    count &+= 1
    bytes &+= delivery.publication.footprint
  }

  func dropFirst() {
    if count == 0 { return }
    bytes &-= size(first)
    slots[place(first)].release()
    first &+= 1
    count &-= 1
    if capacity > 64, UInt64(count) &* 8 < capacity { resize(capacity / 2) }
  }

  @inline(never) private func resize(_ size: UInt64) {
    let other = UnsafeMutablePointer<Unmanaged<Delivery>>.allocate(capacity: Int(truncatingIfNeeded: size))
    var ordinal = first
    for _ in 0..<count {
      other[Int(truncatingIfNeeded: ordinal & (size &- 1))] = slots[place(ordinal)]
      ordinal &+= 1
    }
    slots.deallocate()
    slots = other
    capacity = size
  }

  /// The ordinal of the first message whose offset is above; behind the last one if there is none.
  func firstOrdinal(above offset: UInt64) -> UInt64 {
    var low = first
    var high = first &+ UInt64(count)
    while low < high {
      let middle = low &+ (high &- low) / 2
      if slots[place(middle)]._withUnsafeGuaranteedRef({ $0.offset }) > offset { high = middle } else { low = middle &+ 1 }
    }
    return low
  }
}
