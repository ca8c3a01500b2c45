// SPDX-License-Identifier: Apache-2.0

/// Timers by deadline: a binary heap of slots that know their place in it, so that cancelling is O(log n). Timers with
/// one deadline fire in the order in which they were set. Identifiers are slot and generation, as with `Registration`.
struct TimerHeap {
  private struct Slot {
    var handler: EventHandler?
    var tag = 0
    var generation: UInt32 = 0
    var place = -1
  }
  private struct Entry {
    var deadline: Int64
    var sequence: UInt64
    var slot: UInt32

    func isBefore(_ other: Entry) -> Bool {
      deadline != other.deadline ? deadline < other.deadline : sequence < other.sequence
    }
  }

  private var slots: [Slot] = []
  private var freeSlots: [UInt32] = []
  private var heap: [Entry] = []
  private(set) var nextSequence: UInt64 = 0

  var nextDeadline: Int64? { heap.first?.deadline }
  var count: Int { heap.count }

  mutating func insert(_ handler: EventHandler, tag: Int, deadline: Int64) -> UInt64 {
    let slot: UInt32
    if let free = freeSlots.popLast() {
      slot = free
    } else {
      slot = UInt32(truncatingIfNeeded: slots.count)
      slots.append(Slot())
    }
    slots[Int(slot)].handler = handler
    slots[Int(slot)].tag = tag
    let entry = Entry(deadline: deadline, sequence: takeSequence(), slot: slot)
    heap.append(entry)
    rise(heap.count - 1, entry)
    return UInt64(slots[Int(slot)].generation) << 32 | UInt64(slot)
  }

  /// Gives back the handler, for a release outside of the lock; nil if the timer is over.
  mutating func remove(_ identifier: UInt64) -> EventHandler? {
    guard let slot = live(identifier) else { return nil }
    return takeOut(slots[slot].place)
  }

  mutating func move(_ identifier: UInt64, deadline: Int64) -> Bool {
    guard let slot = live(identifier) else { return false }
    let place = slots[slot].place
    settle(place, Entry(deadline: deadline, sequence: takeSequence(), slot: heap[place].slot))
    return true
  }

  /// The earliest timer if it is due and was set before `limit` of `nextSequence`.
  mutating func popDue(now: Int64, before limit: UInt64) -> (
    handler: EventHandler, tag: Int, identifier: UInt64
  )? {
    guard let first = heap.first, first.deadline <= now, first.sequence < limit else { return nil }
    let slot = slots[Int(first.slot)]
    guard let handler = takeOut(0) else { return nil }
    return (handler, slot.tag, UInt64(slot.generation) << 32 | UInt64(first.slot))
  }

  private mutating func takeSequence() -> UInt64 {
    nextSequence &+= 1
    return nextSequence &- 1
  }

  private func live(_ identifier: UInt64) -> Int? {
    let slot = Int(UInt32(truncatingIfNeeded: identifier))
    guard slot < slots.count, slots[slot].generation == UInt32(truncatingIfNeeded: identifier >> 32),
      slots[slot].place >= 0
    else { return nil }
    return slot
  }

  private mutating func takeOut(_ place: Int) -> EventHandler? {
    let slot = Int(heap[place].slot)
    let last = heap.removeLast()
    if place < heap.count { settle(place, last) }
    let handler = slots[slot].handler
    slots[slot].handler = nil
    slots[slot].place = -1
    let next = slots[slot].generation &+ 1
    slots[slot].generation = next == .max ? 0 : next
    freeSlots.append(UInt32(truncatingIfNeeded: slot))
    return handler
  }

  private mutating func settle(_ place: Int, _ entry: Entry) {
    if place > 0, entry.isBefore(heap[(place - 1) / 2]) { rise(place, entry) } else { sink(place, entry) }
  }

  private mutating func put(_ place: Int, _ entry: Entry) {
    heap[place] = entry
    slots[Int(entry.slot)].place = place
  }

  private mutating func rise(_ start: Int, _ entry: Entry) {
    var place = start
    while place > 0 {
      let parent = (place - 1) / 2
      guard entry.isBefore(heap[parent]) else { break }
      put(place, heap[parent])
      place = parent
    }
    put(place, entry)
  }

  private mutating func sink(_ start: Int, _ entry: Entry) {
    var place = start
    while true {
      var child = 2 * place + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
      guard heap[child].isBefore(entry) else { break }
      put(place, heap[child])
      place = child
    }
    put(place, entry)
  }
}
