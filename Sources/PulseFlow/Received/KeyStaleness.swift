// SPDX-License-Identifier: Apache-2.0

/// Which keys of a feed have not been heard of for a time that is the same for all. Each message and each expiry costs
/// the same, however many keys there are: the keys that are not stale form a list, the longest silent first. Not
/// thread safe; its owner locks.
package struct KeyStaleness {
  private struct Entry {
    var time: Int64 = 0
    var before: Int32 = -1
    var after: Int32 = -1
    var state: State = .unknown
  }

  private enum State: UInt8 {
    case unknown, listed, stale
  }

  private let timeout: Int64
  private var entries: [Entry] = []
  private var oldest: Int32 = -1
  private var latest: Int32 = -1
  /// No key's silence counts from before this time.
  private var floor = Int64.min
  package private(set) var staleCount = 0

  package init(timeout: Int64) { self.timeout = timeout < 1 ? 1 : timeout }

  /// A message of the key, numbered as by `KeyTable`; how long it was silent if it was stale, else nil.
  package mutating func touch(_ key: Int, _ now: Int64) -> Int64? {
    if key < 0 || key >= KeyTable.maxKeys { return nil }
    while key >= entries.count { entries.append(Entry()) }
    let entry = entries[key]
    var silence: Int64?
    if entry.state == .stale {
      silence = elapsed(entry.time, now)
      staleCount &-= 1
    }
    if latest != Int32(key) {
      if entry.state == .listed { unlink(key) }
      entries[key].before = latest
      entries[key].after = -1
      if latest >= 0 { entries[Int(latest)].after = Int32(key) } else { oldest = Int32(key) }
      latest = Int32(key)
      entries[key].state = .listed
    }
    // A clock that steps back must not put the list out of order.
    let before = entries[key].before
    entries[key].time = before >= 0 && entries[Int(before)].time > now ? entries[Int(before)].time : now
    return silence
  }

  /// When `expire` will find the next key; nil without one.
  package var nextDeadline: Int64? {
    if oldest < 0 { return nil }
    return saturatingSum(since(Int(oldest)), timeout)
  }

  /// The next key that has become stale, and how long it has been silent; nil when there is none (any more).
  package mutating func expire(_ now: Int64) -> (key: Int, silence: Int64)? {
    guard let deadline = nextDeadline, deadline <= now else { return nil }
    let key = Int(oldest)
    unlink(key)
    entries[key].state = .stale
    entries[key].time = since(key)
    staleCount &+= 1
    return (key, elapsed(entries[key].time, now))
  }

  /// The silence of all keys that are not stale counts from now: there was no connection, or nobody read.
  package mutating func restart(_ now: Int64) { floor = now }

  private func since(_ key: Int) -> Int64 { entries[key].time > floor ? entries[key].time : floor }

  private func elapsed(_ time: Int64, _ now: Int64) -> Int64 {
    let (difference, isTooMuch) = now.subtractingReportingOverflow(time)
    return isTooMuch ? Int64.max : difference < 0 ? 0 : difference
  }

  private mutating func unlink(_ key: Int) {
    let entry = entries[key]
    if entry.before >= 0 { entries[Int(entry.before)].after = entry.after } else { oldest = entry.after }
    if entry.after >= 0 { entries[Int(entry.after)].before = entry.before } else { latest = entry.before }
    entries[key].before = -1
    entries[key].after = -1
  }
}
