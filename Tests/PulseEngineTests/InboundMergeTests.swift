// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// Two lines with the same feed: what the application gets of both, and when.
@Suite struct InboundMergeTests {
  private func twins(_ change: (Inbound.Rules) throws -> Void = { _ in }) throws -> FakeClient {
    let client = try FakeClient { rules in
      rules.emitsEvents = true
      rules.hasTwin = true
      rules.twinWait = second
      rules.sequencePath = [try jsonPath("u")]
      try change(rules)
    }
    for side in 0...1 { client.doing { $0.setReady(side: side, true) } }
    return client
  }

  private func number(_ number: Int) -> String { #"{"u":\#(number)}"# }

  @Test func theFirstCopyCounts() throws {
    let client = try twins()
    for step in 1...6 {
      client.offer(number(step), side: step % 2)
      client.offer(number(step), side: 1 - step % 2)
    }
    #expect(client.takeTexts() == (1...6).map(number))
    let merge = try #require(client.inbound.merge)
    #expect(merge.firsts == (3, 3) && merge.duplicates == 6 && client.inbound.counts.messages == 6)
    #expect(client.inbound.counts.gaps == 0 && client.deadlines.isEmpty)
  }

  @Test func theOtherSideFillsAGap() throws {
    let client = try twins()
    client.offer(number(1))
    client.offer(number(1), side: 1)
    client.offer(number(3))
    #expect(client.takeTexts() == [number(1)])
    #expect(client.deadlines == [.merge: second])
    client.offer(number(2), side: 1)
    #expect(client.takeTexts() == [number(2), number(3)])
    // The timer that was asked for comes all the same, and finds nothing to do.
    client.advance(to: 2 * second)
    #expect(client.deadlines.isEmpty && client.inbound.isEmpty)
    client.now = 5 * second
    client.offer(number(5))
    #expect(client.deadlines == [.merge: 6 * second])
  }

  @Test func whatWaitedLongEnoughIsDelivered() throws {
    let client = try twins()
    client.offer(number(1))
    client.offer(number(4))
    let wakes = client.wakes
    client.advance(to: second)
    #expect(client.takeTexts() == [number(1), #"{"event":"gap","key":"","expected":2,"received":4,"missing":2}"#, number(4)])
    #expect(client.wakes == wakes && client.inbound.counts.missing == 2)
    client.offer(number(6))
    client.advance(to: 3 * second)
    // The queue was empty: who waits for a message must look.
    #expect(client.wakes > wakes)
  }

  /// The same without an event that would wake, too.
  @Test func whoWaitsLooksAtWhatHasWaited() throws {
    let client = try twins { $0.emitsEvents = false }
    client.offer(number(1))
    client.offer(number(4))
    #expect(client.takeTexts() == [number(1)])
    let wakes = client.wakes
    client.advance(to: second)
    #expect(client.wakes > wakes && client.takeTexts() == [number(4)])
  }

  @Test func aSideThatIsGoneIsNotWaitedFor() throws {
    let client = try twins()
    client.offer(number(1))
    client.offer(number(3))
    client.doing { $0.setReady(side: 1, false) }
    #expect(client.takeTexts().last == number(3))
    client.offer(number(5))
    #expect(client.takeTexts().last == number(5))
  }

  /// The connection is another one, and not ready yet: nothing waits for it, and what it brings again is a copy.
  @Test func aSideThatIsNotReadyYet() throws {
    for side in 0...1 {
      let client = try twins()
      for step in 1...20 { client.offer(number(step), side: side) }
      client.offer(number(22), side: 1 - side)
      client.doing { $0.renew(side: side, hasCopies: false) }
      client.doing { $0.suspend(side: side) }
      #expect(client.takeTexts().last == number(22))
      client.offer("plain", side: 1 - side)
      #expect(client.takeTexts() == ["plain"])
      for step in 5...20 { client.offer(number(step), side: side) }
      #expect(client.takeTexts().isEmpty && client.inbound.merge?.duplicates == 16)
    }
  }

  /// Also while the other side is away: its end is not that of the feed.
  @Test func theOnlySideIsNotReadyYet() throws {
    let client = try twins()
    client.doing { $0.setReady(side: 1, false) }
    for step in 1...20 { client.offer(number(step)) }
    client.doing { $0.renew(side: 0, hasCopies: false) }
    client.doing { $0.suspend(side: 0) }
    for step in 5...21 { client.offer(number(step)) }
    #expect(client.takeTexts() == (1...21).map(number) && client.inbound.counts.stepsBack == 0)
  }

  /// The message that confirms a login is read, makes its side ready, and is data all the same. What has waited long enough
  /// by then must not be taken for it.
  @Test func aMessageThatMakesItsSideReady() throws {
    let client = try twins()
    for side in 0...1 { client.offer(number(1), side: side) }
    client.offer(number(3))
    client.doing { $0.setReady(side: 0, false) }
    client.now = 2 * second
    Array("confirmed".utf8).withUnsafeBytes { text in
      client.doing { $0.read(text, line: &client.line) }
      client.doing { $0.setReady(side: 0, true) }
      client.doing { $0.offer(Inbound.Arrival(kind: MessageCode.text, flags: 0, payload: text, receivedAt: 0), side: 0) }
    }
    client.advance(to: 2 * second)
    #expect(client.takeTexts().filter { !$0.contains("event") } == [number(1), "confirmed", number(3)])
    #expect(client.inbound.counts.duplicates == 0)
  }

  @Test func messagesWithoutANumber() throws {
    let client = try twins()
    client.offer("plain")
    client.offer("plain", side: 1)
    #expect(client.takeTexts() == ["plain"] && client.inbound.counts.duplicates == 1)
    client.doing { $0.setReady(side: 0, false) }
    client.offer("plain", side: 1)
    #expect(client.takeTexts() == ["plain"] && client.inbound.counts.duplicates == 1)
  }

  /// Answers and heartbeats: those of the second line only while the first one brings nothing.
  @Test func whatIsTakenAside() throws {
    let client = try twins()
    client.takeAside("a", kind: MessageCode.text)
    client.takeAside("b", kind: MessageCode.text, side: 1)
    #expect(client.takeTexts() == ["a"] && client.inbound.counts.duplicates == 1)
    client.doing { $0.setReady(side: 0, false) }
    client.takeAside("c", kind: MessageCode.text)
    client.takeAside("d", kind: MessageCode.text, side: 1)
    #expect(client.takeTexts() == ["c", "d"])
  }

  /// The next connection of a side may bring again what the one before has brought, and that is no new beginning.
  @Test func anotherConnectionOfASide() throws {
    let client = try twins()
    for step in 1...20 { client.offer(number(step)) }
    client.doing { $0.renew(side: 0, hasCopies: true) }
    for step in 12...21 { client.offer(number(step)) }
    #expect(client.takeTexts() == (1...21).map(number))
    #expect(client.inbound.merge?.duplicates == 9 && client.inbound.counts.stepsBack == 0)
  }

  /// Without a twin, copies are told by the generation of the feed, where there are any.
  @Test func anotherConnectionOfTheOnlyLine() throws {
    for hasCopies in [true, false] {
      let client = try twins { $0.hasTwin = false }
      for step in 1...4 { client.offer(number(step)) }
      client.doing { $0.renew(side: 0, hasCopies: hasCopies) }
      client.offer(number(4))
      client.offer(number(5))
      #expect(client.inbound.counts.duplicates == (hasCopies ? 1 : 0) && client.inbound.counts.repeats == (hasCopies ? 0 : 1))
      // There is nothing to merge.
      client.doing { $0.setReady(side: 1, true) }
      client.doing { $0.mergeIsDue() }
      #expect(client.inbound.merge == nil && client.deadlines.isEmpty)
    }
  }

  /// Whatever either side loses, the application gets each number once and in order, if the other side has it.
  @Test(arguments: 1...5)
  func twoLossyLines(seed: Int) throws {
    var random = SeededRandom(UInt64(seed))
    let client = try twins()
    var got: [String] = []
    var next = [1, 1]
    for step in 0..<4000 {
      client.advance(to: client.now + Int64(random.below(2)) * millisecond)
      let side = random.below(2)
      // No side is more than 50 ahead, nor loses what the other one has lost.
      if next[side] > next[1 - side] + 50 { continue }
      let isLost = next[side] > 1 && next[side] % 2 == side && random.isOne(in: 3)
      if !isLost { client.offer(number(next[side]), side: side) }
      next[side] += 1
      if step % 7 == 0 { got += client.takeTexts() }
    }
    client.advance(to: client.now + 2 * second)
    got += client.takeTexts()
    let count = got.filter { $0.contains("event") }.count
    let texts = got.filter { !$0.contains("event") }
    // The end of the side that is ahead may have holes.
    let common = min(next[0], next[1]) - 1
    try #require(texts.count >= common, "seed \(seed)")
    #expect(Array(texts.prefix(common)) == (1...common).map(number), "seed \(seed)")
    #expect(count <= 50, "seed \(seed)")
  }
}
