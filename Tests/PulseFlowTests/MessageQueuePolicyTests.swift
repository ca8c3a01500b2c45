// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

private struct Item: Equatable {
  var sequence: UInt64
  var kind: UInt32
  var key: Int
  var payload: [UInt8]
  var size: Int { payload.count + MessageQueue.overhead }
}

private enum Policy: CaseIterable {
  case dropOldest, conflate
}

/// What the queue does, on an array.
private struct Model {
  var items: [Item] = []
  var isConflating = false
  var dropped = 0
  var droppedEvents = 0
  var conflated = 0
  var lost = 0
  var conflatedBytes = 0
  var bytes: Int { items.reduce(0) { $0 + $1.size } }

  mutating func append(_ item: Item) {
    items.append(item)
    if isConflating { conflate(item.key, before: items.count - 1) }
  }

  mutating func conflate(_ key: Int, before end: Int) {
    guard key >= 0, let index = items[..<end].firstIndex(where: { $0.key == key }) else { return }
    conflated += 1
    conflatedBytes += items[index].payload.count
    items.remove(at: index)
  }

  mutating func fit(_ limit: Int, _ policy: Policy) {
    if bytes < limit { return }
    if policy == .conflate && !isConflating {
      isConflating = true
      var index = 0
      while index < items.count {
        let key = items[index].key
        if key >= 0 && items[(index + 1)...].contains(where: { $0.key == key }) {
          conflate(key, before: index + 1)
        } else {
          index += 1
        }
      }
    }
    while bytes > limit && items.count > 1 {
      let message = items.dropLast().firstIndex { $0.kind != MessageQueue.event }
      // One message alone may exceed the limit; that is no reason to lose the events before it.
      if message == nil, let last = items.last, last.kind != MessageQueue.event, bytes - last.payload.count <= limit {
        return
      }
      let index = message ?? 0
      if items[index].kind == MessageQueue.event {
        droppedEvents += 1
      } else {
        dropped += 1
        lost += items[index].payload.count
      }
      items.remove(at: index)
    }
  }

  mutating func take(_ count: Int) -> [Item] {
    let taken = Array(items.prefix(count))
    items.removeFirst(count)
    if items.isEmpty { isConflating = false }
    return taken
  }
}

private func items(_ slice: MessageSlice) -> [Item] {
  (0..<slice.count).map {
    let record = slice.records[$0]
    return Item(sequence: record.sequence, kind: record.kind, key: -1, payload: Array(record.payload))
  }
}

private func plain(_ items: [Item]) -> [Item] {
  items.map { Item(sequence: $0.sequence, kind: $0.kind, key: -1, payload: $0.payload) }
}

private func expectWithoutGaps(_ slice: MessageSlice) {
  var place = slice.records[0].data
  for index in 0..<slice.count {
    #expect(slice.records[index].data == place && slice.records[index].flags == 3)
    place += slice.records[index].length
  }
}

@Suite struct MessageQueuePolicyTests {
  private func append(_ queue: MessageQueue, _ item: Item, expected: Int) -> UInt64 {
    withExact(item.payload) {
      queue.append(kind: item.kind, flags: 3, payload: $0, receivedAt: 7, expected: expected, key: item.key)
    }
  }

  @Test(arguments: Policy.allCases, 1...8)
  fileprivate func agreesWithAnArray(policy: Policy, seed: Int) {
    var random = SeededRandom(UInt64(seed))
    let queue = MessageQueue()
    var model = Model()
    var held: [(MessageSlice, [Item])] = []
    var highest = 0
    var limit = 20_000
    for round in 0..<4000 {
      if round % 500 == 0 { limit = 2000 + random.below(60_000) }
      switch random.below(6) {
      case 0, 1, 2:
        queue.beginChunk()
        for _ in 0...random.below(30) {
          let size = random.below(12) == 0 ? random.below(9000) : random.below(200)
          var item = Item(
            sequence: 0, kind: random.below(9) == 0 ? MessageQueue.event : UInt32(1 + random.below(2)), key: -1,
            payload: [UInt8](repeating: UInt8(truncatingIfNeeded: random.next()), count: size))
          if item.kind != MessageQueue.event && random.below(5) > 0 {
            item.key = random.below(random.below(2) == 0 ? 5 : 200)
          }
          item.sequence = append(queue, item, expected: random.below(100_000))
          model.append(item)
          highest = max(highest, queue.bytes)
          if policy == .conflate { queue.conflate(toFit: limit) } else { queue.dropOldest(toFit: limit) }
          model.fit(limit, policy)
        }
      case 3, 4:
        if let slice = queue.take(1 + random.below(random.below(3) == 0 ? 1000 : 20)) {
          let expected = plain(model.take(slice.count))
          #expect(items(slice) == expected)
          expectWithoutGaps(slice)
          if random.below(2) == 0 { queue.giveBack(slice.segment) } else { held.append((slice, expected)) }
        } else {
          #expect(model.items.isEmpty)
        }
      default:
        if let (slice, expected) = held.popLast() {
          #expect(items(slice) == expected)
          queue.giveBack(slice.segment)
        }
        if random.below(10) == 0 { queue.trim() }
        if random.below(3) == 0 { queue.closeHoles() }
      }
      #expect(queue.count == model.items.count && queue.bytes == model.bytes)
      #expect(Int(queue.droppedCount) == model.dropped && Int(queue.droppedBytes) == model.lost)
      #expect(Int(queue.conflatedCount) == model.conflated && Int(queue.conflatedBytes) == model.conflatedBytes)
      #expect(Int(queue.droppedEvents) == model.droppedEvents)
      #expect(queue.highestBytes >= highest && queue.highestCount >= queue.count)
    }
    #expect(model.dropped > 100 && (policy == .dropOldest || model.conflated > 100))
    while let slice = queue.take(100) { #expect(items(slice) == plain(model.take(slice.count))) }
    #expect(model.items.isEmpty && queue.isEmpty && queue.holes == 0 && queue.holeBytes == 0)
  }

  @Test(arguments: Policy.allCases, [4096, 20_000, 300_000])
  fileprivate func heldMemoryIsBounded(policy: Policy, limit: Int) {
    var random = SeededRandom(UInt64(limit))
    for shape in 0..<6 {
      let queue = MessageQueue()
      queue.bound(to: limit)
      var largest = 0
      var last: UInt64 = 0
      var appended = 0
      var taken = 0
      var isFilled = false
      for round in 0..<20_000 {
        let size =
          switch shape {
          case 0: 0
          case 1: 100
          case 2: random.below(limit / 3)
          case 3: round % 1000 == 0 ? limit * 3 : random.below(50)
          case 4: random.below(300)
          default: 60
          }
        let isEvent = shape == 4 && (round % 50 == 0 || round > 15_000)
        let key = shape == 5 ? round % 10 : isEvent ? -1 : random.below(1000) - 1
        let item = Item(
          sequence: 0, kind: isEvent ? 256 : 1, key: key, payload: [UInt8](repeating: 1, count: min(size, 2 << 20)))
        largest = max(largest, item.payload.count)
        _ = append(queue, item, expected: 100_000)
        appended += 1
        if policy == .conflate { queue.conflate(toFit: limit) } else { queue.dropOldest(toFit: limit) }
        #expect(queue.bytes <= limit || queue.count == 1)
        // The largest message has a segment of its own, with records.
        if queue.ownedBytes > 2 * limit + 2 * largest + 4096 {
          Issue.record("\(queue.ownedBytes) held, shape \(shape)")
          return
        }
        if shape == 1 && policy == .dropOldest && queue.droppedCount > 0 {
          // Small messages fill most of the limit.
          isFilled = true
          #expect(queue.bytes > limit / 2, "\(queue.bytes)")
        }
        if shape != 1 && random.below(40) == 0, let slice = queue.take(random.below(30) + 1) {
          for index in 0..<slice.count {
            #expect(slice.records[index].sequence > last)
            last = slice.records[index].sequence
          }
          taken += slice.count
          queue.giveBack(slice.segment)
        }
      }
      #expect(shape != 1 || policy != .dropOldest || isFilled)
      let gone = Int(queue.droppedCount + queue.droppedEvents + queue.conflatedCount)
      #expect(appended == taken + gone + queue.count)
    }
  }

  @Test func theLatestOfEachKeyInOrderOfArrival() {
    let queue = MessageQueue()
    for (key, text) in [(0, "a1"), (1, "b1"), (-1, "x"), (0, "a2"), (2, "c1"), (1, "b2")] {
      _ = append(queue, Item(sequence: 0, kind: 1, key: key, payload: bytes(text)), expected: 0)
    }
    queue.conflate(toFit: 6 * (MessageQueue.overhead + 2))
    #expect(queue.conflatedCount == 0)
    queue.conflate(toFit: 4 * (MessageQueue.overhead + 2))
    _ = append(queue, Item(sequence: 0, kind: 1, key: 2, payload: bytes("c2")), expected: 0)
    let slice = queue.take(10)!
    #expect(items(slice).map { String(decoding: $0.payload, as: UTF8.self) } == ["x", "a2", "b2", "c2"])
    #expect(items(slice).map(\.sequence) == [3, 4, 6, 7])
    expectWithoutGaps(slice)
    // An empty queue is not full any more.
    for _ in 0..<2 { _ = append(queue, Item(sequence: 0, kind: 1, key: 0, payload: []), expected: 0) }
    #expect(queue.count == 2)
  }

  @Test func itAllocatesNothingInTheSteadyState() {
    for policy in Policy.allCases {
      let queue = MessageQueue()
      queue.bound(to: 200_000)
      var addresses: Set<UnsafeRawPointer> = []
      for round in 0..<50_000 {
        let item = Item(sequence: 0, kind: 1, key: round % 50, payload: [UInt8](repeating: 3, count: 128))
        _ = append(queue, item, expected: 6400)
        if policy == .conflate { queue.conflate(toFit: 200_000) } else { queue.dropOldest(toFit: 200_000) }
        addresses.insert(UnsafeRawPointer(queue.recordCursor - 1))
      }
      // What fits into the memory that is held, not a place for each message.
      #expect(addresses.count < 10_000, "\(addresses.count)")
    }
  }

  private func appendEvent(_ queue: MessageQueue, _ size: Int, isKept: Bool) {
    queue.append(event: [UInt8](repeating: 7, count: size), isKept: isKept, receivedAt: 7)
  }

  /// A flood of other events does not take along what tells of states and losses.
  @Test(arguments: Policy.allCases)
  fileprivate func keptEventsGoLast(policy: Policy) {
    let queue = MessageQueue()
    queue.bound(to: 4000)
    var kept = 0
    for round in 0..<2000 {
      let isKept = round % 50 == 3
      if isKept { kept += 1 }
      if round % 3 == 0 {
        _ = append(queue, Item(sequence: 0, kind: 1, key: round % 7, payload: [UInt8](repeating: 1, count: 60)), expected: 60)
      }
      appendEvent(queue, isKept ? 80 : 50, isKept: isKept)
      if policy == .conflate { queue.conflate(toFit: 4000) } else { queue.dropOldest(toFit: 4000) }
    }
    var seen = 0
    while let slice = queue.take(100) {
      for index in 0..<slice.count where slice.records[index].length == 80 {
        seen += 1
        #expect(slice.records[index].flags == 0 && slice.records[index].kind == MessageQueue.event)
      }
    }
    #expect(seen == kept && queue.keptCount == 0 && queue.droppedEvents > 1000)
  }

  @Test func keptEventsAreBoundedToo() {
    let queue = MessageQueue()
    queue.bound(to: 4000)
    for _ in 0..<20_000 {
      appendEvent(queue, 80, isKept: true)
      queue.dropOldest(toFit: 4000)
      #expect(queue.bytes <= 4000 + MessageQueue.keptBytes + 120)
    }
    #expect(queue.droppedEvents > 5000 && queue.keptCount == queue.count)
  }

  @Test func oneQueueFollowsAnother() {
    let first = MessageQueue()
    let second = MessageQueue()
    for size in [10, 20, 30] {
      _ = append(first, Item(sequence: 0, kind: 1, key: -1, payload: [UInt8](repeating: 1, count: size)), expected: size)
    }
    for size in [1, 9000, 2] {
      _ = append(second, Item(sequence: 0, kind: 1, key: -1, payload: [UInt8](repeating: 2, count: size)), expected: size)
    }
    while first.take(2) != nil {}
    second.follow(first)
    _ = append(second, Item(sequence: 0, kind: 1, key: -1, payload: [3]), expected: 1)
    var sequences: [UInt64] = []
    while let slice = second.take(10) { sequences += items(slice).map(\.sequence) }
    #expect(sequences == [4, 5, 6, 7])
  }
}
