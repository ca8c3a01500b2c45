// SPDX-License-Identifier: Apache-2.0

/// The latest message of each key, and of those without one, in the order of their offsets.
final class LatestTable {
  private struct Entry {
    var publication: Publication?
    var before: Int32
    var after: Int32
  }

  /// First that of messages without a key, then those of the keys.
  private var entries: [Entry] = []
  private var oldest: Int32 = -1
  private var newest: Int32 = -1
  private(set) var count = 0

  /// `key`: its place in the table of keys; -1 without one.
  func put(_ publication: Publication, at key: Int) {
    let index = Int32(truncatingIfNeeded: key &+ 1)
    if index < 0 { return }
    while entries.count <= Int(index) { entries.append(Entry(publication: nil, before: -1, after: -1)) }
    if entries[Int(index)].publication == nil {
      count &+= 1
    } else if newest == index {
      entries[Int(index)].publication = publication
      return
    } else {
      unlink(index)
    }
    entries[Int(index)] = Entry(publication: publication, before: newest, after: -1)
    if newest >= 0 { entries[Int(newest)].after = index } else { oldest = index }
    newest = index
  }

  private func unlink(_ index: Int32) {
    let entry = entries[Int(index)]
    if entry.before >= 0 { entries[Int(entry.before)].after = entry.after } else { oldest = entry.after }
    if entry.after >= 0 { entries[Int(entry.after)].before = entry.before } else { newest = entry.before }
  }

  func appendAll(to out: inout [Publication]) {
    out.reserveCapacity(count)
    var index = oldest
    while index >= 0 {
      if let publication = entries[Int(index)].publication { out.append(publication) }
      index = entries[Int(index)].after
    }
  }
}
