// SPDX-License-Identifier: Apache-2.0
import CPulseKernels

/// Ids whose fate the application has not heard of yet, in rows, in what the first page has left. A message leaves its
/// record when its id is here, so that the news takes no room from messages.
struct JournalNews {
  struct Row {
    var kind: Kind
    var first: UInt64
    var last: UInt64
  }

  /// The fate of ids, by its number in the file.
  enum Kind: UInt64 { case failed = 1, dropped = 2, expired = 3 }

  /// The number of ids that found no row is a word of its own, before the rows.
  private static let start = 192
  private static let rowSize = 24
  static let capacity = (JournalFormat.pageSize - start - 8) / rowSize

  private enum Mark: UInt8 { case free, open, queued, inherited }

  private let memory: UnsafeMutableRawPointer
  private var marks = [Mark](repeating: .free, count: JournalNews.capacity)
  /// Of open rows: each cause has an event of its own.
  private var causes = [UInt8](repeating: 0, count: JournalNews.capacity)
  private var latest = 0
  /// Open ones that found no row, for the event: the file has their number only, in `unlisted`. Three numbers for each:
  /// kind and cause, first, last.
  private var spilled: [UInt64] = []
  private static let mostSpilled = 4096
  private var openUnlisted: UInt64 = 0
  private var queuedUnlisted: UInt64 = 0

  /// `memory`: the first page.
  init(_ memory: UnsafeMutableRawPointer) { self.memory = memory + JournalNews.start }

  private func place(_ row: Int) -> UnsafeMutableRawPointer { memory + (8 &+ row &* JournalNews.rowSize) }

  private func word(_ row: Int, _ index: Int) -> UInt64 {
    UInt64(littleEndian: place(row).load(fromByteOffset: index &* 8, as: UInt64.self))
  }

  /// Ids that are in no row, since there were too many.
  private(set) var unlisted: UInt64 {
    get { UInt64(littleEndian: memory.load(as: UInt64.self)) }
    set { pulse_publish64(memory, newValue) }
  }

  /// Those of an earlier process, of ids up to `highest`; what is damaged is forgotten.
  mutating func inherit(highest: UInt64) -> [Row] {
    var rows: [Row] = []
    for row in 0..<JournalNews.capacity {
      let first = word(row, 1)
      var last = word(row, 2)
      guard last > 0 else { continue }
      if last == highest &+ 1 && first <= highest {
        // The process ended before it noted that this id is taken; the application did not get it.
        last = highest
        pulse_publish64(place(row) + 16, highest)
      }
      guard let kind = Kind(rawValue: word(row, 0)), first > 0, first <= last, last <= highest else {
        clear(row)
        continue
      }
      marks[row] = .inherited
      rows.append(Row(kind: kind, first: first, last: last))
    }
    if unlisted > highest { unlisted = 0 }
    return rows
  }

  /// The process may end at any of these writes: a row counts when its last id is there.
  mutating func add(_ id: UInt64, _ kind: Kind, _ cause: UInt8 = 0, isInherited: Bool = false) {
    let mark: Mark = isInherited ? .inherited : .open
    if extend(latest, id, kind, cause, mark) { return }
    var free: Int?
    for row in 0..<JournalNews.capacity {
      if extend(row, id, kind, cause, mark) {
        latest = row
        return
      }
      if free == nil && marks[row] == .free { free = row }
    }
    guard let free else {
      unlisted &+= 1
      if !isInherited { spill(id, kind, cause) }
      return
    }
    pulse_publish64(place(free), kind.rawValue)
    pulse_publish64(place(free) + 8, id)
    pulse_publish64(place(free) + 16, id)
    marks[free] = mark
    causes[free] = cause
    latest = free
  }

  @inline(never)
  private mutating func spill(_ id: UInt64, _ kind: Kind, _ cause: UInt8) {
    openUnlisted &+= 1
    let count = spilled.count
    if count > 0, spilled[count - 3] == kind.rawValue << 8 | UInt64(cause), spilled[count - 1] &+ 1 == id {
      spilled[count - 1] = id
    } else if count < JournalNews.mostSpilled * 3 {
      spilled.append(kind.rawValue << 8 | UInt64(cause))
      spilled.append(id)
      spilled.append(id)
    }
  }

  private func extend(_ row: Int, _ id: UInt64, _ kind: Kind, _ cause: UInt8, _ mark: Mark) -> Bool {
    guard marks[row] == mark, causes[row] == cause, word(row, 0) == kind.rawValue else { return false }
    if word(row, 2) &+ 1 == id {
      pulse_publish64(place(row) + 16, id)
    } else if word(row, 1) == id &+ 1 {
      pulse_publish64(place(row) + 8, id)
    } else {
      return false
    }
    return true
  }

  /// Those that no event tells of yet.
  func open(_ kind: Kind, _ cause: UInt8) -> Journal.Rows {
    var rows = Journal.Rows()
    for row in 0..<JournalNews.capacity where marks[row] == .open && causes[row] == cause && word(row, 0) == kind.rawValue {
      rows.add(word(row, 1), word(row, 2))
    }
    var place = 0
    while place < spilled.count {
      if spilled[place] == kind.rawValue << 8 | UInt64(cause) { rows.add(spilled[place + 1], spilled[place + 2]) }
      place += 3
    }
    return rows
  }

  /// An event that tells of all that came so far is on its way to the application.
  mutating func seal() {
    for row in 0..<JournalNews.capacity where marks[row] == .open { marks[row] = .queued }
    queuedUnlisted &+= openUnlisted
    openUnlisted = 0
    spilled = []
  }

  mutating func forgetQueued() {
    forget(.queued)
    if queuedUnlisted > 0 { unlisted = unlisted > queuedUnlisted ? unlisted &- queuedUnlisted : 0 }
    queuedUnlisted = 0
  }

  mutating func forgetInherited() {
    forget(.inherited)
    let own = openUnlisted &+ queuedUnlisted
    if unlisted != own { unlisted = own }
  }

  private mutating func forget(_ mark: Mark) {
    for row in 0..<JournalNews.capacity where marks[row] == mark { clear(row) }
  }

  private mutating func clear(_ row: Int) {
    pulse_publish64(place(row) + 16, 0)
    marks[row] = .free
  }
}
