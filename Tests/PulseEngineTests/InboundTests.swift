// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// The queue with its policies, and a tail before it.
@Suite struct InboundTests {
  /// 160 of the messages that `message` makes.
  private static let limit = 16_000

  private func client(_ policy: ReceiveQueuePolicy, emitsEvents: Bool = true) throws -> FakeClient {
    try FakeClient { rules in
      rules.policy = policy
      rules.limit = InboundTests.limit
      rules.emitsEvents = emitsEvents
      rules.keyPath = [try jsonPath("k")]
    }
  }

  private func total(_ events: [Seen]) -> Int {
    events.reduce(0) { sum, event in
      let parts = event.text.split(separator: "\"messages\":")
      return sum + (parts.count == 2 ? Int(parts[1].prefix { $0.isNumber }) ?? 0 : 0)
    }
  }

  @Test func messagesAndEventsInOrder() {
    let client = FakeClient { $0.emitsEvents = true }
    #expect(client.inbound.isEmpty && client.take(10) == nil && client.inbound.queuedBytes == 0)
    client.now = 5
    client.offer("one", flags: MessageCode.isASCII)
    client.now = 6
    client.emit(event("e"))
    client.offer("\u{1}\u{2}", kind: MessageCode.binary)
    let inbound = client.inbound
    #expect(!inbound.isEmpty && inbound.queuedCount == 3 && inbound.queuedBytes == 3 + 13 + 2 + 3 * MessageQueue.overhead)
    #expect(
      client.takeAll() == [
        Seen(flags: MessageCode.isASCII, receivedAt: FakeClient.epoch + 5, sequence: 1, text: "one"),
        Seen(kind: MessageCode.event, receivedAt: FakeClient.epoch + 6, sequence: 2, text: #"{"event":"e"}"#),
        Seen(kind: MessageCode.binary, receivedAt: FakeClient.epoch + 6, sequence: 3, text: "\u{1}\u{2}"),
      ])
    // An event is no message, and wakes only those who wait, which is with an empty queue.
    #expect(inbound.counts.messages == 2 && inbound.counts.payloadBytes == 5)
    #expect(client.wakes == 0 && inbound.isEmpty)
    client.emit(event("e"))
    #expect(client.wakes == 1)
  }

  @Test func itTakesNoMoreThanItIsAskedFor() {
    let client = FakeClient()
    for text in ["1", "2", "3"] { client.offer(text) }
    #expect(client.take(2)?.map(\.text) == ["1", "2"])
    #expect(client.take(0) == nil && client.take(-1) == nil)
    #expect(client.take(2)?.map(\.text) == ["3"])
  }

  /// Its owner may then copy to the queue itself.
  @Test func onlyACopyIsToBeDone() throws {
    #expect(!FakeClient().inbound.handles)
    #expect(!FakeClient { $0.policy = .disconnect }.inbound.handles)
    #expect(FakeClient { $0.policy = .dropOldest }.inbound.handles)
    #expect(FakeClient { $0.policy = .conflate }.inbound.handles)
    #expect(FakeClient { $0.resumes = true }.inbound.handles)
    #expect(try FakeClient { $0.sequencePath = [try jsonPath("n")] }.inbound.handles)
    // Keys alone are for nobody.
    #expect(try !FakeClient { $0.keyPath = [try jsonPath("k")] }.inbound.handles)
  }

  // MARK: Policies

  @Test(arguments: [ReceiveQueuePolicy.pause, .disconnect])
  func nothingIsDropped(policy: ReceiveQueuePolicy) throws {
    let client = try client(policy)
    for number in 1...80 { client.offer(message(number)) }
    #expect(client.inbound.isHalfFree)
    for number in 81...500 { client.offer(message(number)) }
    #expect(!client.inbound.isHalfFree && client.inbound.queuedBytes == 50_000)
    var taken: [Seen] = []
    while !client.inbound.isHalfFree { taken += try #require(client.take(1)) }
    #expect(client.inbound.queuedCount == 80)
    taken += client.takeAll()
    #expect(taken.map(\.text) == (1...500).map { message($0) })
    #expect(client.done.isEmpty && !client.inbound.hasNews)
  }

  @Test func theOldestMakeRoom() throws {
    let client = try client(.dropOldest)
    client.now = 50
    for number in 1...160 { client.offer(message(number)) }
    #expect(client.inbound.queuedBytes == InboundTests.limit && client.done.isEmpty && !client.inbound.hasNews)
    client.offer(message(161))
    // The event took the place of another one, which is told when its time has come.
    let due = 50 + Inbound.announcePause
    #expect(
      client.done == [
        "WARNING the queue of received messages is full: 1 messages dropped (drop_oldest)", "losses at \(due)", "wake",
      ])
    #expect(client.inbound.hasNews && client.inbound.queuedBytes <= InboundTests.limit)
    for number in 162...200 { client.offer(message(number)) }
    #expect(client.log.count == 1 && client.deadlines == [.losses: due])
    client.advance(to: due - 1)
    #expect(client.log.count == 1)
    client.advance(to: due)
    #expect(client.log.count == 2 && client.wakes == 2)
    let seen = client.takeAll()
    let messages = seen.filter { !$0.isEvent }
    #expect(messages.map(\.text) == (201 - messages.count...200).map { message($0) })
    let events = seen.filter(\.isEvent)
    #expect(events.first?.text == #"{"event":"receive_dropped","messages":1,"bytes":60,"cause":"drop_oldest"}"#)
    #expect(events.count == 2 && client.inbound.hasNews)
    // What the last event pushed out waits for its turn again.
    client.advance(to: due + Inbound.announcePause)
    #expect(!client.inbound.hasNews && total(events + client.takeAll()) == 200 - messages.count)
    #expect(client.inbound.queue.droppedCount == UInt64(200 - messages.count))
  }

  @Test func theLatestOfEachKeyStays() throws {
    let client = try client(.conflate)
    let noKey = "no key" + String(repeating: " ", count: 54)
    for number in 1...159 { client.offer(message(number, key: ["a", "b", "c"][number % 3])) }
    #expect(client.inbound.queuedCount == 159 && client.done.isEmpty)
    client.offer(noKey)
    #expect(client.inbound.queuedCount == 5)
    client.offer(message(160, key: "a"))
    // A replaced one makes room by itself, and is told all the same.
    #expect(client.deadlines == [.losses: Inbound.announcePause] && client.inbound.queuedCount == 5)
    client.advance(to: Inbound.announcePause)
    let seen = client.takeAll()
    #expect(
      seen.filter { !$0.isEvent }.map(\.text) == [
        message(157, key: "b"), message(158, key: "c"), noKey, message(160, key: "a"),
      ])
    #expect(
      seen.filter(\.isEvent).map(\.text) == [
        #"{"event":"receive_dropped","messages":156,"bytes":9360,"cause":"conflate"}"#,
        #"{"event":"receive_dropped","messages":1,"bytes":60,"cause":"conflate"}"#,
      ])
    // An empty queue begins anew.
    for number in 1...3 { client.offer(message(number)) }
    #expect(client.takeTexts() == (1...3).map { message($0) } && !client.inbound.hasNews)
  }

  @Test(arguments: [ReceiveQueuePolicy.dropOldest, .conflate])
  func theNewestStaysHoweverLarge(policy: ReceiveQueuePolicy) throws {
    let client = try client(policy, emitsEvents: false)
    for number in 1...10 { client.offer(message(number, key: "\(number)")) }
    let large = String(repeating: "x", count: 5 * InboundTests.limit)
    client.offer(large)
    #expect(client.takeTexts() == [large] && client.inbound.queue.droppedCount == 10)
  }

  @Test func dropsAreLoggedWithoutEvents() throws {
    let client = try client(.dropOldest, emitsEvents: false)
    for number in 1...162 { client.offer(message(number)) }
    #expect(client.inbound.hasNews && client.log.count == 1)
    client.now = Inbound.announcePause
    client.doing { $0.tellNews() }
    #expect(client.log.last == "WARNING the queue of received messages is full: 1 messages dropped (drop_oldest)")
    #expect(client.log.count == 2 && client.wakes == 2 && !client.inbound.hasNews)
    #expect(client.takeTexts() == (3...162).map { message($0) })
  }

  // MARK: The tail

  @Test func whatComesStandsBehindTheTail() throws {
    let client = FakeClient { $0.emitsEvents = true }
    let inbound = client.inbound
    for number in 1...3 { client.offer("tail \(number)") }
    inbound.beginFront()
    client.offer("new 1")
    client.emit(event("e"))
    let front = try #require(inbound.front)
    #expect(inbound.queuedCount == 5 && inbound.queuedBytes == front.bytes + inbound.queue.bytes)
    #expect(client.take(2)?.map(\.text) == ["tail 1", "tail 2"])
    // The connection before still has one.
    Array("tail 4".utf8).withUnsafeBytes {
      _ = front.append(kind: MessageCode.text, flags: 0, payload: $0, receivedAt: 0, expected: 6)
    }
    #expect(client.take(9)?.map(\.sequence) == [3, 4])
    // All is taken, and yet its owner has to say that nothing more comes.
    #expect(client.take(9) == nil && !inbound.isEmpty && inbound.queuedCount == 2)
    #expect(inbound.endFront() == 4 && inbound.endFront() == 0)
    client.offer("new 2")
    let seen = client.takeAll()
    #expect(seen.map(\.text) == ["new 1", #"{"event":"e"}"#, "new 2"] && seen.map(\.sequence) == [5, 6, 7])
    #expect(inbound.isEmpty && inbound.queue.highestCount == 3)
  }

  /// The numbers go on from one tail to the next.
  @Test(arguments: 1...5)
  func numbersGoOn(seed: Int) {
    var random = SeededRandom(UInt64(seed))
    let client = FakeClient()
    let inbound = client.inbound
    var offered = 0
    var taken: [Seen] = []
    var passed: UInt64 = 0
    for _ in 0..<3000 {
      switch random.below(8) {
      case 0..<4:
        for _ in 0...random.below(20) {
          offered += 1
          client.offer("\(offered)")
        }
      case 4 where inbound.front == nil:
        inbound.beginFront()
      case 5 where inbound.front?.isEmpty == true:
        let count = inbound.endFront()
        #expect(count >= passed && count == UInt64(taken.count), "seed \(seed)")
        passed = count
      default:
        taken += client.take(1 + random.below(60)) ?? []
      }
      #expect(taken.count + inbound.queuedCount == offered, "seed \(seed)")
    }
    taken += client.takeAll()
    _ = inbound.endFront()
    taken += client.takeAll()
    #expect(taken.map(\.text) == (1...offered).map { "\($0)" }, "seed \(seed)")
    #expect(taken.map(\.sequence) == (1...offered).map { UInt64($0) } && passed > 0 && inbound.isEmpty, "seed \(seed)")
  }
}
