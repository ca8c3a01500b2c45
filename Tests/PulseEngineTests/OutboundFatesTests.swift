// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// What became of messages, and how it is told.
@Suite struct OutboundFatesTests {
  private static let pause = Outbound.announcePause
  private let isOver = "the connection ended before they were written"

  // MARK: Sent

  @Test func fatesAreToldOfThoseThatAskForThem() {
    let sender = FakeSender()
    sender.open()
    sender.send("1")
    sender.send("2", .report)
    sender.send("3", [.report, .liveOnly])
    sender.write(7 + 6)
    #expect(sender.events.isEmpty && sender.outbound.counts.sent == 1)
    _ = sender.takeDone()
    sender.write(1)
    #expect(sender.events == [fate(2, "sent")] && sender.takeDone() == ["wake"])
    sender.write()
    #expect(sender.events == [fate(2, "sent"), fate(3, "sent")] && sender.outbound.counts.sent == 3)
  }

  @Test func nobodyIsToldWhoDoesNotAsk() {
    let sender = FakeSender()
    sender.open()
    sender.send("1")
    var ledger = FrameLedger()
    ledger.append(bytes: 3, FrameEntry(id: 1, kind: MessageCode.text))
    ledger.written(bytes: 3)
    #expect(!sender.outbound.settle(&ledger) && sender.outbound.counts.sent == 1)
    #expect(sender.outbound.flags(of: .report, 3) == .report && sender.outbound.settle(&ledger))
    let other = FakeSender()
    other.outbound.awaitFates()
    #expect(other.outbound.settle(&ledger))
  }

  @Test func aCallThatWaitsForFatesIsToldOnce() {
    let sender = FakeSender()
    sender.open()
    sender.send("1")
    sender.outbound.awaitFates()
    sender.doing { $0.giveRoom() }
    #expect(sender.done.isEmpty)
    sender.write()
    #expect(sender.takeDone() == ["notify"] && sender.events.isEmpty)
    sender.send("2")
    sender.write()
    #expect(sender.takeDone() == [])
    // Losses are fates, too.
    sender.end()
    sender.send("3", ttl: 1)
    sender.outbound.awaitFates()
    sender.flow(at: 1)
    #expect(
      sender.takeDone() == ["WARNING 1 messages expired: time to live", "told of losses", "notify", "wake"])
  }

  // MARK: The end of a connection

  @Test func whatWasNotBegunGoesBack() {
    let sender = FakeSender()
    sender.open()
    for number in 1...5 { sender.send(order(number), number == 4 ? .liveOnly : .report) }
    sender.outputLimit = 0
    sender.send(order(6), .report)
    sender.write(66 + 1)
    sender.end("reset by the peer")
    #expect(sender.received == [1] && sender.outbound.counts.sent == 1 && sender.isBalanced)
    #expect(
      sender.events == [
        fate(1, "sent"), loss("failed", 4, 4, "live_only: \(isOver)"), loss("failed", 2, 2, "reset by the peer"), fate(2, "failed"),
      ])
    sender.outputLimit = .max
    sender.open()
    sender.refill()
    sender.write()
    #expect(sender.received == [1, 3, 5, 6] && sender.receivedTexts.last == order(6) && sender.isBalanced)
  }

  /// The frames of the library's own texts are no messages.
  @Test func aCutTextOfTheLibrarysHasNoFate() {
    let outbound = FakeSender().outbound
    outbound.cut(FrameEntry(id: 0, kind: MessageCode.text, isMessage: false))
    #expect(!outbound.hasNews && outbound.outbox.book.failed == 0)
    outbound.cut(FrameEntry(id: 1, kind: MessageCode.text))
    #expect(outbound.hasNews && outbound.outbox.book.failed == 1)
  }

  /// On a connection that goes on, a live message may still leave.
  @Test func whatIsTakenBackIsAsBefore() {
    let sender = FakeSender()
    sender.open()
    sender.send("1")
    sender.send("2", [.liveOnly, .report], ttl: 100)
    sender.send("3", ttl: 50)
    sender.outputLimit = 0
    sender.send("4")
    sender.takeBack(from: 1)
    #expect(sender.frames.map(\.id) == [1] && sender.unwritten == 7 && sender.outbound.outbox.count == 3)
    #expect(sender.outbound.nextDeadline == 50 && sender.isBalanced && !sender.outbound.hasNews)
    sender.flow(at: 50)
    #expect(sender.events == [loss("expired", 3, 3, "time to live")])
    sender.outputLimit = .max
    sender.refill()
    sender.write()
    #expect(sender.receivedTexts == ["1", "2", "4"] && sender.events.last == fate(2, "sent") && sender.isBalanced)
  }

  // MARK: Losses

  @Test func dropsAreToldTenTimesASecond() {
    let sender = FakeSender { $0.limits = Outbox.Limits(count: 2, bytes: 1000) }
    sender.now = 5
    for number in 1...3 { sender.send(order(number), .report) }
    #expect(sender.events == [loss("dropped", 1, 1, "drop_oldest"), fate(1, "dropped")])
    _ = sender.takeDone()
    for number in 4...6 { sender.send(order(number), .report) }
    let due = 5 + OutboundFatesTests.pause
    #expect(sender.events.count == 2 && sender.takeDone() == Array(repeating: "losses at \(due)", count: 3))
    sender.flow(at: due - 1)
    #expect(sender.events.count == 2 && sender.takeDone() == ["losses at \(due)"])
    sender.flow(at: due)
    #expect(
      sender.events.dropFirst(2) == [loss("dropped", 2, 4, "drop_oldest"), fate(2, "dropped"), fate(3, "dropped"), fate(4, "dropped")])
    #expect(sender.takeDone() == ["WARNING 3 messages dropped: drop_oldest", "told of losses", "wake", "wake"] && !sender.outbound.hasNews)
    // From then on the next pause counts.
    sender.send(order(7))
    #expect(sender.takeDone() == ["losses at \(due + OutboundFatesTests.pause)"])
  }

  @Test func aReasonIsToldAtOnce() {
    let sender = FakeSender { $0.limits = Outbox.Limits(count: 1, bytes: 1000) }
    sender.send("1", .liveOnly)
    sender.send("2")
    sender.send("3", .liveOnly)
    #expect(sender.events == [loss("dropped", 1, 1, "drop_oldest")])
    sender.doing { $0.dropLiveOnly(.connection) }
    sender.tell("refused: 403")
    #expect(
      sender.events.dropFirst() == [loss("dropped", 2, 2, "drop_oldest"), loss("failed", 3, 3, "refused: 403")] && sender.isBalanced)
  }

  @Test func eachCauseHasItsName() {
    let sender = FakeSender { $0.limits = Outbox.Limits(count: 3, bytes: 1000) }
    sender.open()
    sender.outputLimit = 1
    sender.send("1")
    sender.write(1)
    sender.send("2")
    sender.outputLimit = 0
    sender.send("3", ttl: 10)
    sender.end("")
    sender.now = 10
    sender.send("4", .liveOnly)
    sender.doing { $0.dropLiveOnly() }
    sender.outbound.outbox.purge()
    sender.outbound.expire(10)
    sender.tell("cause")
    #expect(
      sender.events == [
        loss("failed", 1, 1, isOver), loss("dropped", 2, 3, "purge"), loss("failed", 4, 4, "live_only: \(isOver)"),
      ])
    #expect(
      sender.done.filter { $0.hasPrefix("W") } == [
        "WARNING 1 messages failed: \(isOver)", "WARNING 2 messages dropped: purge", "WARNING 1 messages failed: live_only: \(isOver)",
      ])
  }

  @Test func lossesWithoutRoomAreToldLaterInOneSum() {
    let sender = FakeSender { $0.limits = Outbox.Limits(count: 1, bytes: 1000) }
    sender.hasRoomForEvents = false
    for text in ["1", "2", "3"] { sender.send(text, .report) }
    #expect(sender.outbound.hasNews)
    sender.now = OutboundFatesTests.pause
    sender.tell("")
    // Fates are events that may be lost, and tell so themselves.
    #expect(sender.events == [fate(1, "dropped"), fate(2, "dropped")] && sender.outbound.hasNews)
    sender.hasRoomForEvents = true
    sender.now += OutboundFatesTests.pause
    #expect(sender.take(1) == [fate(1, "dropped")])
    #expect(sender.events.last == loss("dropped", 1, 2, "drop_oldest") && !sender.outbound.hasNews && sender.outbound.hasAnnounced == false)
  }

  @Test func withoutEventsLossesAreLogged() {
    let sender = FakeSender { rules in
      rules.limits = Outbox.Limits(count: 1, bytes: 1000)
      rules.emitsEvents = false
    }
    sender.hasRoomForEvents = false
    for text in ["1", "2", "3"] { sender.send(text) }
    #expect(sender.takeDone() == ["WARNING 1 messages dropped: drop_oldest", "losses at \(OutboundFatesTests.pause)"])
    sender.flow(at: OutboundFatesTests.pause)
    #expect(sender.takeDone() == ["WARNING 1 messages dropped: drop_oldest"])
    #expect(sender.events.isEmpty && !sender.outbound.hasNews && sender.isBalanced)
  }

  @Test func withoutLossesNothingIsTold() {
    let sender = FakeSender()
    sender.doing { $0.tellLosses("the client has ended", 0, hasRoom: true) }
    #expect(sender.done.isEmpty && sender.events.isEmpty)
  }

  // MARK: The end

  @Test func atTheEndAllThatWaitsFails() {
    let sender = FakeSender()
    #expect(!sender.outbound.hasQueued && !sender.outbound.losesQueued)
    sender.send("1")
    sender.send("2", [.liveOnly, .report])
    #expect(sender.outbound.hasQueued && sender.outbound.losesQueued)
    sender.doing { $0.fail() }
    sender.tell("the client has ended")
    sender.doing { $0.keep() }
    #expect(sender.events == [loss("failed", 1, 2, "the client has ended"), fate(2, "failed")])
    #expect(!sender.outbound.isKept && sender.isBalanced && sender.outbound.outbox.book.failed == 2)
    sender.outbound.release()
    #expect(sender.outbound.journal == nil && sender.send("3") == .queued(3))
  }
}
