// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// Whose turn it is, and when.
@Suite struct OutboundPaceTests {
  private func ids(_ sender: FakeSender) -> [UInt64] { sender.frames.map(\.id) }

  // MARK: The backlog

  @Test func aBacklogLeavesOneByOne() {
    let sender = FakeSender { $0.backlogInterval = 100 * millisecond }
    for number in 1...3 { sender.send(order(number)) }
    sender.now = 50
    sender.open()
    sender.refill()
    #expect(ids(sender) == [1] && sender.outbound.nextFrameAt == 50 + 100 * millisecond)
    sender.flow(at: 49 + 100 * millisecond)
    #expect(ids(sender) == [1])
    sender.flow(at: 60 + 100 * millisecond)
    #expect(ids(sender) == [1, 2] && sender.outbound.nextFrameAt == 60 + 200 * millisecond)
    // What comes behind it waits for its end, and for nothing more.
    #expect(sender.send(order(4)) == .queued(4) && sender.send(order(5)) == .queued(5))
    sender.flow(at: 60 + 200 * millisecond)
    #expect(ids(sender) == [1, 2, 3, 4, 5] && sender.outbound.nextFrameAt == .max)
    #expect(sender.send(order(6)) == .framed(6))
  }

  @Test func aCloseDoesNotWaitForTheBacklog() {
    let sender = FakeSender { $0.backlogInterval = second }
    for number in 1...4 { sender.send(order(number)) }
    sender.open()
    sender.refill()
    #expect(ids(sender) == [1])
    sender.refill(isClosing: true)
    #expect(ids(sender) == [1, 2, 3, 4] && sender.outbound.nextFrameAt == .max)
  }

  @Test func withoutAnIntervalThereIsNoBacklog() {
    let sender = FakeSender()
    for number in 1...4 { sender.send(order(number)) }
    sender.open()
    sender.refill()
    #expect(ids(sender) == [1, 2, 3, 4])
  }

  /// Each connection has its own, of what waits when it opens.
  @Test func whatIsAcceptedLaterIsNoBacklog() {
    let sender = FakeSender { $0.backlogInterval = second }
    sender.open()
    sender.outputLimit = 1
    for number in 1...3 { sender.send(order(number)) }
    sender.outputLimit = .max
    sender.refill()
    #expect(ids(sender) == [1, 2, 3])
    sender.write(66 + 1)
    sender.end()
    #expect(sender.received == [1] && sender.outbound.outbox.count == 1 && !sender.outbound.isDirect)
    sender.send(order(4))
    sender.now = 10
    sender.open()
    sender.refill()
    #expect(ids(sender) == [3] && sender.outbound.nextFrameAt == 10 + second)
    sender.end()
    // The next one begins at once.
    sender.now = 20
    sender.open()
    sender.refill()
    #expect(ids(sender) == [3] && sender.isBalanced)
  }

  @Test func anotherConnectionMayFollowAtOnce() {
    let sender = FakeSender { $0.backlogInterval = second }
    for number in 1...2 { sender.send(order(number), ttl: 5 * second) }
    sender.open()
    sender.refill(isClosing: true)
    sender.open()
    // What was framed was no backlog of this one.
    sender.takeBack(from: 0)
    sender.refill()
    #expect(ids(sender) == [1, 2])
  }

  @Test func theEndOfTimeIsNoOverflow() {
    let sender = FakeSender { $0.backlogInterval = .max }
    for number in 1...2 { sender.send(order(number)) }
    sender.now = 5
    sender.open()
    sender.refill()
    #expect(ids(sender) == [1] && sender.outbound.nextFrameAt == .max)
  }

  @Test func anEmptyOutboxHasNoNextFrame() {
    let sender = FakeSender { $0.backlogInterval = second }
    for number in 1...2 { sender.send(order(number), ttl: 10) }
    sender.open()
    sender.refill()
    #expect(sender.outbound.nextFrameAt == second && sender.outbound.nextDeadline == 10)
    sender.flow(at: 10)
    #expect(sender.outbound.nextFrameAt == second && sender.outbound.outbox.isEmpty)
    #expect(sender.outbound.nextFrame(11, isClosing: false) == nil && sender.outbound.nextFrameAt == .max)
    #expect(sender.events == [loss("expired", 2, 2, "time to live")] && sender.isBalanced)
  }

  // MARK: Limits

  @Test func noMoreThanTheLimits() {
    let sender = FakeSender { rules in
      rules.rateLimits = [RateWindow(count: 2, duration: second), RateWindow(count: 3, duration: 10 * second)]
    }
    for number in 1...5 { sender.send(order(number)) }
    sender.open()
    sender.refill()
    #expect(ids(sender) == [1, 2] && sender.outbound.nextFrameAt == second && sender.outbound.counts.limitWaits == 1)
    sender.flow(at: second - 1)
    #expect(ids(sender) == [1, 2] && sender.outbound.counts.limitWaits == 2)
    sender.flow(at: second)
    #expect(ids(sender) == [1, 2, 3] && sender.outbound.nextFrameAt == 10 * second)
    // A close has to wait as well.
    sender.refill(isClosing: true)
    #expect(ids(sender) == [1, 2, 3])
    sender.flow(at: 10 * second)
    #expect(ids(sender) == [1, 2, 3, 4, 5])
  }

  @Test func theBacklogTakesNoSlotBeforeItsTime() {
    let sender = FakeSender { rules in
      rules.backlogInterval = second
      rules.rateLimits = [RateWindow(count: 2, duration: 100 * second)]
    }
    for number in 1...3 { sender.send(order(number)) }
    sender.open()
    for time in [0, 1, 2, second - 1] { sender.flow(at: time) }
    #expect(ids(sender) == [1] && sender.outbound.counts.limitWaits == 0)
    sender.flow(at: second)
    #expect(ids(sender) == [1, 2])
    sender.flow(at: 2 * second)
    #expect(ids(sender) == [1, 2] && sender.outbound.nextFrameAt == 100 * second && sender.outbound.counts.limitWaits == 1)
  }

  @Test func theLibrarysOwnMessagesCountInTheLimits() {
    let outbound = FakeSender { $0.rateLimits = [RateWindow(count: 2, duration: second)] }.outbound
    #expect(outbound.waitsForLimit(0) == nil)
    outbound.noteMessage(5)
    #expect(outbound.waitsForLimit(10) == second)
    // It goes out whatever the limits say, and later ones wait for it.
    outbound.noteMessage(20)
    #expect(outbound.waitsForLimit(second) == 5 + second && outbound.waitsForLimit(5 + second) == nil)
    #expect(outbound.waitsForLimit(6 + second) == 20 + second)
  }

  @Test func controlFramesCountInTheLimitsIfAskedFor() {
    for counts in [false, true] {
      let outbound = FakeSender { rules in
        rules.rateLimits = [RateWindow(count: 1, duration: second)]
        rules.countsControl = counts
      }.outbound
      outbound.noteControl(0)
      #expect(outbound.waitsForLimit(1) == (counts ? second : nil))
    }
  }

  @Test func withoutLimitsNobodyAsksForTheTime() {
    let outbound = FakeSender { $0.countsControl = true }.outbound
    func now() -> Int64 {
      Issue.record("a call of the system for nothing")
      return 0
    }
    outbound.noteMessage(now())
    outbound.noteControl(now())
    #expect(outbound.waitsForLimit(0) == nil)
  }

  // MARK: Times to live

  @Test func whatExpiresIsToldInTime() {
    let sender = FakeSender()
    sender.send("1", ttl: 30)
    sender.send("2", .report, ttl: 10)
    sender.send("3")
    #expect(sender.outbound.nextDeadline == 10)
    sender.flow(at: 9)
    #expect(sender.events.isEmpty && sender.outbound.outbox.count == 3)
    sender.flow(at: 10)
    #expect(sender.events == [loss("expired", 2, 2, "time to live"), fate(2, "expired")])
    #expect(sender.outbound.nextDeadline == 30 && sender.outbound.outbox.book.expired == 1 && sender.isBalanced)
    #expect(sender.drain() == ["1", "3"])
  }
}
