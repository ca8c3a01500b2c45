// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import PulseTopics

/// A topic as one would write it with arrays.
private final class NaiveTopic {
  struct Message {
    var offset: UInt64
    var key: String?
    var size: Int
    var time: Int64
  }

  let topic: Topic
  var all: [Message] = []
  /// How many are forgotten.
  var forgotten = 0
  /// How many each of two readers has read; nil if it does not read.
  var read: [Int?] = [nil, nil]

  init(_ topic: Topic) { self.topic = topic }

  var name: String { text(topic.info.name) }
  var end: UInt64 { all.last?.offset ?? 0 }
  var offsets: [UInt64] { all.map(\.offset) }
  var unread: Int {
    let least = read.compactMap { $0 }.min() ?? all.count
    return all[least...].reduce(0) { $0 + $1.size }
  }

  func trim(_ now: Int64) {
    let settings = topic.info.settings
    let least = read.compactMap { $0 }.min() ?? all.count
    while forgotten < least {
      let held = all[forgotten...]
      let isOver =
        held.count > settings.history || held.reduce(0) { $0 + $1.size } > settings.historyBytes
        || (settings.historyAge > 0 && now - all[forgotten].time >= settings.historyAge)
      if !isOver { return }
      forgotten += 1
    }
  }

  func latest() -> [UInt64] {
    all.indices.filter { index in !all[(index + 1)...].contains { $0.key == all[index].key } }.map { all[$0].offset }
  }

  /// Indexes of what a reader gets.
  func news(_ reader: Int) -> [Int] {
    guard let from = read[reader] else { return [] }
    let batch = Array(from..<all.count)
    if !topic.info.conflates || topic.info.settings.flush == 0 { return batch }
    return batch.filter { index in
      all[index].key == nil || !all[(index + 1)...].contains { $0.key == all[index].key }
    }
  }
}

/// A client that trusts nothing: it follows the offsets and checks each against all that was published.
private final class Peer {
  var queue: PeerQueue
  var model: NaiveQueue
  let compressed: Bool
  var decoder: Decoder
  var subscriptions: [String: Subscription] = [:]
  /// Behind what the client has.
  var last: [String: UInt64] = [:]
  /// Where subscriptions begin whose `subscribed` has not come.
  var starts: [String: [UInt64]] = [:]
  var expected: [Sight] = []
  var sizes: [Int] = []

  init(_ rules: QueueRules, compressed: Bool) {
    self.compressed = compressed
    queue = PeerQueue(rules, compresses: compressed)
    decoder = Decoder(compressed: compressed)
    model = NaiveQueue(policy: rules.policy, maxMessages: rules.maxMessages, maxBytes: rules.maxBytes)
  }

  func isInStep(_ topic: String) -> Bool { subscriptions[topic] != nil && starts[topic]?.isEmpty != false }

  func renew(_ rules: QueueRules) {
    queue.end()
    queue = PeerQueue(rules, compresses: compressed)
    decoder = Decoder(compressed: compressed)
    model = NaiveQueue(policy: rules.policy, maxMessages: rules.maxMessages, maxBytes: rules.maxBytes)
    subscriptions = [:]
    starts = [:]
    expected = []
    sizes = []
  }
}

private func sight(_ bytes: [UInt8]) -> Sight? {
  let fields = object(bytes)
  func number(_ name: String) -> UInt64 { (fields[name] as? NSNumber)?.uint64Value ?? 0 }
  guard let type = fields["type"] as? String, let topic = fields["topic"] as? String else { return nil }
  switch type {
  case "gap": return .gap(topic: topic, from: number("from"), to: number("to"), cause: fields["cause"] as? String ?? "")
  case "subscribed":
    return .subscribed(topic: topic, offset: number("offset"), recovered: fields["recovered"] as? Bool ?? false)
  case "snapshot":
    let items = fields["items"] as? [[String: Any]] ?? []
    return .snapshot(topic: topic, offset: number("offset"), items: items.map { ($0["o"] as? NSNumber)?.uint64Value ?? 0 })
  case "price": return .message(topic: topic, o: number("o"), p: number("p"), skipped: number("skipped"))
  default: return nil
  }
}

private struct World {
  var dice: Dice
  let seed: UInt64
  var now: Int64 = 1_000
  let rules: QueueRules
  var topics: [NaiveTopic] = []
  var peers: [Peer] = []
  let encoder = FrameEncoder(compressionThreshold: 200)
  var past = Books()

  init(_ seed: UInt64) {
    self.seed = seed
    dice = Dice(seed)
    let policies = [SlowPolicy.dropOldest, .conflate, .disconnect]
    rules = QueueRules(
      policy: policies[Int(seed % 3)], maxMessages: [1, 5, 40, 1000][dice.roll(4)], maxBytes: [1, 3000, 1 << 20][dice.roll(3)])
    for index in 0..<4 {
      let info = makeInfo("t\"\(index)") { settings in
        settings.history = [0, 3, 30, 300][dice.roll(4)]
        settings.historyBytes = [700, 1 << 20][dice.roll(2)]
        settings.historyAge = [0, 50][dice.roll(2)]
        settings.latest = dice.roll(2) == 0
        if index != 1 { settings.conflate = makePath("symbol") }
        if index == 2 { settings.flush = 5 }
      }
      topics.append(NaiveTopic(Topic(info, epoch: Array("e\(index)"), seed: seed, now: now)))
    }
    for _ in 0..<3 { peers.append(Peer(rules, compressed: dice.roll(2) == 0)) }
  }

  mutating func publish() {
    let topic = topics[dice.roll(topics.count)]
    let keys = [2, 8, 40][dice.roll(3)]
    let key: String? = dice.roll(6) == 0 ? nil : "K\(dice.roll(keys))"
    let pad = String(repeating: "x", count: dice.roll(10) == 0 ? dice.roll(900) : dice.roll(20))
    let symbol = key.map { "\"symbol\":\"\($0)\"," } ?? ""
    let payload = Array("{\"type\":\"price\",\(symbol)\"pad\":\"\(pad)\"}")
    let isExplicit = topic.topic.info.settings.conflate == nil
    guard case .success(let made) = publication(topic.topic.info, payload, key: isExplicit ? key : nil) else {
      Issue.record("seed \(seed): not made")
      return
    }
    // The last topic has the offsets of another order.
    let isSparse = topic === topics[3]
    let offset = topic.end + 1 + UInt64(isSparse ? dice.roll(5) : 0)
    let verdict = topic.topic.append(made, offset: isSparse ? offset : nil, now: now)
    #expect(verdict == .appended(offset: offset, endsStale: false), "seed \(seed)")
    topic.all.append(
      NaiveTopic.Message(offset: offset, key: key, size: payload.count + (key?.utf8.count ?? 0), time: now))
    topic.trim(now)
  }

  func item(_ topic: NaiveTopic, _ index: Int, _ payloadSize: Int) -> NaiveQueue.Item {
    NaiveQueue.Item(
      topic: topic.name, offset: topic.all[index].offset, key: topic.all[index].key, cost: payloadSize + PeerQueue.overhead,
      previous: 0, skipped: 0, conflates: topic.topic.info.conflates)
  }

  func payloadSize(_ topic: NaiveTopic, _ index: Int) -> Int {
    topic.all[index].size - (topic.all[index].key?.utf8.count ?? 0)
  }

  mutating func read(_ topic: NaiveTopic, _ reader: Int) {
    let expected = topic.news(reader)
    var deliveries: [Delivery] = []
    topic.topic.read(reader, into: &deliveries, now: now)
    #expect(deliveries.map(\.offset) == expected.map { topic.all[$0].offset }, "seed \(seed)")
    if topic.read[reader] != nil { topic.read[reader] = topic.all.count }
    topic.trim(now)
    if reader != 0 { return }
    let run = dice.roll(2) == 0 ? DeliveryRun(deliveries, of: topic.topic.info) : nil
    for peer in peers {
      guard let subscription = peer.subscriptions[topic.name] else { continue }
      if let run, run.isNext(for: subscription, peer.queue) {
        for index in expected {
          peer.model.offer(item(topic, index, payloadSize(topic, index)), topic.offsets, limited: false)
        }
        writeAtOnce(peer, run, subscription)
        continue
      }
      for (place, delivery) in deliveries.enumerated() {
        let before = (peer.model.books.dropped, peer.model.conflatesAll)
        let verdict = peer.queue.offer(delivery, subscription)
        peer.model.offer(
          item(topic, expected[place], payloadSize(topic, expected[place])), topic.offsets, limited: true)
        let wanted: Offer =
          peer.model.isOverflowed
          ? .disconnect
          : peer.model.books.dropped > before.0 ? .dropped : peer.model.conflatesAll && !before.1 ? .conflated : .queued
        // One that the subscription has had is queued in name only.
        #expect(
          verdict == wanted || verdict == .queued && peer.model.isOverflowed
            || verdict == .conflated && wanted == .queued && peer.queue.rules.policy == .conflate, "seed \(seed)")
      }
    }
  }

  mutating func subscribe(_ peer: Peer, _ topic: NaiveTopic) {
    if peer.subscriptions[topic.name] != nil || peer.queue.isOverflowed { return }
    topic.topic.attach(0)
    if topic.read[0] == nil { topic.read[0] = topic.all.count }
    var wish = SubscribeWish()
    wish.compressed = peer.compressed
    wish.most = peer.queue.resumeRoom
    let choice = dice.roll(8)
    if choice < 4, let last = peer.last[topic.name] { wish.since = ResumePoint(epoch: topic.topic.epoch, offset: last) }
    if choice == 4 { wish.since = ResumePoint(epoch: Array("other"), offset: 3) }
    if choice == 5 { wish.since = ResumePoint(epoch: topic.topic.epoch, offset: UInt64(dice.roll(60))) }
    if dice.roll(3) == 0 { wish.history = 1 + dice.roll(8) }
    topic.trim(now)
    let cut = topic.topic.subscribe(wish, now: now)
    let subscription = peer.queue.subscribe(topic.topic.info, .pulse, at: cut.position)
    peer.subscriptions[topic.name] = subscription
    peer.queue.control(.text(HubMessage.subscribed(cut, id: [])))
    if let gap = cut.gap { peer.queue.control(.text(HubMessage.gap(cut.topic, gap))) }
    if let frame = cut.snapshotFrame(encoder) {
      peer.queue.control(frame)
      topic.topic.keep(frame, of: cut)
    }
    for delivery in cut.deliveries { peer.queue.resume(delivery, subscription) }
    expectCut(peer, topic, wish)
  }

  private mutating func expectCut(_ peer: Peer, _ topic: NaiveTopic, _ wish: SubscribeWish) {
    let held = Array(topic.forgotten..<topic.all.count)
    var recovered: [Int]?
    var gap: (UInt64, UInt64, String)?
    if let since = wish.since {
      let isKnown = since.offset == 0 || topic.offsets.contains(since.offset)
      let after = topic.all.indices.filter { topic.all[$0].offset > since.offset }
      if since.epoch != topic.topic.epoch {
        gap = (0, topic.end, "hub_restart")
      } else if since.offset > topic.end {
        gap = (0, topic.end, "history")
      } else if isKnown, after.isEmpty || after[0] >= topic.forgotten {
        if after.count <= wish.most { recovered = after } else { gap = (since.offset + 1, topic.end, "slow") }
      } else {
        gap = (since.offset + 1, topic.end, "history")
      }
    }
    var items: [UInt64]?
    if recovered == nil {
      if wish.history > 0 {
        let last = held.suffix(wish.history)
        items = last.map { topic.all[$0].offset }
        if let first = last.first, let (from, _, cause) = gap {
          let before = first == 0 ? 0 : topic.all[first - 1].offset
          gap = from > before ? nil : (from, before, cause)
        }
      } else if topic.topic.info.settings.latest {
        items = topic.latest()
      }
    }
    peer.model.control.append(.subscribed(topic: topic.name, offset: topic.end, recovered: recovered != nil))
    if let gap { peer.model.control.append(.gap(topic: topic.name, from: gap.0, to: gap.1, cause: gap.2)) }
    if let items { peer.model.control.append(.snapshot(topic: topic.name, offset: topic.end, items: items)) }
    let start = recovered == nil ? topic.end : wish.since?.offset ?? topic.end
    peer.model.places[topic.name] = NaiveQueue.Place(offset: start, count: 0)
    peer.starts[topic.name, default: []].append(start)
    for index in recovered ?? [] {
      peer.model.offer(item(topic, index, payloadSize(topic, index)), topic.offsets, limited: false)
    }
  }

  mutating func unsubscribe(_ peer: Peer, _ topic: NaiveTopic) {
    guard let subscription = peer.subscriptions.removeValue(forKey: topic.name) else { return }
    peer.queue.unsubscribe(subscription)
    peer.model.unsubscribe(topic.name)
  }

  /// What was read goes out without a way through the queue, all of it or as much as fits.
  private mutating func writeAtOnce(_ peer: Peer, _ run: DeliveryRun, _ subscription: Subscription) {
    let frame = run.frame(subscription, peer.queue, encoder)
    let size = dice.roll(3) == 0 ? dice.roll(frame.count) : frame.count
    if size < frame.count {
      run.wasCut(subscription, peer.queue, encoder)
      #expect(peer.queue.outgoingBytes == frame.count, "seed \(seed)")
      return write(peer, size)
    }
    let moved = peer.model.fill([])
    peer.expected += moved
    check(peer, withExtendedLifetime(frame) { peer.decoder.read(frame.bytes) })
    run.wasWritten(subscription, peer.queue)
    #expect(!peer.queue.hasWork && peer.model.outgoing.count == moved.count, "seed \(seed)")
    peer.model.outgoing = []
    peer.model.books.written += UInt64(moved.count)
  }

  /// Moves frames out and writes some bytes of them.
  mutating func write(_ peer: Peer, _ most: Int) {
    peer.queue.fill(encoder)
    let order = sequence(first: peer.queue.firstSubscription) { $0?.next }.prefix { $0 != nil }.map { text($0!.topic.name) }
    let moved = peer.model.fill(order)
    #expect(peer.queue.outgoingCount == peer.model.outgoing.count, "seed \(seed)")
    peer.expected += moved
    for index in peer.sizes.count..<max(peer.sizes.count, peer.queue.outgoingCount) {
      peer.sizes.append(peer.queue.outgoing(index).count)
    }
    var left = min(most, peer.queue.outgoingBytes)
    while left > 0 {
      let bytes = peer.queue.outgoing(0)
      let part = min(left, bytes.count)
      check(peer, peer.decoder.read(UnsafeRawBufferPointer(rebasing: bytes[..<part])))
      peer.queue.advance(part)
      peer.sizes[0] -= part
      if peer.sizes[0] == 0 {
        peer.sizes.removeFirst()
        if case .message = peer.model.outgoing.removeFirst() { peer.model.books.written += 1 }
      }
      left -= part
    }
  }

  private func check(_ peer: Peer, _ seen: [Decoder.Seen]) {
    for one in seen {
      guard case .text(let bytes) = one, let sight = sight(bytes) else {
        Issue.record("seed \(seed): \(one)")
        return
      }
      #expect(!peer.expected.isEmpty && sight == peer.expected[0], "seed \(seed)")
      if !peer.expected.isEmpty { peer.expected.removeFirst() }
      follow(peer, sight)
    }
  }

  /// By itself, without the model of the queue.
  private func follow(_ peer: Peer, _ sight: Sight) {
    switch sight {
    case .message(let name, let o, let p, let skipped):
      // What was on its way when a subscription ended comes before the next `subscribed`.
      guard let topic = topics.first(where: { $0.name == name }), peer.isInStep(name) else { return }
      #expect(p == peer.last[name] && o > p, "seed \(seed)")
      let between = topic.all.indices.filter { topic.all[$0].offset > p && topic.all[$0].offset < o }
      #expect(skipped == UInt64(between.count), "seed \(seed)")
      for index in between {
        let key = topic.all[index].key
        #expect(key != nil && topic.all[(index + 1)...].contains { $0.key == key }, "seed \(seed): lost \(index)")
      }
      peer.last[name] = o
    case .gap(let name, let from, let to, "slow"):
      // A cut that recovers too much says slow as well, and the client is at the end by then.
      guard peer.isInStep(name), let last = peer.last[name], to > last else { return }
      #expect(from == last + 1, "seed \(seed)")
      peer.last[name] = to
    case .subscribed(let name, _, _):
      peer.last[name] = peer.starts[name]?.removeFirst()
    default: break
    }
  }

  mutating func step() {
    let peer = peers[dice.roll(peers.count)]
    let topic = topics[dice.roll(topics.count)]
    switch dice.roll(40) {
    case 0..<16: for _ in 0...dice.roll(6) { publish() }
    case 16..<25: read(topic, 0)
    case 25..<31: write(peer, dice.roll(4) == 0 ? .max : dice.roll(1500))
    case 31..<34: subscribe(peer, topic)
    case 34: if dice.roll(4) == 0 { unsubscribe(peer, topic) }
    case 35:
      if dice.roll(6) == 0 || peer.queue.isOverflowed {
        past.add(peer.queue)
        peer.renew(rules)
      }
    case 36: now += Int64(dice.roll(20))
    case 37: secondReader(topic)
    default: peer.queue.shrink()
    }
    balance()
  }

  private mutating func secondReader(_ topic: NaiveTopic) {
    switch dice.roll(3) {
    case 0:
      topic.topic.attach(1)
      if topic.read[1] == nil { topic.read[1] = topic.all.count }
    case 1:
      topic.topic.detach(1, now: now)
      if topic.read[1] != nil {
        topic.read[1] = nil
        topic.trim(now)
      }
    default: read(topic, 1)
    }
  }

  private func balance() {
    var total = past
    for peer in peers {
      let books = peer.queue.books
      #expect(books.queued == UInt64(peer.queue.queuedMessages), "seed \(seed)")
      #expect(books == peer.model.books, "seed \(seed)")
      total.add(books)
    }
    #expect(rules.books == total, "seed \(seed)")
    for topic in topics {
      #expect(topic.topic.unreadBytes == topic.unread, "seed \(seed)")
      #expect(topic.topic.end.offset == topic.end, "seed \(seed)")
    }
  }

  mutating func finish() {
    for topic in topics { read(topic, 0) }
    for peer in peers {
      write(peer, .max)
      while peer.queue.hasWork { write(peer, .max) }
      #expect(peer.expected.isEmpty, "seed \(seed): \(peer.expected)")
      if peer.queue.isOverflowed { continue }
      for (name, _) in peer.subscriptions {
        // All that was published was delivered, is named by a gap, or was superseded.
        let topic = topics.first { $0.name == name }
        #expect(peer.last[name] == topic?.end, "seed \(seed)")
      }
    }
    balance()
  }
}

extension Books {
  fileprivate mutating func add(_ other: Books) {
    offered += other.offered
    written += other.written
    conflated += other.conflated
    dropped += other.dropped
  }

  /// As it will be when the queue has ended.
  fileprivate mutating func add(_ queue: PeerQueue) {
    add(queue.books)
    dropped += UInt64(queue.queuedMessages)
  }
}

@Suite struct ModelTests {
  /// Random publishing, reading, subscribing, resuming and slow writing: every frame is the one that the model expects, and
  /// a client that checks offsets alone finds nothing missing, nothing double and no gap that is too large.
  @Test(arguments: 0..<48) func queuesAndTopicsAgreeWithTheModel(_ number: Int) {
    var world = World(UInt64(number))
    for _ in 0..<500 { world.step() }
    world.finish()
  }
}
