// SPDX-License-Identifier: Apache-2.0

/// Where the messages of a journal are, in the order of their ids, which is that of their positions. Its memory is freed
/// by `removeAll`: an array would cost a reference count at every look.
struct JournalIndex {
  struct Entry {
    var id: UInt64
    /// A multiple of 8; the low bits are free for the marks.
    fileprivate var place: UInt64

    var position: UInt64 { place & ~7 }
    var isDone: Bool { place & 1 != 0 }
    /// Begun by an earlier process.
    var isInDoubt: Bool { place & 2 != 0 }
  }

  /// A ring; its size is a power of two.
  private var entries: UnsafeMutablePointer<Entry>?
  private var size = 0
  private var first = 0
  private var last = 0

  var count: Int { last &- first }
  var isEmpty: Bool { last == first }

  mutating func append(id: UInt64, position: UInt64, isInDoubt: Bool = false) {
    if count == size { grow() }
    slot(last)?.initialize(to: Entry(id: id, place: position | (isInDoubt ? 2 : 0)))
    last &+= 1
  }

  /// The place of an entry, counted as `first` and `last` are.
  @inline(__always)
  private func slot(_ number: Int) -> UnsafeMutablePointer<Entry>? { entries.map { $0 + (number & (size &- 1)) } }

  @inline(never)
  private mutating func grow() {
    let largerSize = size == 0 ? 64 : size &* 2
    let larger = UnsafeMutablePointer<Entry>.allocate(capacity: largerSize)
    for number in first..<last {
      if let entry = slot(number) { (larger + (number & (largerSize &- 1))).initialize(to: entry.pointee) }
    }
    entries?.deallocate()
    entries = larger
    size = largerSize
  }

  /// The oldest is 0.
  @inline(__always)
  func entry(_ index: Int) -> Entry? {
    guard index >= 0, index < count else { return nil }
    return slot(first &+ index)?.pointee
  }

  /// The index of a message. Most often ids follow each other; where some are missing it is searched for.
  @inline(__always)
  func find(_ id: UInt64) -> Int? {
    guard let oldest = entry(0), id >= oldest.id else { return nil }
    let distance = id &- oldest.id
    if distance < UInt64(count), let guess = entry(Int(distance)), guess.id == id { return Int(distance) }
    let index = lowest(from: id)
    return entry(index)?.id == id ? index : nil
  }

  /// The index of the first message with this id or a higher one; `count` if there is none.
  @inline(never)
  func lowest(from id: UInt64) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low &+ high) / 2
      if let entry = entry(middle), entry.id < id { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  mutating func markDone(_ index: Int) {
    guard index >= 0, index < count else { return }
    slot(first &+ index)?.pointee.place |= 1
  }

  /// Forgets the messages at the front that are done. The position of the first that is left, if any.
  mutating func dropDone() -> UInt64? {
    while let entry = entry(0) {
      if !entry.isDone { return entry.position }
      first &+= 1
    }
    return nil
  }

  /// The memory of a burst is not kept for ever.
  mutating func trim() {
    if isEmpty && size > 4096 { removeAll() }
  }

  mutating func removeAll() {
    entries?.deallocate()
    entries = nil
    size = 0
    first = 0
    last = 0
  }
}
