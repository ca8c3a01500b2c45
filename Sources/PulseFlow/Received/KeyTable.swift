// SPDX-License-Identifier: Apache-2.0

/// Numbers the keys of a feed from 0 in order of their first appearance. A known key costs no allocation. Not thread
/// safe; its owner locks.
package final class KeyTable {
  package static let maxKeys = 100_000
  package static let maxKeySize = 256

  private struct Entry {
    /// In `arena`.
    var start: UInt32
    var size: UInt32
    var hash: UInt32
  }

  private static let smallestSlots = 64

  /// The peer chooses the keys: with a seed that it does not know it can't choose those that collide.
  private let seed: UInt64
  private let limit: Int
  /// 1 + the number of a key; 0 is free. Not more than half of them are used.
  private var slots: UnsafeMutablePointer<UInt32>
  private var slotCount: Int
  private var entries: UnsafeMutablePointer<Entry>
  private var entryCapacity: Int
  private var arena: UnsafeMutableRawPointer
  private var arenaCapacity: Int
  private var arenaUsed = 0
  package private(set) var count = 0

  package init(seed: UInt64, limit: Int = KeyTable.maxKeys) {
    self.seed = seed
    self.limit = limit < 0 ? 0 : limit > KeyTable.maxKeys ? KeyTable.maxKeys : limit
    slotCount = KeyTable.smallestSlots
    slots = UnsafeMutablePointer<UInt32>.allocate(capacity: slotCount)
    slots.initialize(repeating: 0, count: slotCount)
    entryCapacity = KeyTable.smallestSlots / 2
    entries = UnsafeMutablePointer<Entry>.allocate(capacity: entryCapacity)
    arenaCapacity = 1024
    arena = UnsafeMutableRawPointer.allocate(byteCount: arenaCapacity, alignment: 8)
  }

  deinit {
    slots.deallocate()
    entries.deallocate()
    arena.deallocate()
  }

  /// The number of the key, which is added if it is new; -1 if it is too long or there are too many.
  package func index(of key: UnsafeRawBufferPointer) -> Int { look(for: key, adds: true) }

  /// The number of the key; -1 if it is not known.
  package func find(_ key: UnsafeRawBufferPointer) -> Int { look(for: key, adds: false) }

  /// The bytes of a key, until the next one is added; empty for a number that no key has.
  package func key(_ index: Int) -> UnsafeRawBufferPointer {
    if index < 0 || index >= count { return UnsafeRawBufferPointer(start: nil, count: 0) }
    let entry = entries[index]
    return UnsafeRawBufferPointer(start: arena + Int(entry.start), count: Int(entry.size))
  }

  private func look(for key: UnsafeRawBufferPointer, adds: Bool) -> Int {
    if key.count > KeyTable.maxKeySize { return -1 }
    let hash = KeyTable.hash(key, seed)
    var slot = Int(hash) & (slotCount &- 1)
    while slots[slot] != 0 {
      let index = Int(slots[slot] &- 1)
      if entries[index].hash == hash, equalBytes(self.key(index), key) { return index }
      slot = (slot &+ 1) & (slotCount &- 1)
    }
    return adds && count < limit ? add(key, hash, slot) : -1
  }

  @inline(never) private func add(_ key: UnsafeRawBufferPointer, _ hash: UInt32, _ place: Int) -> Int {
    if count == entryCapacity { growEntries() }
    if key.count > arenaCapacity &- arenaUsed { growArena() }
    if key.count > 0, let source = key.baseAddress {
      (arena + arenaUsed).copyMemory(from: source, byteCount: key.count)
    }
    entries[count] = Entry(start: UInt32(arenaUsed), size: UInt32(key.count), hash: hash)
    arenaUsed &+= key.count
    count &+= 1
    slots[place] = UInt32(count)
    if count &* 2 >= slotCount { growSlots() }
    return count &- 1
  }

  private func growEntries() {
    let larger = UnsafeMutablePointer<Entry>.allocate(capacity: entryCapacity &* 2)
    larger.initialize(from: entries, count: count)
    entries.deallocate()
    entries = larger
    entryCapacity &*= 2
  }

  /// The smallest arena has room for a key, so twice as much always has.
  private func growArena() {
    let larger = UnsafeMutableRawPointer.allocate(byteCount: arenaCapacity &* 2, alignment: 8)
    larger.copyMemory(from: arena, byteCount: arenaUsed)
    arena.deallocate()
    arena = larger
    arenaCapacity &*= 2
  }

  private func growSlots() {
    slots.deallocate()
    slotCount &*= 2
    slots = UnsafeMutablePointer<UInt32>.allocate(capacity: slotCount)
    slots.initialize(repeating: 0, count: slotCount)
    for index in 0..<count {
      var slot = Int(entries[index].hash) & (slotCount &- 1)
      while slots[slot] != 0 { slot = (slot &+ 1) & (slotCount &- 1) }
      slots[slot] = UInt32(index &+ 1)
    }
  }

  private static func hash(_ key: UnsafeRawBufferPointer, _ seed: UInt64) -> UInt32 {
    var state = seed ^ UInt64(key.count)
    var at = 0
    while at &+ 8 <= key.count {
      state = mix(state ^ key.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      at &+= 8
    }
    var rest: UInt64 = 0
    while at < key.count {
      rest = rest << 8 | UInt64(key[at])
      at &+= 1
    }
    return UInt32(truncatingIfNeeded: mix(mix(state ^ rest) ^ seed))
  }

  /// Both halves of a product depend on all bits of its factor.
  @inline(__always) private static func mix(_ word: UInt64) -> UInt64 {
    let product = (word ^ 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
    return product.high ^ product.low
  }
}
