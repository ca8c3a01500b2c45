// SPDX-License-Identifier: Apache-2.0

struct AddressEntry {
  let bits: UInt64
  /// Of the window that the first of its connects began; without a meaning when there are none. So with failures.
  var connectsSince: Int64 = 0
  var failuresSince: Int64 = 0
  var bannedUntil = Int64.min
  var connections: UInt32 = 0
  var connects: UInt32 = 0
  var failures: UInt32 = 0
  let kind: UInt8

  init(_ key: AddressKey) {
    bits = key.bits
    kind = key.kind
  }
}

/// The entries of addresses, in any order, and an open-addressing table of where they are. Its owner frees it.
struct AddressTable {
  private static let smallest = 64

  private let seed: UInt64
  private(set) var entries: UnsafeMutablePointer<AddressEntry>
  private(set) var count = 0
  private var capacity = AddressTable.smallest
  /// 1 + the place of an entry; 0 is free. Twice the capacity.
  private var slots: UnsafeMutablePointer<UInt32>

  private var mask: Int { capacity &* 2 &- 1 }

  init(seed: UInt64) {
    self.seed = seed
    entries = UnsafeMutablePointer<AddressEntry>.allocate(capacity: capacity)
    slots = AddressTable.emptySlots(capacity)
  }

  func deallocate() {
    entries.deallocate()
    slots.deallocate()
  }

  @inline(never) func find(_ key: AddressKey) -> Int? {
    var slot = home(key.bits, key.kind)
    while slots[slot] != 0 {
      let index = Int(slots[slot] &- 1)
      if entries[index].bits == key.bits, entries[index].kind == key.kind { return index }
      slot = (slot &+ 1) & mask
    }
    return nil
  }

  /// It must not be there.
  @inline(never) mutating func add(_ key: AddressKey) -> Int {
    if count == capacity { grow() }
    (entries + count).initialize(to: AddressEntry(key))
    count &+= 1
    put(count &- 1)
    return count &- 1
  }

  /// The last entry takes its place.
  @inline(never) mutating func remove(_ index: Int) {
    if index < 0 || index >= count { return }
    let last = count &- 1
    clear(slot(of: index))
    if index != last {
      slots[slot(of: last)] = UInt32(truncatingIfNeeded: index &+ 1)
      entries[index] = entries[last]
    }
    count = last
  }

  private func slot(of index: Int) -> Int {
    var slot = home(entries[index].bits, entries[index].kind)
    while Int(slots[slot]) != index &+ 1 { slot = (slot &+ 1) & mask }
    return slot
  }

  private func put(_ index: Int) {
    var slot = home(entries[index].bits, entries[index].kind)
    while slots[slot] != 0 { slot = (slot &+ 1) & mask }
    slots[slot] = UInt32(truncatingIfNeeded: index &+ 1)
  }

  /// Frees a slot; those behind it that would not be found any more move up.
  private func clear(_ slot: Int) {
    var free = slot
    var at = (slot &+ 1) & mask
    while slots[at] != 0 {
      let entry = entries[Int(slots[at] &- 1)]
      let distance = (at &- home(entry.bits, entry.kind)) & mask
      if distance >= (at &- free) & mask {
        slots[free] = slots[at]
        free = at
      }
      at = (at &+ 1) & mask
    }
    slots[free] = 0
  }

  private mutating func grow() {
    let larger = UnsafeMutablePointer<AddressEntry>.allocate(capacity: capacity &* 2)
    larger.moveInitialize(from: entries, count: count)
    entries.deallocate()
    entries = larger
    slots.deallocate()
    capacity &*= 2
    slots = AddressTable.emptySlots(capacity)
    for index in 0..<count { put(index) }
  }

  private static func emptySlots(_ capacity: Int) -> UnsafeMutablePointer<UInt32> {
    let slots = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity &* 2)
    slots.initialize(repeating: 0, count: capacity &* 2)
    return slots
  }

  private func home(_ bits: UInt64, _ kind: UInt8) -> Int {
    let state = AddressTable.mix(seed ^ UInt64(kind))
    return Int(truncatingIfNeeded: AddressTable.mix(AddressTable.mix(state ^ bits) ^ seed)) & mask
  }

  /// Both halves of a product depend on all bits of its factor.
  @inline(__always) private static func mix(_ word: UInt64) -> UInt64 {
    let product = (word ^ 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
    return product.high ^ product.low
  }
}
