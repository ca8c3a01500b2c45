// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// What an event's text says.
private struct Told {
  let text: String

  func number(_ name: String) -> UInt64 {
    let parts = text.split(separator: "\"\(name)\":")
    return parts.count < 2 ? 0 : UInt64(parts[1].prefix { $0.isNumber }) ?? 0
  }

  /// The ids of rows, one by one.
  func ids(_ name: String) -> [UInt64] {
    let parts = text.split(separator: "\"\(name)\":[")
    guard parts.count == 2, parts[1].first == "[", let rows = parts[1].split(separator: "]]").first else { return [] }
    let numbers = rows.split { !$0.isNumber }.compactMap { UInt64($0) }
    return stride(from: 0, to: numbers.count - 1, by: 2).flatMap { Array(numbers[$0]...numbers[$0 + 1]) }
  }

  var name: String { String(text.dropFirst(10).prefix { $0 != "\"" }) }
}

/// An owner that does all that one may do, at random, with the model beside it.
private final class OutboundWalk {
  let isReporting: Bool
  let change: (Outbound.Rules) -> Void
  var random: SeededRandom
  private(set) var sender: FakeSender
  private(set) var model: NaiveOutbound
  private(set) var deaths = 0
  private(set) var counted: [Fate: UInt64] = [:]
  /// How often a journal had no room.
  private(set) var fullJournals = 0

  /// Of all processes: the texts of accepted messages, those that are kept over the end of one, what the peer has.
  private var texts: [UInt64: String] = [:]
  private var kept: Set<UInt64> = []
  private(set) var peer: Set<UInt64> = []
  private var highestAtPeer: UInt64 = 0
  /// What the application has been told, by events that it took.
  private var known: Set<UInt64> = []
  /// Of this process: losses that events told, fates that events told, and how much of it was looked at.
  private var told: [String: UInt64] = [:]
  private var fates: [UInt64: String] = [:]
  private var seenEvents: UInt64 = 0
  private var seenAtPeer = 0
  /// Losses of this process that the journal's event tells.
  private var failedBefore: UInt64 = 0

  var outbound: Outbound { sender.outbound }
  var hasJournal: Bool { sender.memory != nil }

  init(seed: UInt64, isReporting: Bool, journal capacity: Int?, _ change: @escaping (Outbound.Rules) -> Void) {
    random = SeededRandom(seed)
    self.isReporting = isReporting
    self.change = change
    sender = FakeSender(capacity.map { JournalMemory(capacity: $0) }, change)
    model = NaiveOutbound(sender.outbound.rules)
  }

  func step(_ place: Comment) throws {
    sender.outputLimit = [1, 300, .max][random.below(3)]
    switch random.below(24) {
    case 0..<8: for _ in 0...random.below(random.isOne(in: 8) ? 60 : 5) { try send(place) }
    case 8..<12:
      sender.refill()
      model.refill(outputLimit: sender.outputLimit, isClosing: false)
    case 12..<16: write()
    case 16: takeBack()
    case 17, 18:
      if sender.isOpen {
        sender.end()
        model.end()
      } else {
        sender.open()
        model.open()
      }
    case 19:
      sender.hasRoomForEvents = !random.isOne(in: 4)
      sender.tell(random.isOne(in: 3) ? "a reason" : "")
    case 20: other()
    case 21 where hasJournal: if random.isOne(in: 4) { try die(place) }
    default:
      advance()
      take(random.isOne(in: 3) ? 1 + random.below(4) : .max)
    }
    try compare(place)
  }

  private func send(_ place: Comment) throws {
    let isLive = sender.isOpen && random.isOne(in: 6)
    var flags: OutboxFlags = isLive ? .liveOnly : []
    if isReporting { flags.insert(.report) }
    let ttl: Int64? = random.isOne(in: 3) ? Int64(1 + random.below(2000)) * millisecond : nil
    let inLimit = random.isOne(in: 3)
    let text = "\(random.next())" + String(repeating: "x", count: random.below(random.isOne(in: 20) ? 900 : 90))
    let expiresAt = ttl.map { sender.now + $0 } ?? .max
    let hasRoom = sender.hasRoom
    let isFull = !isLive && outbound.journal?.hasRoom(for: text.utf8.count) == false
    let dropped = outbound.outbox.book.dropped
    let answer = sender.send(text, flags, ttl: ttl, inLimit: inLimit)
    if !isFull {
      try #require(answer == model.send(text, flags, expiresAt: expiresAt, inLimit: inLimit, hasRoom: hasRoom), place)
    } else if sender.isOpen && inLimit && !model.windows.isEmpty {
      try #require(answer == .full, place)
    } else {
      fullJournals += 1
      model.sendToFullJournal(text, flags, expiresAt: expiresAt, answer, dropped: outbound.outbox.book.dropped - dropped)
      if answer != .full { try #require(answer == .queued(model.lastID), place) }
    }
    if outbound.lastID == model.lastID { note(outbound.lastID, text, isKept: !isLive) }
  }

  private func note(_ id: UInt64, _ text: String, isKept: Bool) {
    guard texts[id] == nil else { return }
    texts[id] = text
    if isKept { kept.insert(id) }
  }

  private func write() {
    let count = random.isOne(in: 3) ? sender.unwritten : random.below(sender.unwritten + 1)
    let committed = random.isOne(in: 2) ? 0 : random.below(300)
    sender.write(count, committed: committed)
    model.write(count, committed: committed)
  }

  private func takeBack() {
    let first = model.unstarted
    if first >= model.flying.count { return }
    // Not logins, nor what stands before them.
    let logins = model.flying.lastIndex { $0.flags.contains(.first) }.map { $0 + 1 } ?? 0
    let index = max(first, logins, first + random.below(model.flying.count - first))
    sender.takeBack(from: index)
    model.takeBack(from: index)
  }

  private func other() {
    switch random.below(4) {
    case 0:
      if !sender.isOpen { return }
      #expect(sender.sendFirst("login") == .framed(model.lastID + 1))
      model.sendFirst("login")
      note(outbound.lastID, "login", isKept: false)
    case 1:
      outbound.noteControl(sender.now)
      if outbound.rules.countsControl { model.noteControl() }
    case 2:
      sender.refill(isClosing: true)
      model.refill(outputLimit: sender.outputLimit, isClosing: true)
    default:
      if !random.isOne(in: 4) { return }
      outbound.outbox.purge()
      model.purge()
    }
  }

  private func advance() {
    let time = sender.now + Int64(random.below(random.isOne(in: 4) ? 3000 : 300)) * millisecond
    model.now = time
    model.expire()
    model.refill(outputLimit: sender.outputLimit, isClosing: false)
    sender.flow(at: time)
  }

  private func take(_ most: Int) {
    hear()
    for text in sender.take(most) {
      let event = Told(text: text)
      for name in ["ids", "in_doubt_ids", "expired_ids", "dropped_ids"] { known.formUnion(event.ids(name)) }
    }
  }

  // MARK: The next process

  private func die(_ place: Comment) throws {
    deaths += 1
    look()
    let inWrite = random.isOne(in: 2)
    if inWrite { sender.die(random.below(sender.unwritten + 1)) }
    look()
    let time = Int64(random.below(500)) * millisecond
    model.now = sender.now + time
    let left = model.die(inWrite: inWrite)
    let lastID = outbound.lastID
    sender = try next(sender, after: time, change)
    (told, fates, seenEvents, seenAtPeer) = ([:], [:], 0, 0)
    try #require(outbound.lastID == lastID && outbound.counts.recovered == UInt64(model.waiting.count), place)
    let event = Told(text: sender.events.first ?? "")
    let (inDoubt, expired) = (Set(event.ids("in_doubt_ids")), Set(event.ids("expired_ids")))
    try #require(event.ids("recovered_ids") == model.waiting.map(\.id), place)
    try #require(inDoubt.isSuperset(of: left.inDoubt) && expired.isSuperset(of: left.expired), place)
    try #require(event.number("cut_bytes") == 0, place)
    // One answer for each: queued again, in doubt, dropped, expired, told before; what is left was sent.
    let queued = Set(model.waiting.map(\.id))
    let answered = queued.union(inDoubt).union(expired).union(event.ids("dropped_ids"))
    let open = kept.subtracting(answered).subtracting(known).subtracting(peer)
    try #require(open.count <= event.number("unlisted"), "\(place): nobody knows of \(open.sorted())")
    try #require(queued.isDisjoint(with: peer) && queued.isDisjoint(with: known), place)
    try #require(queued.isDisjoint(with: inDoubt) && queued.isDisjoint(with: expired), place)
    // Those in doubt that an earlier process left are told again, and count here.
    failedBefore = outbound.outbox.book.failed
    try #require(failedBefore == UInt64(inDoubt.count) && failedBefore >= UInt64(left.inDoubt.count), place)
    earlier = failedBefore - UInt64(left.inDoubt.count)
  }

  private var earlier: UInt64 = 0

  // MARK: Comparing

  /// What the peer has, and what events say.
  private func look() {
    for (id, text) in zip(sender.received, sender.receivedTexts).dropFirst(seenAtPeer) {
      #expect(peer.insert(id).inserted && texts[id] == text, "\(id) was sent")
      if kept.contains(id) {
        #expect(id > highestAtPeer, "\(id) was sent after \(highestAtPeer)")
        highestAtPeer = id
      }
    }
    seenAtPeer = sender.received.count
  }

  private func hear() {
    let fresh = Int(sender.lastSequence - seenEvents)
    seenEvents = sender.lastSequence
    for text in sender.events.suffix(fresh) {
      let event = Told(text: text)
      if event.name == "fate" {
        let id = event.number("id")
        #expect(fates[id] == nil, "the fate of \(id) is told again")
        fates[id] = String(text.split(separator: "\"fate\":\"").last?.dropLast(2) ?? "")
        // Of one in doubt for long only the journal knows.
        if let known = model.reports[id] { #expect(fates[id] == known, "the fate of \(id)") }
      } else if event.name != "journal" {
        told[event.name, default: 0] += event.number("messages")
        if hasJournal {
          // Exactly those, but for what the journal does not keep.
          let ids = event.ids("ids")
          #expect(ids.allSatisfy { kept.contains($0) && !peer.contains($0) }, "\(text)")
          #expect(ids.count == Set(ids).count && ids.count <= event.number("messages"), "\(text)")
        }
      }
    }
  }

  private func compare(_ place: Comment) throws {
    look()
    hear()
    let (counts, book) = (outbound.counts, outbound.outbox.book)
    try #require(sender.isBalanced, place)
    try #require(outbound.outbox.count == model.waiting.count && outbound.outbox.bytes == model.bytes, place)
    try #require(sender.frames.map(\.id) == model.flying.map(\.id) && sender.unwritten == model.unwritten, place)
    try #require(counts.sent == model.sent && outbound.lastID == model.lastID, place)
    for (fate, number) in [(Fate.dropped, book.dropped), (.expired, book.expired), (.failed, book.failed - earlier)] {
      try #require(number == model.lost[fate, default: 0], "\(place), \(fate)")
      counted[fate, default: 0] = max(counted[fate, default: 0], number)
    }
    if outbound.hasNews { return }
    // Each loss was told, once.
    try #require(told["dropped", default: 0] == book.dropped && told["expired", default: 0] == book.expired, place)
    try #require(told["failed", default: 0] == book.failed - failedBefore, place)
  }

  /// All is told.
  func end(_ place: Comment) throws {
    if sender.isOpen {
      sender.end()
      model.end()
    }
    sender.hasRoomForEvents = true
    advance()
    sender.now += second
    sender.tell("the end")
    model.now = sender.now
    try compare(place)
    #expect(!outbound.hasNews)
    for (id, fate) in model.reports { #expect(fates[id] == fate, "\(id) of \(place)") }
  }
}

@Suite struct OutboundModelTests {
  private static let policies = [OverflowPolicy.dropOldest, .dropNewest, .reject, .block]

  private func walk(_ policy: OverflowPolicy, _ seed: Int, journal capacity: Int? = nil) throws -> OutboundWalk {
    let walk = OutboundWalk(
      seed: UInt64(seed) * 100 + UInt64(policy.rawValue), isReporting: seed % 2 == 0, journal: capacity
    ) { rules in
      rules.policy = policy
      rules.limits = Outbox.Limits(count: [20, 60][seed % 2], bytes: [4000, 20_000][seed / 2 % 2])
      rules.backlogInterval = [0, 10 * millisecond][seed % 2]
      rules.countsControl = seed % 3 == 0
      if seed % 3 > 0 { return }
      rules.rateLimits = [RateWindow(count: 10, duration: 100 * millisecond), RateWindow(count: 40, duration: second)]
    }
    for step in 0..<1000 { try walk.step("step \(step)") }
    try walk.end("end")
    return walk
  }

  @Test(arguments: policies, 1...4)
  func agreesWithArrays(policy: OverflowPolicy, seed: Int) throws {
    let walk = try walk(policy, seed)
    let (counts, book) = (walk.outbound.counts, walk.outbound.outbox.book)
    #expect(walk.peer.count > 50 && book.failed > 5 && book.expired > 5)
    #expect((counts.rejected > 0) == (policy == .reject || policy == .block))
    #expect((book.droppedOldest > 0) == (policy == .dropOldest) && (book.droppedNewest > 0) == (policy == .dropNewest))
  }

  /// The larger journal has always room.
  @Test(arguments: policies, 1...4)
  func nothingIsLostBetweenProcesses(policy: OverflowPolicy, seed: Int) throws {
    let capacity = [4096, 1 << 20][seed / 2 % 2]
    let walk = try walk(policy, seed, journal: capacity)
    #expect(walk.deaths > 3 && walk.peer.count > 50 && (walk.fullJournals > 0) == (capacity == 4096))
  }
}
