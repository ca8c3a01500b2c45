// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import Testing

@testable import PulseEngine

/// Notes what it is called with.
private final class NotingTap: MessageTap, @unchecked Sendable {  // one thread
  var calls: [String] = []

  override func take(_ payload: UnsafeRawBufferPointer, receivedAt: Int64) {
    calls.append("\(String(decoding: payload, as: UTF8.self)) at \(receivedAt - FakeClient.epoch)")
  }
  override func missed(_ count: Int64, isOfAny: Bool) { calls.append("missed \(count) of \(isOfAny ? "any" : "one")") }
  override func silenced(_ cause: String) { calls.append(cause) }
}

/// What a message is to the rules.
@Suite struct InboundOfferTests {
  private func client(key: String? = "s", _ change: (Inbound.Rules) throws -> Void = { _ in }) throws -> FakeClient {
    try FakeClient { rules in
      rules.emitsEvents = true
      rules.sequencePath = [try jsonPath("u")]
      rules.sequenceKey = try key.map { [try jsonPath($0)] } ?? []
      try change(rules)
    }
  }

  // MARK: Numbers

  @Test func eventsStandBeforeTheMessageThatShowsThem() throws {
    let client = try client()
    let messages = [
      #"{"s":"a","u":1}"#, #"{"s":"b","u":5}"#, #"{"s":"a","u":5}"#, #"{"s":"b","u":5}"#, #"{"s":"a","u":2}"#, #"{"s":"a","u":6}"#,
      "no JSON", #"{"u":9}"#, #"{"s":"a"}"#,
    ]
    for message in messages { client.offer(message) }
    let gap = #"{"event":"gap","key":"a","expected":2,"received":5,"missing":3}"#
    let copy = #"{"event":"repeat","key":"b","received":5}"#
    let back = #"{"event":"step_back","key":"a","received":2,"last":5}"#
    #expect(client.takeTexts() == messages[..<2] + [gap, messages[2], copy, messages[3], back] + messages[4...])
    #expect(client.log == [gap, copy, back].map { "DEBUG \($0)" })
    let counts = client.inbound.counts
    #expect(counts.gaps == 1 && counts.missing == 3 && counts.repeats == 1 && counts.stepsBack == 1)
    #expect(counts.messages == 9 && counts.duplicates == 0 && client.inbound.keyCount == 2)
  }

  /// An event says where the message begins, or, of one that came before, where it ends.
  @Test func aMessageOfSeveralChanges() throws {
    let client = try client { $0.sequencePath = [try jsonPath("U"), try jsonPath("u")] }
    for (first, last) in [(1, 4), (7, 9), (8, 9), (9, 12)] { client.offer(#"{"s":"a","U":\#(first),"u":\#(last)}"#) }
    #expect(
      client.takeAll().filter(\.isEvent).map(\.text) == [
        #"{"event":"gap","key":"a","expected":5,"received":7,"missing":2}"#, #"{"event":"repeat","key":"a","received":9}"#,
        #"{"event":"step_back","key":"a","received":9,"last":9}"#,
      ])
  }

  @Test func howManyAreMissingIsNotAlwaysKnown() throws {
    let client = try client(key: nil) { $0.sequencePrevious = try jsonPath("pu") }
    client.offer(#"{"pu":1,"u":4}"#)
    client.offer(#"{"pu":7,"u":9}"#)
    #expect(client.takeTexts()[1] == #"{"event":"gap","key":"","expected":4,"received":9,"missing":null}"#)
    #expect(client.inbound.counts.gaps == 1 && client.inbound.counts.missing == 0)
  }

  @Test func numbersThatOnlyIncrease() throws {
    let client = try client { $0.isIncreasing = true }
    client.offer(#"{"s":"a","u":4}"#)
    client.offer(#"{"s":"a","u":9}"#)
    client.offer(#"{"s":"a","u":8}"#)
    #expect(client.inbound.counts.gaps == 0 && client.inbound.counts.stepsBack == 1)
  }

  /// A heartbeat that the library answers has a number, too.
  @Test func whatIsUsedUpCountsAllTheSame() throws {
    let client = try client()
    client.offer(#"{"s":"a","u":1}"#)
    client.passOver(#"{"s":"a","u":2}"#)
    client.passOver("no number")
    client.offer(#"{"s":"a","u":3}"#)
    client.passOver(#"{"s":"a","u":5}"#)
    #expect(
      client.takeTexts() == [
        #"{"s":"a","u":1}"#, #"{"s":"a","u":3}"#, #"{"event":"gap","key":"a","expected":4,"received":5,"missing":1}"#,
      ])
    #expect(client.inbound.counts.messages == 2)
    // A copy of what another connection brought is neither told nor counted: nobody was to have it.
    client.doing { $0.feed?.startGeneration(0) }
    client.passOver(#"{"s":"a","u":5}"#)
    #expect(client.inbound.isEmpty && client.inbound.counts.duplicates == 0)
    // With a twin it is the merge that has the order.
    let twin = try self.client { $0.hasTwin = true }
    twin.offer(#"{"s":"a","u":1}"#)
    twin.passOver(#"{"s":"a","u":7}"#)
    twin.offer(#"{"s":"a","u":2}"#)
    #expect(twin.inbound.counts.gaps == 0 && twin.takeTexts().count == 2)
    // Nothing is known of messages: nothing counts.
    let plain = FakeClient()
    plain.passOver(#"{"s":"a","u":1}"#)
    #expect(plain.inbound.isEmpty && plain.done.isEmpty && plain.inbound.keyCount == 0)
  }

  @Test func copiesOfTheConnectionBeforeAreCounted() throws {
    let client = try client()
    client.offer(#"{"s":"a","u":7}"#)
    client.doing { $0.feed?.startGeneration(client.now) }
    for number in 5...9 { client.offer(#"{"s":"a","u":\#(number)}"#) }
    #expect(client.takeTexts() == [7, 8, 9].map { #"{"s":"a","u":\#($0)}"# })
    #expect(client.inbound.counts.duplicates == 3 && client.inbound.counts.messages == 3 && client.log.isEmpty)
  }

  @Test func aServerThatCountsAnewIsNotMuteForEver() throws {
    let client = try client { $0.rotationOverlap = second }
    client.offer(#"{"s":"a","u":700}"#)
    client.doing { $0.feed?.startGeneration(client.now) }
    client.offer(#"{"s":"a","u":1}"#)
    client.advance(to: FeedMerge.restartTime)
    #expect(client.inbound.counts.duplicates == 1 && client.log.isEmpty)
    client.offer(#"{"s":"a","u":2}"#)
    client.offer(#"{"s":"a","u":3}"#)
    let warnings = client.log.filter { $0.hasPrefix("WARNING the numbers of the new connection are still behind") }
    #expect(warnings.count == 1 && client.inbound.counts.stepsBack == 2 && client.inbound.counts.duplicates == 1)
  }

  @Test func eachConnectionCountsForItself() throws {
    let client = try client { $0.countsConnection = true }
    client.offer(#"{"s":"a","u":7}"#)
    // Judged as it is read: used up or not.
    client.passOver(#"{"s":"a","u":9}"#)
    client.line = nil
    client.offer(#"{"s":"a","u":1}"#)
    client.offer(#"{"s":"a","u":1}"#)
    #expect(
      client.takeTexts() == [
        #"{"s":"a","u":7}"#, #"{"event":"gap","key":"a","expected":8,"received":9,"missing":1}"#, #"{"s":"a","u":1}"#,
        #"{"event":"repeat","key":"a","received":1}"#, #"{"s":"a","u":1}"#,
      ])
    #expect(client.inbound.counts.gaps == 1 && client.inbound.counts.repeats == 1 && client.inbound.counts.duplicates == 0)
  }

  @Test(arguments: ["s", "k"])
  func thatKeysAreFullIsToldOnce(path: String) throws {
    let client = try client {
      $0.policy = .conflate
      $0.keyPath = [try jsonPath("k")]
    }
    // Both kinds of keys are bounded; a longer text than the reader joins is no key for it, so the table is filled.
    let feed = try #require(client.inbound.feed)
    let table = try #require(path == "s" ? feed.sequenceKeys : feed.keys)
    for index in 0..<KeyTable.maxKeys { _ = Array("\(index)".utf8).withUnsafeBytes { table.index(of: $0) } }
    client.offer(#"{"\#(path)":"7","u":1}"#)
    #expect(client.log.isEmpty)
    for number in [1, 5, 2] { client.offer(#"{"\#(path)":"new","u":\#(number)}"#) }
    #expect(client.log == ["WARNING there are more than 100000 keys, or longer ones than 256 bytes: those are not tracked"])
    #expect(client.takeAll().allSatisfy { !$0.isEvent } && client.inbound.counts.messages == 4)
  }

  // MARK: Topics of a hub

  @Test func topicsGoOnWhereTheyWere() {
    let client = FakeClient {
      $0.resumes = true
      $0.emitsEvents = true
    }
    let messages = [
      #"{"type":"subscribed","topic":"t","epoch":"e","offset":4,"recovered":false}"#, #"{"topic":"t","o":5,"d":1}"#,
      #"{"type":"gap","topic":"t","from":6,"to":8}"#, #"{"topic":"t","o":9,"d":2}"#,
    ]
    client.offer(messages[0])
    client.offer(messages[1])
    client.offer(messages[1])
    // Not text: it is no message of a hub.
    client.offer(messages[1], kind: MessageCode.binary)
    client.offer(messages[2])
    client.offer(messages[3])
    let gap = #"{"event":"gap","key":"t","expected":6,"received":9,"missing":3}"#
    #expect(client.takeTexts() == [messages[0], messages[1], messages[1], gap, messages[2], messages[3]])
    let counts = client.inbound.counts
    #expect(counts.duplicates == 1 && counts.gaps == 1 && counts.missing == 3 && counts.messages == 5)
    // A hub that has restarted does not know; and one that contradicts itself has missed nothing.
    client.offer(#"{"type":"gap","topic":"t","to":20}"#)
    client.offer(#"{"type":"gap","topic":"t","from":30,"to":25}"#)
    let events = client.takeAll().filter(\.isEvent).map(\.text)
    #expect(
      events == [
        #"{"event":"gap","key":"t","expected":0,"received":21,"missing":null}"#,
        #"{"event":"gap","key":"t","expected":30,"received":26,"missing":0}"#,
      ])
    #expect(client.inbound.counts.gaps == 3 && client.inbound.counts.missing == 3)
  }

  // MARK: Beside the data, and in the queue's place

  @Test func whatIsNoDataIsTakenAside() throws {
    let client = try client()
    client.now = 3
    client.offer(#"{"s":"a","u":1}"#)
    client.takeAside(#"{"s":"a","u":7}"#, kind: MessageCode.pong)
    client.offer(#"{"s":"a","u":2}"#)
    let seen = client.takeAll()
    #expect(seen.map(\.kind) == [MessageCode.text, MessageCode.pong, MessageCode.text] && seen[1].receivedAt == FakeClient.epoch + 3)
    #expect(client.inbound.counts.gaps == 0 && client.inbound.counts.messages == 3 && client.wakes == 1)
  }

  @Test func aTapTakesMessagesInTheQueuesPlace() throws {
    let client = try client()
    let inbound = client.inbound
    let tap = NotingTap()
    client.offer(#"{"s":"a","u":1}"#)
    #expect(inbound.setTap(tap) && !inbound.setTap(NotingTap()) && inbound.tap === tap)
    client.now = 4
    client.offer(#"{"s":"a","u":3}"#)
    // What is told, and what is no data, is not for the tap.
    client.takeAside("pong", kind: MessageCode.pong)
    #expect(tap.calls == ["missed 1 of one", #"{"s":"a","u":3} at 4"#])
    #expect(inbound.queuedCount == 3 && inbound.counts.messages == 3 && inbound.counts.payloadBytes == 15 + 15 + 4)
    inbound.removeTap(NotingTap())
    #expect(inbound.tap === tap)
    inbound.removeTap(tap)
    client.offer(#"{"s":"a","u":4}"#)
    #expect(inbound.tap == nil && tap.calls.count == 2 && inbound.queuedCount == 4)
  }

  @Test func aTapHearsOfGapsOfUnknownSize() throws {
    let client = try client(key: nil) { $0.sequencePrevious = try jsonPath("pu") }
    let tap = NotingTap()
    #expect(client.inbound.setTap(tap))
    client.offer(#"{"pu":1,"u":4}"#)
    client.offer(#"{"pu":7,"u":9}"#)
    #expect(tap.calls == [#"{"pu":1,"u":4} at 0"#, "missed -1 of any", #"{"pu":7,"u":9} at 0"#])
  }

  @Test func aTapAloneIsSomethingToHandle() {
    let inbound = FakeClient().inbound
    let tap = NotingTap()
    #expect(!inbound.handles && inbound.setTap(tap) && inbound.handles)
    inbound.removeTap(nil)
    #expect(inbound.handles)
    inbound.removeTap(tap)
    #expect(!inbound.handles)
  }
}
