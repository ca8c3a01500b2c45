// SPDX-License-Identifier: Apache-2.0

/// Finds the queued message of a subscription and key.
final class ItemIndex {
  private struct Entry {
    /// The address of the subscription; 0 is free.
    var subscription: UInt
    var key: Int32
    var item: Int32
  }

  private var entries: UnsafeMutablePointer<Entry>
  private var mask: Int
  private var used = 0

  init() {
    mask = 63
    entries = ItemIndex.allocate(64)
  }

  deinit { entries.deallocate() }

  private static func allocate(_ count: Int) -> UnsafeMutablePointer<Entry> {
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: count)
    entries.initialize(repeating: Entry(subscription: 0, key: 0, item: 0), count: count)
    return entries
  }

  /// Neither addresses nor the numbers of keys are a peer's choice.
  private func home(_ subscription: UInt, _ key: Int32) -> Int {
    let word = UInt64(subscription) ^ UInt64(UInt32(bitPattern: key)) &* 0x9E37_79B9_7F4A_7C15
    let product = word.multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
    return Int(truncatingIfNeeded: product.high ^ product.low) & mask
  }

  private func slot(_ subscription: UInt, _ key: Int32) -> Int {
    var slot = home(subscription, key)
    while entries[slot].subscription != 0 {
      if entries[slot].subscription == subscription, entries[slot].key == key { break }
      slot = (slot &+ 1) & mask
    }
    return slot
  }

  /// -1 if there is none.
  func find(_ subscription: UInt, _ key: Int32) -> Int32 {
    let slot = slot(subscription, key)
    return entries[slot].subscription == 0 ? -1 : entries[slot].item
  }

  func set(_ subscription: UInt, _ key: Int32, _ item: Int32) {
    let slot = slot(subscription, key)
    if entries[slot].subscription == 0 { used &+= 1 }
    entries[slot] = Entry(subscription: subscription, key: key, item: item)
    if used &* 2 > mask { grow() }
  }

  func remove(_ subscription: UInt, _ key: Int32) {
    var hole = slot(subscription, key)
    if entries[hole].subscription == 0 { return }
    used &-= 1
    // Those behind move up, unless they would come to stand before their home.
    var next = (hole &+ 1) & mask
    while entries[next].subscription != 0 {
      let home = home(entries[next].subscription, entries[next].key)
      if (next &- home) & mask >= (next &- hole) & mask {
        entries[hole] = entries[next]
        hole = next
      }
      next = (next &+ 1) & mask
    }
    entries[hole].subscription = 0
  }

  @inline(never) private func grow() {
    let old = entries
    let count = mask &+ 1
    mask = count &* 2 &- 1
    entries = ItemIndex.allocate(count &* 2)
    for index in 0..<count where old[index].subscription != 0 {
      entries[slot(old[index].subscription, old[index].key)] = old[index]
    }
    old.deallocate()
  }
}
