// SPDX-License-Identifier: Apache-2.0
import PulseFlow

@testable import PulseEngine

/// What is sent, as one would write it with arrays.
struct NaiveOutbound {
  struct Item {
    var id: UInt64
    var text: String
    var flags: OutboxFlags
    var expiresAt: Int64
    /// In the bytes of its connection, once it is a frame.
    var start = 0
    /// A process that ends now leaves it in doubt.
    var isBegun = false

    var cost: Int { text.utf8.count + MessageQueue.overhead }
    var length: Int { text.utf8.count + FakeSender.header }
    var isLive: Bool { flags.contains(.liveOnly) }
  }

  let policy: OverflowPolicy
  let limits: Outbox.Limits
  let interval: Int64
  let windows: [RateWindow]
  var now: Int64 = 0

  private(set) var waiting: [Item] = []
  private(set) var flying: [Item] = []
  private(set) var lastID: UInt64 = 0
  private(set) var sent: UInt64 = 0
  private(set) var lost: [Fate: UInt64] = [:]
  /// The fates of messages that are to be told, and have not been.
  var reports: [UInt64: String] = [:]
  private(set) var isOpen = false
  private var framedBytes = 0
  private var written = 0
  private var backlogEnd: UInt64 = 0
  private var nextBacklogAt: Int64 = 0
  /// When slots of the limits were taken.
  private var slots: [Int64] = []

  init(_ rules: Outbound.Rules) {
    policy = rules.policy
    limits = rules.limits
    interval = rules.backlogInterval
    windows = rules.rateLimits
  }

  var bytes: Int { waiting.reduce(0) { $0 + $1.cost } }
  var unwritten: Int { framedBytes - written }

  private mutating func lose(_ item: Item, _ fate: Fate) {
    lost[fate, default: 0] += 1
    if item.flags.contains(.report) { reports[item.id] = "\(fate)" }
  }

  private mutating func lose(_ fate: Fate, where isMeant: (Item) -> Bool) {
    for item in waiting where isMeant(item) { lose(item, fate) }
    waiting.removeAll(where: isMeant)
  }

  // MARK: Limits

  private func readyAt() -> Int64 {
    windows.reduce(now) { ready, window in
      slots.count < window.count ? ready : max(ready, slots[slots.count - window.count] + window.duration)
    }
  }

  private mutating func admit() -> Bool {
    if readyAt() > now { return false }
    slots.append(now)
    return true
  }

  mutating func noteControl() { slots.append(now) }

  // MARK: Accepting

  mutating func send(_ text: String, _ flags: OutboxFlags, expiresAt: Int64, inLimit: Bool, hasRoom: Bool) -> Answer {
    let item = Item(id: lastID + 1, text: text, flags: flags, expiresAt: expiresAt)
    if isOpen && !windows.isEmpty && (inLimit || item.isLive) {
      if (waiting.isEmpty || item.isLive) && hasRoom && admit() { return frame(item) }
      return .wait(until: readyAt() > now ? readyAt() : now + 5 * millisecond)
    }
    if isOpen && windows.isEmpty && hasRoom {
      if waiting.isEmpty { return frame(item) }
      if item.isLive {
        dropExpiredFront()
        if let first = waiting.first, first.id <= backlogEnd { return frame(item) }
      }
    }
    return queue(item)
  }

  private func hasRoom(_ item: Item) -> Bool {
    waiting.isEmpty || waiting.count < limits.count && bytes + item.cost <= limits.bytes
  }

  private mutating func queue(_ item: Item) -> Answer {
    if !hasRoom(item) { lose(.expired) { [now] in $0.expiresAt <= now } }
    while !hasRoom(item) {
      if policy == .reject || policy == .block { return .full }
      if policy == .dropNewest {
        lastID += 1
        lose(item, .dropped)
        return .queued(lastID)
      }
      lose(waiting.removeFirst(), .dropped)
    }
    lastID += 1
    waiting.append(item)
    return .queued(lastID)
  }

  /// The journal has no room for it, and says itself how many of the oldest make room.
  mutating func sendToFullJournal(_ text: String, _ flags: OutboxFlags, expiresAt: Int64, _ answer: Answer, dropped: UInt64) {
    expire()
    guard case .queued = answer else { return }
    lastID += 1
    let item = Item(id: lastID, text: text, flags: flags, expiresAt: expiresAt)
    if policy == .dropNewest && dropped == 1 { return lose(item, .dropped) }
    for place in roomMakers(item, Int(dropped)).sorted(by: >) { lose(waiting.remove(at: place), .dropped) }
    waiting.append(item)
  }

  /// So many: first those that give room in the journal, which live-only ones don't, then the oldest of the outbox.
  private func roomMakers(_ item: Item, _ count: Int) -> [Int] {
    let journaled = waiting.indices.filter { !waiting[$0].isLive }
    for ofJournal in stride(from: min(count, journaled.count), through: 0, by: -1) {
      var dropped = Array(journaled.prefix(ofJournal))
      for place in waiting.indices where !dropped.contains(place) {
        let left = waiting.indices.filter { !dropped.contains($0) }
        let size = left.reduce(0) { $0 + waiting[$1].cost }
        if left.isEmpty || (left.count < limits.count && size + item.cost <= limits.bytes) { break }
        dropped.append(place)
      }
      if dropped.count == count { return dropped }
    }
    return Array(0..<count)
  }

  private mutating func frame(_ item: Item) -> Answer {
    lastID += 1
    fly(item)
    return .framed(lastID)
  }

  private mutating func fly(_ item: Item) {
    flying.append(item)
    flying[flying.count - 1].start = framedBytes
    framedBytes += item.length
  }

  mutating func sendFirst(_ text: String) {
    slots.append(now)
    _ = frame(Item(id: lastID + 1, text: text, flags: [.liveOnly, .first], expiresAt: .max))
  }

  // MARK: The connection

  mutating func open() {
    isOpen = true
    backlogEnd = interval == 0 || waiting.isEmpty ? 0 : lastID
    nextBacklogAt = now
  }

  private mutating func dropExpiredFront() {
    while let first = waiting.first, first.expiresAt <= now { lose(waiting.removeFirst(), .expired) }
  }

  mutating func refill(outputLimit: Int, isClosing: Bool) {
    if !isOpen { return }
    while unwritten < outputLimit {
      dropExpiredFront()
      guard let first = waiting.first else { return }
      let isBacklog = first.id <= backlogEnd && !isClosing
      if isBacklog && now < nextBacklogAt || !admit() { return }
      if isBacklog { nextBacklogAt = now + interval }
      fly(waiting.removeFirst())
    }
  }

  mutating func write(_ count: Int, committed: Int) {
    written += min(count, unwritten)
    while let first = flying.first, first.start + first.length <= written {
      flying.removeFirst()
      sent += 1
      if first.flags.contains(.report) { reports[first.id] = "sent" }
    }
    for place in flying.indices { flying[place].isBegun = flying[place].start < max(written + committed, written) }
  }

  /// The first of which no byte is written.
  var unstarted: Int { flying.firstIndex { $0.start >= written } ?? flying.count }

  mutating func takeBack(from index: Int) {
    guard index < flying.count else { return }
    framedBytes = flying[index].start
    waiting = flying[index...].map(waits) + waiting
    flying.removeSubrange(index...)
  }

  private func waits(_ item: Item) -> Item {
    var item = item
    item.isBegun = false
    return item
  }

  mutating func end() {
    let index = unstarted
    for item in flying[..<index] { lose(item, .failed) }
    flying.removeSubrange(..<index)
    waiting = flying.map(waits) + waiting
    flying = []
    isOpen = false
    framedBytes = 0
    written = 0
    lose(.failed) { $0.isLive }
  }

  mutating func expire() { lose(.expired) { [now] in $0.expiresAt <= now } }
  mutating func purge() { lose(.dropped) { _ in true } }

  // MARK: The next process

  /// This one ends. `inWrite`: all frames were given to the network. The ids of messages in doubt, of those that have
  /// expired.
  mutating func die(inWrite: Bool) -> (inDoubt: [UInt64], expired: [UInt64]) {
    let kept = flying.filter { !$0.isLive }
    let inDoubt = kept.filter { inWrite || $0.isBegun }
    waiting = (kept.filter { !inWrite && !$0.isBegun } + waiting.filter { !$0.isLive }).map(waits)
    let expired = waiting.filter { $0.expiresAt <= now }
    waiting.removeAll { $0.expiresAt <= now }
    (flying, isOpen, framedBytes, written, sent, slots, reports) = ([], false, 0, 0, 0, [], [:])
    lost = [.expired: UInt64(expired.count), .failed: UInt64(inDoubt.count)]
    for item in inDoubt where item.flags.contains(.report) { reports[item.id] = "failed" }
    for item in expired where item.flags.contains(.report) { reports[item.id] = "expired" }
    return (inDoubt.map(\.id), expired.map(\.id))
  }
}
