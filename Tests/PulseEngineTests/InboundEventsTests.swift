// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import Testing

@testable import PulseEngine

/// Events between the messages, and what tells of those that found no room.
@Suite struct InboundEventsTests {
  private static let limit = 16_000

  private func client(_ policy: ReceiveQueuePolicy) -> FakeClient {
    FakeClient { rules in
      rules.policy = policy
      rules.limit = InboundEventsTests.limit
      rules.emitsEvents = true
    }
  }

  private func missed(_ count: Int) -> String { #"{"event":"events_dropped","events":\#(count)}"# }

  @Test func nobodyWantsEvents() {
    let client = FakeClient { $0.limit = 0 }
    client.emit(event("e"))
    #expect(client.inbound.isEmpty && client.inbound.counts.eventsDropped == 0 && !client.inbound.hasNews)
    client.doing { $0.emitMissed() }
    #expect(client.inbound.isEmpty && client.done.isEmpty)
  }

  /// Ordinary events have the room of messages; one that is kept has a mebibyte more.
  @Test(arguments: [ReceiveQueuePolicy.pause, .disconnect])
  func keptOnesHaveRoomBeyondTheLimit(policy: ReceiveQueuePolicy) {
    let client = client(policy)
    let inbound = client.inbound
    for number in 1...159 { client.offer(message(number)) }
    client.emit(event("fits"), isKept: false)
    client.offer(message(160))
    #expect(inbound.queuedBytes >= InboundEventsTests.limit && inbound.counts.eventsDropped == 0)
    client.emit(event("common"), isKept: false)
    client.emit(event("common"), isKept: false)
    #expect(inbound.counts.eventsDropped == 2 && inbound.hasNews && inbound.queuedCount == 161)
    // What has found no room is told before the next that does.
    client.emit(event("kept"))
    #expect(!inbound.hasNews && inbound.queuedCount == 163)
    var kept = 1
    while inbound.hasRoomForLosses {
      client.emit(event("kept", size: 10_000))
      kept += 1
    }
    #expect(inbound.queuedBytes >= InboundEventsTests.limit + MessageQueue.keptBytes && kept > 100)
    let count = inbound.queuedCount
    client.emit(event("kept"))
    #expect(inbound.queuedCount == count && inbound.counts.eventsDropped == 3 && inbound.hasNews)
    let events = client.takeAll().filter(\.isEvent).map(\.text)
    #expect(events[..<3] == [#"{"event":"fits"}"#, missed(2), #"{"event":"kept"}"#] && events.count == kept + 2)
    // There is room again, and nothing that would tell it.
    client.doing { $0.tellNews() }
    client.doing { $0.tellNews() }
    #expect(client.takeTexts() == [missed(1)] && !inbound.hasNews)
  }

  /// The bounds are the limit itself, and not one byte above.
  @Test func aFullQueueIsOneWithTheLimit() {
    let client = client(.pause)
    for number in 1...160 { client.offer(message(number)) }
    client.emit(event("e"), isKept: false)
    #expect(client.inbound.queuedBytes == InboundEventsTests.limit && client.inbound.counts.eventsDropped == 1)
    _ = client.take(1)
    client.emit(event("e"), isKept: false)
    #expect(client.takeTexts()[159...] == [missed(1), #"{"event":"e"}"#])
  }

  /// The tail's messages take the same room.
  @Test func theTailTakesRoomToo() {
    let client = client(.pause)
    for number in 1...160 { client.offer(message(number)) }
    client.inbound.beginFront()
    client.emit(event("e"), isKept: false)
    #expect(client.inbound.counts.eventsDropped == 1 && client.inbound.queue.isEmpty)
  }

  /// Messages give way to events, and events that come with every message to those that are kept.
  @Test func eventsGiveWayToKeptOnes() {
    let client = client(.dropOldest)
    let inbound = client.inbound
    client.emit(event("kept"))
    for _ in 0..<400 { client.emit(event("common", size: 60), isKept: false) }
    #expect(inbound.counts.eventsDropped > 200 && inbound.hasNews && inbound.queue.droppedCount == 0)
    client.doing { $0.tellNews() }
    // The event that tells it has pushed out another one.
    let first = client.takeAll()
    #expect(first.first?.text == #"{"event":"kept"}"# && inbound.hasNews)
    client.doing { $0.emitMissed() }
    let events = first + client.takeAll()
    let told = events.map(\.text).filter { $0.contains("events_dropped") }
    let common = events.filter { $0.text.contains("common") }.count
    #expect(common + Int(inbound.counts.eventsDropped) == 400 && !inbound.hasNews)
    #expect(told.compactMap { Int($0.filter(\.isNumber)) }.reduce(0, +) == Int(inbound.counts.eventsDropped))
    #expect(told.count >= 2 && told.contains(missed(1)))
  }

  /// They fill the memory no more than others do.
  @Test func keptOnesAreBoundedToo() {
    let client = client(.dropOldest)
    let inbound = client.inbound
    for number in 0..<15_000 { client.emit(event("kept \(number)", size: 100)) }
    #expect(inbound.queuedBytes <= InboundEventsTests.limit + MessageQueue.keptBytes + 200)
    let seen = client.takeAll()
    client.doing { $0.tellNews() }
    let texts = (seen + client.takeAll()).map(\.text)
    let told = texts.filter { $0.contains("events_dropped") }.compactMap { Int($0.filter(\.isNumber)) }
    let kept = texts.filter { $0.contains("kept") }.compactMap { Int($0.filter(\.isNumber)) }
    // The newest are there. Those that told of others went with them, and are counted, too.
    #expect(kept.count > 2000 && kept.count < 15_000 && kept == Array(15_000 - kept.count..<15_000))
    let dropped = Int(inbound.counts.eventsDropped)
    #expect(dropped > 15_000 - kept.count && told.reduce(0, +) <= dropped && told.count > 2000 && !inbound.hasNews)
    // What they took is given back.
    #expect(inbound.queue.ownedBytes <= 2 * InboundEventsTests.limit)
  }

  @Test func dropsAreToldTenTimesASecondAtMost() {
    let client = client(.dropOldest)
    var told = 0
    for step in 0..<2000 {
      client.advance(to: Int64(step) * millisecond)
      client.offer(message(step))
      told += client.log.count > told ? 1 : 0
      #expect(client.log.count == told)
    }
    // The first after 160 messages.
    #expect((18...19).contains(told))
    client.advance(to: 3 * second)
    let seen = client.takeAll()
    #expect(client.inbound.queue.droppedCount + UInt64(seen.filter { !$0.isEvent }.count) == 2000)
    #expect(!client.inbound.hasNews || client.deadlines[.losses] != nil)
  }

  @Test func discardedOnesAreToldOnce() {
    let client = client(.pause)
    client.doing { $0.announceDiscarded("began to close") }
    #expect(client.done.isEmpty && client.inbound.isEmpty)
    for _ in 0..<3 { client.doing { $0.discard() } }
    client.doing { $0.announceDiscarded("began to close") }
    client.doing { $0.announceDiscarded("began to close") }
    #expect(client.log == ["WARNING 3 messages discarded: they arrived after this side began to close"])
    client.doing { $0.discard() }
    client.doing { $0.announceDiscarded("left") }
    #expect(client.inbound.counts.discarded == 4 && client.inbound.counts.messages == 0)
    #expect(
      client.takeTexts() == [
        #"{"event":"discarded","messages":3,"cause":"they arrived after this side began to close"}"#,
        #"{"event":"discarded","messages":1,"cause":"they arrived after this side left"}"#,
      ])
  }
}
