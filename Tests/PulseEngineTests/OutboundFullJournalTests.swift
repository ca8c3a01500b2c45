// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// A full journal, fates of an earlier process, and wakes.
@Suite struct OutboundFullJournalTests {
  /// A live-only message between the oldest ones gives no room in the journal, and hinders nobody.
  @Test func nothingIsDroppedForAMessageThatIsRefused() {
    let sender = FakeSender(JournalMemory(capacity: 4096))
    sender.open()
    sender.outputLimit = 0
    sender.send(order(1))
    sender.send("live", .liveOnly)
    for number in 2...32 { sender.send(order(number)) }
    let answer = sender.send(order(33) + order(34) + order(35))
    #expect(answer == .queued(34) && sender.outbound.outbox.book.droppedOldest == 2, "\(answer), \(sender.events)")
  }

  @Test func aLiveMessageAtTheFrontIsNoReasonToRefuse() {
    let sender = FakeSender(JournalMemory(capacity: 4096))
    sender.open()
    sender.outputLimit = 0
    sender.send("live", .liveOnly)
    for number in 1...32 { sender.send(order(number)) }
    #expect(sender.send(order(33)) == .queued(34))
  }

  /// Though nothing else is sent or lost.
  @Test func theFateOfOneInDoubtIsTold() throws {
    let first = FakeSender(JournalMemory(capacity: 4096))
    first.open()
    first.send("1", .report)
    first.die(3)
    let later = try next(first)
    later.flow(at: 10 * second)
    #expect(later.events.contains(fate(1, "failed")), "\(later.events)")
  }

  @Test func nobodyIsWokenForNothing() {
    let sender = FakeSender()
    sender.open()
    sender.send("1", .report)
    sender.write()
    _ = sender.takeDone()
    sender.send("2")
    sender.write()
    #expect(sender.takeDone().isEmpty)
  }
}
