// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// A server's numbers, by key; it sends some twice, some not at all, and some late.
private struct Server {
  private var next: [String: Int64] = [:]
  private var id = 0
  let rule: SequenceCheck.Rule

  init(rule: SequenceCheck.Rule) { self.rule = rule }

  /// A message's text, the key that it is kept by, and its number.
  mutating func message(_ random: inout SeededRandom) -> (text: String, key: String?, number: NaiveInbound.Number?) {
    id += 1
    if random.isOne(in: 15) { return (padded(#"{"id":\#(id)}"#, &random), nil, nil) }
    let key = "k\(random.below(random.isOne(in: 3) ? 40 : 4))"
    if random.isOne(in: 15) { return (padded(#"{"k":"\#(key)","id":\#(id)}"#, &random), key, nil) }
    var first = next[key] ?? Int64(random.below(1000))
    var last = first + Int64(random.below(3))
    var previous: Int64? = first - 1
    switch random.below(30) {
    case 0:
      // Missing.
      first += 1 + Int64(random.below(5))
      last = first + Int64(random.below(2))
      previous = first - 1
    case 1: (first, last) = (max(0, first - 1), max(0, first - 1))
    case 2: (first, last) = (max(0, first - Int64(random.below(20))), max(0, first - 5))
    case 3: previous = nil
    default: break
    }
    if first > last { (first, last) = (last, first) }
    next[key] = max(next[key] ?? 0, last + 1)
    var text = #"{"k":"\#(key)","U":\#(first),"u":\#(last)"#
    if let previous, previous >= 0, rule == .previous { text += #","p":\#(previous)"# } else { previous = nil }
    return (
      padded(text + #","id":\#(id)}"#, &random), key,
      NaiveInbound.Number(key: key, first: first, last: last, previous: rule == .previous ? previous : nil)
    )
  }

  /// Another connection begins a little before the end of the one before, or begins to count anew.
  mutating func reconnect(_ random: inout SeededRandom) {
    let restarts = random.isOne(in: 5)
    for (key, number) in next.sorted(by: { $0.key < $1.key }) {
      next[key] = restarts ? 0 : max(0, number - Int64(random.below(8)))
    }
  }

  /// No larger than a segment: one of its own may exceed the bound of the memory, which begins to conflate.
  private func padded(_ text: String, _ random: inout SeededRandom) -> String {
    let size = random.isOne(in: 80) ? random.below(900) : 50 + random.below(60)
    return text + String(repeating: " ", count: max(0, size - text.utf8.count))
  }
}

/// What the application has been told, by the texts of events.
private struct Audience {
  var messages = 0
  var dropped = 0
  var events = 0
  var missing = 0
  var eventsDropped = 0
  var discarded = 0

  private func number(_ name: String, _ text: String) -> Int {
    let parts = text.split(separator: "\"\(name)\":")
    return parts.count < 2 ? 0 : Int(parts[1].prefix { $0.isNumber }) ?? 0
  }

  mutating func take(_ seen: [Seen]) {
    for item in seen {
      if !item.isEvent {
        messages += 1
        continue
      }
      events += 1
      if item.text.hasPrefix(#"{"event":"receive_dropped""#) { dropped += number("messages", item.text) }
      if item.text.hasPrefix(#"{"event":"discarded""#) { discarded += number("messages", item.text) }
      if item.text.hasPrefix(#"{"event":"gap""#) { missing += number("missing", item.text) }
      if item.text.hasPrefix(#"{"event":"events_dropped""#) { eventsDropped += number("events", item.text) }
    }
  }
}

/// An owner that does all that one may do, at random, with the model beside it.
private final class Walk {
  static let limit = 12_000

  let policy: ReceiveQueuePolicy
  /// Large events fill what is there for those that are kept. Where something makes room, they would change which messages go.
  let isFlooded: Bool
  var random: SeededRandom
  let client: FakeClient
  var model: NaiveInbound
  var audience = Audience()
  private var server: Server
  private var offered = 0
  private var last: UInt64 = 0
  /// How much of what was done has been compared.
  private var compared = (0, 0)

  var inbound: Inbound { client.inbound }

  init(_ policy: ReceiveQueuePolicy, _ rule: SequenceCheck.Rule, seed: UInt64, isFlooded: Bool) throws {
    self.policy = policy
    self.isFlooded = isFlooded
    random = SeededRandom(seed)
    client = try FakeClient { rules in
      rules.policy = policy
      rules.limit = Walk.limit
      rules.emitsEvents = true
      rules.keyPath = [try jsonPath("k")]
      rules.sequenceKey = [try jsonPath("k")]
      rules.sequencePath = [try jsonPath("U"), try jsonPath("u")]
      rules.isIncreasing = rule == .increasing
      if rule == .previous { rules.sequencePrevious = try jsonPath("p") }
    }
    model = NaiveInbound(policy: policy, limit: Walk.limit, rule: rule)
    server = Server(rule: rule)
  }

  func step(_ place: Comment) throws {
    switch random.below(20) {
    case 0..<10: offer()
    case 10:
      offered += 1
      client.takeAside("pong \(offered)", kind: MessageCode.pong)
      model.takeAside("pong \(offered)")
    case 11: emit()
    case 12:
      if random.isOne(in: 2) {
        client.doing { $0.discard() }
        model.discard()
      }
      client.doing { $0.announceDiscarded("began to close") }
      model.announceDiscarded()
    case 13:
      client.now += random.isOne(in: 6) ? 11 * second : Int64(random.below(200)) * millisecond
      model.now = client.now
      client.doing { $0.announceDrops() }
      model.announceDrops()
    case 14 where random.isOne(in: 4):
      server.reconnect(&random)
      client.doing { $0.feed?.startGeneration(client.now) }
      model.startGeneration()
    default: try take(place)
    }
    try compare(place)
  }

  private func offer() {
    for _ in 0...random.below(random.isOne(in: 4) ? 120 : 12) {
      // Where nothing makes room, reading pauses; or the connection is left.
      if !policy.makesRoom && inbound.queuedBytes >= Walk.limit { break }
      let (text, key, number) = server.message(&random)
      if random.isOne(in: 50) {
        client.passOver(text)
        model.passOver(number)
      } else {
        offered += 1
        client.offer(text)
        model.offer(text, key: key, number)
      }
    }
  }

  private func emit() {
    let isKept = random.isOne(in: 2)
    let size = isFlooded && random.isOne(in: 4) ? 400_000 : 30 + random.below(60)
    for number in 0..<(size < 100 && random.isOne(in: 10) ? 150 : 1) {
      let event = event("e\(number)", size: size)
      client.emit(event, isKept: isKept)
      model.emit(String(decoding: event.bytes, as: UTF8.self), isKept: isKept)
    }
  }

  private func take(_ place: Comment) throws {
    // A call gives no more than a segment has.
    let seen = client.take(1 + random.below(random.isOne(in: 8) ? 1000 : 20)) ?? []
    let expected = model.take(seen.count)
    try #require(seen.map(\.text) == expected.map(\.text), place)
    try #require(seen.map(\.isEvent) == expected.map(\.isEvent), place)
    let sequences = [last] + seen.map(\.sequence)
    try #require(zip(sequences, sequences.dropFirst()).allSatisfy { $0 < $1 }, place)
    last = sequences[seen.count]
    audience.take(seen)
    if random.isOne(in: 2) {
      client.doing { if $0.hasNews { $0.tellNews() } }
      if model.hasNews { model.tellNews() }
    }
  }

  /// All is taken, and all is told.
  func end() {
    for _ in 0..<4 {
      client.advance(to: client.now + second)
      client.doing { $0.tellNews() }
      audience.take(client.takeAll())
    }
  }

  // MARK: Comparing

  private func compare(_ place: Comment) throws {
    try #require(inbound.queuedCount == model.items.count && inbound.queuedBytes == model.bytes, place)
    try #require(inbound.isEmpty == model.items.isEmpty && inbound.hasNews == model.hasNews, place)
    // How often it asks to be asked again is its own affair.
    let late = "WARNING the numbers of the new connection are still behind"
    let done = client.done[compared.0...].filter { !$0.hasPrefix("losses at") }.map { $0.hasPrefix(late) ? "late" : $0 }
    try #require(done == Array(model.done[compared.1...]), place)
    compared = (client.done.count, model.done.count)
    if model.hasDropNews { try #require(client.deadlines[.losses] == model.nextDrops, place) }
    try #require(numbers(inbound) == numbers(model), place)
    // The books: what was offered = taken + queued + dropped + conflated + duplicates.
    let queued = model.items.filter { !$0.isEvent }.count
    try #require(offered == audience.messages + queued + model.lost + Int(inbound.counts.duplicates), place)
  }

  private func numbers(_ counts: Inbound.Counts) -> [UInt64] {
    [
      counts.messages, counts.payloadBytes, counts.duplicates, counts.gaps, counts.missing, counts.repeats, counts.stepsBack,
      counts.eventsDropped, counts.discarded,
    ]
  }

  private func numbers(_ inbound: Inbound) -> [UInt64] {
    numbers(inbound.counts) + [inbound.queue.droppedCount, inbound.queue.conflatedCount]
  }

  private func numbers(_ model: NaiveInbound) -> [UInt64] {
    numbers(model.counts) + [UInt64(model.dropped), UInt64(model.conflated)]
  }
}

@Suite struct InboundModelTests {
  @Test(arguments: [ReceiveQueuePolicy.pause, .dropOldest, .conflate, .disconnect], 1...3)
  func agreesWithArrays(policy: ReceiveQueuePolicy, seed: Int) throws {
    let rule = [SequenceCheck.Rule.consecutive, .increasing, .previous][seed % 3]
    let walk = try Walk(
      policy, rule, seed: UInt64(seed) * 10 + UInt64(policy.rawValue), isFlooded: seed == 2 && !policy.makesRoom)
    for step in 0..<800 { try walk.step("step \(step)") }
    walk.end()
    let (inbound, model, audience) = (walk.inbound, walk.model, walk.audience)
    let counts = inbound.counts
    #expect(!inbound.hasNews && inbound.isEmpty)
    // Every loss was told, by an event; which may be one of those that found no room.
    #expect(audience.eventsDropped == Int(counts.eventsDropped))
    #expect(audience.dropped == Int(inbound.queue.droppedCount + inbound.queue.conflatedCount))
    #expect(walk.isFlooded || audience.discarded == Int(counts.discarded) && audience.missing == Int(counts.missing))
    // The walk has seen it all.
    #expect(policy.makesRoom == (model.dropped > 100) && (policy == .conflate) == (model.conflated > 100))
    #expect(counts.duplicates > 10 && counts.stepsBack > 10 && counts.repeats > 3)
    #expect(counts.discarded > 3 && counts.eventsDropped > 10)
    #expect(rule == .increasing ? counts.gaps == 0 : counts.gaps > 10)
  }
}
