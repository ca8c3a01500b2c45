// SPDX-License-Identifier: Apache-2.0

/// Finds places by the hash of their key: open addressing with linear probing. Holds no keys: who asks compares.
struct SubscriptionIndex {
  struct Slot {
    var hash: UInt32
    /// -1: nothing here.
    var place: Int32
  }

  /// A power of two in size, at most half full.
  private(set) var slots: [Slot] = []
  private var count = 0

  private var mask: Int { slots.count &- 1 }

  /// FNV-1a.
  static func hash(_ key: [UInt8]) -> UInt32 {
    var hash: UInt32 = 2_166_136_261
    for byte in key { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    return hash
  }

  /// The slot to look at first for a hash, and the one after another.
  func first(_ hash: UInt32) -> Int { slots.isEmpty ? -1 : Int(hash) & mask }
  func after(_ slot: Int) -> Int { (slot &+ 1) & mask }

  mutating func insert(_ place: Int32, hash: UInt32) {
    if count &* 2 >= slots.count { grow() }
    put(Slot(hash: hash, place: place))
    count &+= 1
  }

  private mutating func put(_ entry: Slot) {
    var slot = first(entry.hash)
    while slots[slot].place >= 0 { slot = after(slot) }
    slots[slot] = entry
  }

  private mutating func grow() {
    let old = slots
    slots = [Slot](repeating: Slot(hash: 0, place: -1), count: old.isEmpty ? 16 : old.count &* 2)
    for entry in old where entry.place >= 0 { put(entry) }
  }

  mutating func remove(_ place: Int32, hash: UInt32) {
    var hole = first(hash)
    if hole < 0 { return }
    while slots[hole].place != place {
      if slots[hole].place < 0 { return }
      hole = after(hole)
    }
    // What was pushed past the hole by it moves up, so that a search does not end there.
    var slot = after(hole)
    while slots[slot].place >= 0 {
      let home = Int(slots[slot].hash) & mask
      if (slot &- home) & mask >= (slot &- hole) & mask {
        slots[hole] = slots[slot]
        hole = slot
      }
      slot = after(slot)
    }
    slots[hole].place = -1
    count &-= 1
  }
}
