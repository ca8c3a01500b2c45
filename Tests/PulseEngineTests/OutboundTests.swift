// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// What becomes of a message: framed, queued, refused; what a full outbox does.
@Suite struct OutboundTests {
  private func sender(_ policy: OverflowPolicy, count: Int = 3, bytes: Int = 1000) -> FakeSender {
    FakeSender { rules in
      rules.policy = policy
      rules.limits = Outbox.Limits(count: count, bytes: bytes)
    }
  }

  // MARK: The way

  @Test func anOpenWayIsDirect() {
    let sender = FakeSender()
    #expect(!sender.outbound.isDirect && sender.send("1") == .queued(1))
    sender.open()
    // What waits goes first.
    #expect(sender.outbound.isDirect && sender.send("2") == .queued(2))
    sender.refill()
    #expect(sender.send("3") == .framed(3) && sender.outbound.outbox.isEmpty)
    #expect(sender.isBalanced && sender.queued == 3 && sender.outbound.counts.accepted == 3)
    sender.write()
    #expect(sender.receivedTexts == ["1", "2", "3"] && sender.outbound.counts.sent == 3 && sender.isBalanced)
    sender.outbound.close()
    #expect(!sender.outbound.isDirect && sender.send("4") == .queued(4))
    #expect(sender.done.isEmpty && sender.events.isEmpty && !sender.outbound.hasNews)
  }

  @Test func aConnectionWithoutRoomGetsNoFrame() {
    let sender = FakeSender()
    sender.outputLimit = 10
    sender.open()
    #expect(sender.send("12345") == .framed(1) && sender.send("6") == .queued(2) && sender.send("7", .report) == .queued(3))
    #expect(sender.unwritten == 11)
    sender.write(2)
    sender.refill()
    #expect(sender.received.isEmpty && sender.ledger.count == 2 && sender.outbound.outbox.count == 1)
    sender.write()
    sender.refill()
    sender.write()
    #expect(sender.receivedTexts == ["12345", "6", "7"])
  }

  @Test func limitsAreNoDirectWay() {
    let sender = FakeSender { $0.rateLimits = [RateWindow(count: 2, duration: second)] }
    sender.open()
    #expect(!sender.outbound.isDirect && sender.send("1") == .queued(1))
    sender.refill()
    #expect(sender.ledger.pending == 1)
  }

  @Test func everyAcceptedMessageHasTheNextID() {
    let sender = sender(.dropNewest, count: 2)
    #expect(sender.send("1") == .queued(1) && sender.send("2") == .queued(2) && sender.send("3") == .queued(3))
    #expect(sender.sendFirst("login") == .framed(4) && sender.outbound.lastID == 4)
    #expect(sender.outbound.counts.accepted == 4 && sender.isBalanced)
    sender.open()
    sender.refill()
    #expect(sender.send("5") == .framed(5) && sender.send("6", .liveOnly) == .framed(6))
    sender.write()
    #expect(sender.received == [4, 1, 2, 5, 6] && sender.isBalanced)
  }

  // MARK: A full outbox

  @Test func theOldestMakeRoom() {
    let sender = sender(.dropOldest)
    for number in 1...3 { sender.send(order(number)) }
    #expect(sender.send(order(4)) == .queued(4))
    #expect(sender.events == [loss("dropped", 1, 1, "drop_oldest")] && !sender.outbound.hasNews)
    #expect(sender.takeDone() == ["WARNING 1 messages dropped: drop_oldest", "told of losses", "wake"] && sender.isBalanced)
    #expect(sender.drain() == [order(2), order(3), order(4)])
  }

  @Test func theNewestHasNoRoom() {
    let sender = sender(.dropNewest)
    for number in 1...4 { sender.send(order(number), .report) }
    #expect(sender.outbound.lastID == 4 && sender.outbound.counts.rejected == 0)
    #expect(sender.events == [loss("dropped", 4, 4, "drop_newest"), fate(4, "dropped")] && sender.isBalanced)
    #expect(sender.drain() == (1...3).map(order))
  }

  @Test(arguments: [OverflowPolicy.reject, .block])
  func theNewestIsRefused(policy: OverflowPolicy) {
    let sender = sender(policy)
    for number in 1...3 { sender.send(order(number)) }
    #expect(sender.send(order(4)) == .full && sender.outbound.lastID == 3)
    #expect(sender.outbound.counts.rejected == 1 && sender.outbound.counts.accepted == 3 && sender.isBalanced)
    #expect(sender.events.isEmpty && sender.done.isEmpty && sender.outbound.isWatched)
    #expect(sender.drain() == (1...3).map(order))
  }

  @Test func bytesAreALimit() {
    let sender = sender(.reject, count: 100, bytes: 350)
    for number in 1...3 { #expect(sender.send(order(number)) == .queued(UInt64(number))) }
    #expect(sender.send("11 bytes...") == .full && sender.send("10 bytes..") == .queued(4))
    #expect(sender.outbound.outbox.bytes == 350)
  }

  @Test func whatHasExpiredMakesRoomFirst() {
    let sender = sender(.dropOldest)
    sender.send(order(1))
    sender.send(order(2), ttl: 10)
    sender.send(order(3))
    sender.now = 10
    sender.send(order(4))
    #expect(sender.events == [loss("expired", 2, 2, "time to live")])
    #expect(sender.drain() == [order(1), order(3), order(4)])
  }

  // MARK: Who waits for room

  @Test func aSenderWaitsForRoomWithTheLastPolicyOnly() {
    for policy in [OverflowPolicy.dropOldest, .dropNewest, .reject] {
      let sender = sender(policy, count: 1)
      sender.send("1")
      #expect(!sender.outbound.waitsForRoom([], 1))
    }
    let sender = sender(.block, count: 1)
    #expect(!sender.outbound.waitsForRoom([], 1))
    sender.send("1")
    #expect(sender.outbound.waitsForRoom([], 1))
  }

  @Test func aSenderIsToldOfRoomOnce() {
    let sender = sender(.block)
    for number in 1...3 { sender.send(order(number)) }
    let outbound = sender.outbound
    #expect(!outbound.isWatched && !outbound.hasRoomNow([], 60) && outbound.isWatched)
    sender.doing { $0.giveRoom() }
    #expect(sender.done.isEmpty && outbound.isWatched)
    sender.open()
    sender.outputLimit = 1
    sender.refill()
    #expect(sender.takeDone() == ["notify"] && !outbound.isWatched && outbound.hasRoomNow([], 60))
    // One that does not need to wait is nobody to be told.
    sender.doing { $0.giveRoom() }
    #expect(sender.done.isEmpty && !outbound.isWatched)
  }

  @Test func expiryGivesRoomToASender() {
    let sender = sender(.block, count: 1)
    sender.send("1", ttl: 5)
    #expect(!sender.outbound.hasRoomNow([], 1) && sender.outbound.nextDeadline == 5)
    sender.doing { $0.expire(4) }
    #expect(sender.done.isEmpty)
    sender.doing { $0.expire(5) }
    #expect(sender.done == ["notify"] && sender.outbound.hasRoomNow([], 1) && sender.outbound.nextDeadline == .max)
  }

  /// A descriptor costs a call of the system: it is told when it is worth the while.
  @Test func theOwnerIsToldWhenHalfIsFree() {
    let sender = sender(.reject, count: 6, bytes: 10_000)
    for number in 1...6 { sender.send(order(number)) }
    #expect(sender.send(order(7)) == .full)
    sender.open()
    sender.outputLimit = 1
    for _ in 1...2 {
      sender.refill()
      sender.write()
    }
    #expect(sender.outbound.outbox.count == 4 && sender.done.isEmpty)
    sender.refill()
    #expect(sender.outbound.outbox.count == 3 && sender.takeDone() == ["signal"] && !sender.outbound.isWatched)
    sender.write()
    sender.refill()
    #expect(sender.done.isEmpty)
  }

  @Test func halfOfTheBytesHaveToBeFree() {
    let sender = sender(.reject, count: 100, bytes: 600)
    for number in 1...6 { sender.send(order(number)) }
    #expect(sender.send(order(7)) == .full)
    sender.open()
    sender.outputLimit = 1
    for _ in 1...2 {
      sender.refill()
      sender.write()
    }
    #expect(sender.outbound.outbox.bytes == 400 && sender.done.isEmpty)
    sender.refill()
    #expect(sender.outbound.outbox.bytes == 300 && sender.takeDone() == ["signal"])
    #expect(sender.send(order(8)) == .queued(7))
  }

  @Test func allWhoWaitLookAgain() {
    let sender = sender(.reject, count: 1)
    sender.doing { $0.tellWaiting() }
    #expect(sender.takeDone().isEmpty)
    sender.send("1")
    sender.send("2")
    sender.doing { $0.tellWaiting() }
    #expect(sender.takeDone() == ["signal"])
    sender.send("2")
    #expect(!sender.outbound.hasRoomNow([], 1))
    sender.doing { $0.tellWaiting() }
    #expect(sender.takeDone() == ["notify", "signal"])
    sender.outbound.awaitFates()
    sender.doing { $0.tellWaiting() }
    #expect(sender.takeDone() == ["notify"] && !sender.outbound.isWatched)
  }

  // MARK: In the limits

  @Test func aMessageInTheLimitsLeavesAtOnceOrWaits() {
    let sender = FakeSender { $0.rateLimits = [RateWindow(count: 2, duration: second)] }
    #expect(sender.outbound.isLimited([], inLimit: true) && !sender.outbound.isLimited([], inLimit: false))
    #expect(sender.outbound.isLimited(.liveOnly, inLimit: false) && !FakeSender().outbound.isLimited(.liveOnly, inLimit: true))
    sender.open()
    sender.now = 7
    #expect(sender.send("1", inLimit: true) == .framed(1) && sender.send("2", .liveOnly) == .framed(2))
    sender.now = 9
    #expect(sender.send("3", inLimit: true) == .wait(until: 7 + second) && sender.outbound.lastID == 2)
    // The call that waits says so.
    #expect(sender.outbound.counts.limitWaits == 0)
    sender.outbound.noteLimitWait()
    #expect(sender.outbound.counts.limitWaits == 1)
    sender.now = 7 + second
    #expect(sender.send("3", inLimit: true) == .framed(3) && sender.isBalanced)
    sender.write()
    #expect(sender.receivedTexts == ["1", "2", "3"])
  }

  /// It does not overtake what is queued, unless it is for this connection only.
  @Test func aMessageInTheLimitsWaitsForTheOutbox() {
    let sender = FakeSender { $0.rateLimits = [RateWindow(count: 5, duration: second)] }
    sender.open()
    sender.send("1")
    #expect(sender.send("2", inLimit: true) == .wait(until: 5 * millisecond))
    #expect(sender.send("3", .liveOnly) == .framed(2))
    sender.refill()
    #expect(sender.send("2", inLimit: true) == .framed(3))
    sender.write()
    #expect(sender.receivedTexts == ["3", "1", "2"])
  }

  @Test func aMessageInTheLimitsWaitsForTheConnection() {
    let sender = FakeSender { $0.rateLimits = [RateWindow(count: 5, duration: second)] }
    sender.open()
    sender.outputLimit = 0
    sender.now = 100
    #expect(sender.send("1", inLimit: true) == .wait(until: 100 + 5 * millisecond))
    sender.outputLimit = 1
    // It has taken no slot: all five are there.
    for number in 1...5 {
      #expect(sender.send("1", inLimit: true) == .framed(UInt64(number)))
      sender.write()
    }
    #expect(sender.send("1", inLimit: true) == .wait(until: 100 + second))
  }

  @Test func aLoginTakesASlotOfTheLimits() {
    let sender = FakeSender { $0.rateLimits = [RateWindow(count: 1, duration: second)] }
    #expect(sender.sendFirst("login") == .framed(1))
    #expect(sender.sendFirst("login") == .framed(2))
    sender.open()
    #expect(sender.send("1", inLimit: true) == .wait(until: second) && sender.isBalanced)
  }

  // MARK: For this connection only

  @Test func aBacklogDoesNotMakeALiveMessageLate() {
    let sender = FakeSender { $0.backlogInterval = 100 }
    for text in ["1", "2"] { sender.send(text) }
    sender.open()
    sender.refill()
    #expect(sender.send("3") == .queued(3) && sender.send("live", .liveOnly) == .framed(4))
    sender.flow(at: 100)
    // What waits now waits for room, and it would overtake that.
    #expect(sender.outbound.outbox.isEmpty)
    sender.outputLimit = 0
    sender.send("5")
    sender.outputLimit = .max
    #expect(sender.send("6", .liveOnly) == .queued(6))
    sender.refill()
    sender.write()
    #expect(sender.receivedTexts == ["1", "live", "2", "3", "5", "6"])
  }

  @Test func aBacklogThatHasExpiredIsNone() {
    let sender = FakeSender { $0.backlogInterval = 100 }
    sender.send("1", ttl: 5)
    sender.open()
    sender.now = 5
    #expect(sender.send("2", .liveOnly) == .queued(2))
    #expect(sender.events == [loss("expired", 1, 1, "time to live")])
    sender.refill()
    #expect(sender.frames.map(\.id) == [2])
  }

  @Test func withoutAConnectionThereIsNothingForThisOne() {
    let sender = FakeSender()
    sender.send("1")
    sender.send("2", .liveOnly)
    sender.send("3", [.liveOnly, .report])
    sender.doing { $0.dropLiveOnly() }
    sender.tell("")
    #expect(
      sender.events == [loss("failed", 2, 3, "live_only: the connection ended before they were written"), fate(3, "failed")])
    #expect(sender.isBalanced && sender.drain() == ["1"])
  }
}
