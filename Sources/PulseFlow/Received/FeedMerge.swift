// SPDX-License-Identifier: Apache-2.0

/// A message's place in its feed. `key` is dense, as `KeyTable` numbers them.
package struct FeedNumber: Equatable {
  package var key: Int
  package var first: Int64
  package var last: Int64
  /// Of the message before it, where messages say so.
  package var previous: Int64?

  package init(key: Int, first: Int64, last: Int64, previous: Int64? = nil) {
    self.key = key
    self.first = first < last ? first : last
    self.last = first < last ? last : first
    self.previous = previous
  }
}

/// Makes one feed of two connections that bring the same messages, side 0 and side 1: the first copy of each counts.
/// A message that is ahead waits for the other side to bring those before it, which it no longer does when that side
/// is ahead, too: each side is in order. Not thread safe; its owner locks.
///
/// After each `offer`, `setReady` and `suspend`, and at `nextDeadline`, the owner calls `release` until it gives
/// nil. A message without a number has no copy that could be told: `takesUnnumbered` says from which side to take them.
package final class FeedMerge {
  package enum Verdict {
    case deliver
    /// It has been delivered, or waits; or it is for the other side to bring.
    case duplicate
    /// It was copied, and `release` gives it later.
    case parked
  }

  /// A feed may begin its numbers anew, and must not be taken for copies ever after: a side that goes back so many
  /// messages in a row behind what it brought itself, or that is behind for so long while nothing else comes, does. One
  /// that comes back may bring again what it had brought, which takes less.
  package static let restartCount: UInt8 = 8
  package static let restartTime: Int64 = 10_000_000_000

  struct Key {
    /// The highest number delivered; -1 before the first.
    var last: Int64 = -1
    var deliveredAt: Int64 = 0
    /// The highest number that each side brought on its present connection.
    var peaks: (Int64, Int64) = (-1, -1)
    var backs: (UInt8, UInt8) = (0, 0)
    /// Since when each side is behind `last` on its present connection; -1 if it is not.
    var behinds: (Int64, Int64) = (-1, -1)
    var isRipe = false
    /// Messages that wait and begin up to here wait no longer.
    var through: Int64 = -1
    /// The messages that wait, by number.
    var head: Int32 = -1
    var tail: Int32 = -1
  }

  private let rule: SequenceCheck.Rule
  private let wait: Int64
  package let limit: Int
  var keys: [Key] = []
  var store = ParkedMessages()
  /// Keys whose first waiting message may go; a stack.
  private var ripe: [Int] = []
  private var isReady = (false, false)

  package private(set) var firsts: (UInt64, UInt64) = (0, 0)
  package private(set) var duplicates: UInt64 = 0
  /// Messages of one side that closed a gap of the other.
  package private(set) var filled: UInt64 = 0

  /// `wait` in nanoseconds; 0 for none. `limit` bounds the bytes that wait.
  package init(rule: SequenceCheck.Rule, wait: Int64, limit: Int) {
    self.rule = rule
    self.wait = wait
    self.limit = limit
  }

  package var parkedCount: Int { store.count }
  package var parkedBytes: Int { store.bytes }
  /// When a message has waited long enough; nil if none waits for that.
  package var nextDeadline: Int64? {
    store.oldest < 0 ? nil : store.nodes[Int(store.oldest)].deadline
  }

  /// Tells that a side brings data, or that its connection has ended.
  package func setReady(_ side: Int, _ ready: Bool) {
    note(side, ready)
    if ready { return }
    // Its next connection begins with any number.
    renew(side)
    if !isReady.0 && !isReady.1 {
      for key in 0..<keys.count {
        keys[key].last = -1
        if keys[key].head >= 0 { ripen(key, through: .max) }
      }
      return
    }
    endWaiting(for: side)
  }

  /// The connection that brings the messages of a side from now on is not ready yet. What was delivered stays so.
  package func suspend(_ side: Int) {
    note(side, false)
    endWaiting(for: side)
  }

  private func note(_ side: Int, _ ready: Bool) { if side == 0 { isReady.0 = ready } else { isReady.1 = ready } }

  /// What waits for this side has nothing to wait for.
  private func endWaiting(for side: Int) {
    var node = store.oldest
    while node >= 0 {
      let parked = store.nodes[Int(node)]
      if parked.side != UInt8(side) { ripen(parked.number.key, through: parked.number.first) }
      node = parked.later
    }
  }

  /// Another connection brings the messages of a side from now on, some of which the one before it may have brought.
  package func renew(_ side: Int) {
    for key in 0..<keys.count {
      setPeak(key, side, -1)
      setBehind(key, side, -1)
    }
  }

  package func takesUnnumbered(_ side: Int) -> Bool { side == 0 ? isReady.0 : !isReady.0 }

  /// What is not data, an answer to a login perhaps, comes from side 0, and from side 1 while that brings nothing.
  package func takesAside(_ side: Int) -> Bool { side == 0 || !isReady.0 }

  /// A message that `side` brought. `deliver` is for now, and before anything that `release` gives.
  package func offer(
    side: Int, _ number: FeedNumber, now: Int64, kind: UInt32, flags: UInt32, payload: UnsafeRawBufferPointer,
    receivedAt: Int64
  ) -> Verdict {
    let key = number.key
    if key < 0 || key >= KeyTable.maxKeys || number.first < 0 { return takesUnnumbered(side) ? .deliver : .duplicate }
    reach(key)
    let last = keys[key].last
    if rule == .previous, last >= 0, number.previous == last, number.last < last { return restart(side, number, now) }
    if number.last <= peak(key, side) { return wentBack(key, side) ? restart(side, number, now) : copy() }
    let otherPeak = peak(key, 1 &- side)
    setPeak(key, side, number.last)
    if last < 0 || number.isNext(last, rule) {
      if last >= 0, keys[key].head >= 0, store.nodes[Int(keys[key].head)].side != UInt8(side) { filled &+= 1 }
      if keys[key].head >= 0 { ripen(key, through: keys[key].through) }
      return delivered(side, number, now)
    }
    if number.last <= last { return isBehindForLong(number, side, now) ? restart(side, number, now) : copy() }
    let otherIsReady = side == 0 ? isReady.1 : isReady.0
    // Nobody brings any more what both sides have passed.
    let through = otherIsReady && wait > 0 && otherPeak < number.first ? otherPeak : number.first
    if keys[key].head < 0 && through == number.first { return delivered(side, number, now) }
    // Behind those that wait, or among them.
    let isNew = insert(side, number, saturatingSum(now, wait), kind, flags, payload, receivedAt)
    if through > last { ripen(key, through: through) }
    return isNew ? .parked : copy()
  }

  /// The next message that need not wait any more; it lives until the next call.
  package func release(_ now: Int64) -> ParkedMessage? {
    store.takeBack()
    while true {
      while let key = ripe.last {
        let node = keys[key].head
        if node >= 0 {
          let parked = store.nodes[Int(node)]
          let last = keys[key].last
          if parked.number.last <= last && keys[key].through != .max {
            unlink(Int(node))
            _ = copy()
            continue
          }
          if parked.number.first <= keys[key].through || parked.number.isNext(last, rule) {
            unlink(Int(node))
            return lend(parked, now)
          }
        }
        keys[key].isRipe = false
        keys[key].through = -1
        ripe.removeLast()
      }
      guard store.oldest >= 0 else { return nil }
      let oldest = store.nodes[Int(store.oldest)]
      if oldest.deadline > now && store.bytes <= limit { return nil }
      ripen(oldest.number.key, through: oldest.number.first)
    }
  }

  // MARK: Keys

  private func reach(_ key: Int) {
    while key >= keys.count { keys.append(Key()) }
  }

  private func copy() -> Verdict {
    duplicates &+= 1
    return .duplicate
  }

  private func delivered(_ side: Int, _ number: FeedNumber, _ now: Int64) -> Verdict {
    keys[number.key].last = number.last
    keys[number.key].deliveredAt = now
    setBehind(number.key, side, -1)
    count(first: side)
    return .deliver
  }

  /// What waits is of the time before.
  private func restart(_ side: Int, _ number: FeedNumber, _ now: Int64) -> Verdict {
    keys[number.key].peaks = (-1, -1)
    keys[number.key].behinds = (-1, -1)
    setPeak(number.key, side, number.last)
    if keys[number.key].head >= 0 { ripen(number.key, through: .max) }
    return delivered(side, number, now)
  }

  private func count(first side: Int) {
    if side == 0 { firsts.0 &+= 1 } else { firsts.1 &+= 1 }
  }

  private func lend(_ parked: ParkedMessages.Node, _ now: Int64) -> ParkedMessage {
    let key = parked.number.key
    // After a new beginning what was before it must not count.
    if parked.number.last > keys[key].last && keys[key].through != .max {
      keys[key].last = parked.number.last
      keys[key].deliveredAt = now
    }
    count(first: Int(parked.side))
    return store.lend(parked)
  }

  private func ripen(_ key: Int, through: Int64) {
    if through > keys[key].through { keys[key].through = through }
    if keys[key].isRipe { return }
    keys[key].isRipe = true
    ripe.append(key)
  }

  private func peak(_ key: Int, _ side: Int) -> Int64 { side == 0 ? keys[key].peaks.0 : keys[key].peaks.1 }

  private func setPeak(_ key: Int, _ side: Int, _ peak: Int64) {
    if side == 0 {
      keys[key].peaks.0 = peak
      keys[key].backs.0 = 0
    } else {
      keys[key].peaks.1 = peak
      keys[key].backs.1 = 0
    }
  }

  private func setBehind(_ key: Int, _ side: Int, _ time: Int64) {
    if side == 0 { keys[key].behinds.0 = time } else { keys[key].behinds.1 = time }
  }

  /// What a side brings that has been delivered, and is not behind what the side itself brought.
  private func isBehindForLong(_ number: FeedNumber, _ side: Int, _ now: Int64) -> Bool {
    let key = number.key
    if number.last == keys[key].last {
      setBehind(key, side, -1)
      return false
    }
    let since = side == 0 ? keys[key].behinds.0 : keys[key].behinds.1
    if since < 0 {
      setBehind(key, side, now < 0 ? 0 : now)
      return false
    }
    return now &- since > FeedMerge.restartTime && now &- keys[key].deliveredAt > FeedMerge.restartTime
  }

  /// True when the side has gone back often enough to count anew.
  private func wentBack(_ key: Int, _ side: Int) -> Bool {
    if side == 0 { keys[key].backs.0 &+= 1 } else { keys[key].backs.1 &+= 1 }
    return (side == 0 ? keys[key].backs.0 : keys[key].backs.1) >= FeedMerge.restartCount
  }

  // MARK: The messages of a key

  /// False if a message that waits has these numbers.
  private func insert(
    _ side: Int, _ number: FeedNumber, _ deadline: Int64, _ kind: UInt32, _ flags: UInt32,
    _ payload: UnsafeRawBufferPointer, _ receivedAt: Int64
  ) -> Bool {
    let key = number.key
    // Most come in order: from the end.
    var before = keys[key].tail
    while before >= 0, store.nodes[Int(before)].number.first > number.first { before = store.nodes[Int(before)].before }
    if before >= 0, store.nodes[Int(before)].number.last >= number.last { return false }
    let node = store.append(side, number, deadline, kind, flags, payload, receivedAt)
    let after = before >= 0 ? store.nodes[Int(before)].after : keys[key].head
    store.nodes[Int(node)].before = before
    store.nodes[Int(node)].after = after
    if before >= 0 { store.nodes[Int(before)].after = node } else { keys[key].head = node }
    if after >= 0 { store.nodes[Int(after)].before = node } else { keys[key].tail = node }
    return true
  }

  private func unlink(_ node: Int) {
    let parked = store.nodes[node]
    let key = parked.number.key
    if parked.before >= 0 { store.nodes[Int(parked.before)].after = parked.after } else { keys[key].head = parked.after }
    if parked.after >= 0 { store.nodes[Int(parked.after)].before = parked.before } else { keys[key].tail = parked.before }
    store.remove(node)
  }
}

extension FeedNumber {
  /// Whether it is what follows `before`, or begins there or earlier and goes on: no wait would bring more.
  func isNext(_ before: Int64, _ rule: SequenceCheck.Rule) -> Bool {
    switch rule {
    case .previous:
      guard let previous else { return last > before }
      // A feed that numbers anew says so by the last number of before.
      return previous == before ? last != before : previous < before && last > before
    case .increasing: return last > before
    case .consecutive: return last > before && first &- 1 <= before
    }
  }
}
