// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// What a full journal does, and what it keeps until the application has heard of it.
@Suite struct OutboundJournalRoomTests {
  /// One of `order` has 128 bytes in the ring, which has room for 32 of them.
  private func sender(_ policy: OverflowPolicy, count: Int = 1000, _ change: (Outbound.Rules) -> Void = { _ in }) -> FakeSender {
    FakeSender(JournalMemory(capacity: 4096)) { rules in
      rules.policy = policy
      rules.limits = Outbox.Limits(count: count, bytes: 1 << 20)
      change(rules)
    }
  }

  private func fill(_ sender: FakeSender, ttl: Int64? = nil) {
    for number in 1...32 { sender.send(order(number), ttl: number == 9 ? ttl : nil) }
  }

  // MARK: Room

  @Test func aMessageThatNeverFitsIsTooLong() {
    let sender = sender(.dropOldest)
    let long = String(repeating: "x", count: 4096 - 64)
    #expect(sender.send(long + "x") == .tooBig && sender.send(long) == .queued(1))
    // It needs no journal if it is for this connection only.
    sender.open()
    sender.refill()
    #expect(sender.send(long + "x", .liveOnly) == .framed(2) && sender.isBalanced)
  }

  @Test func theOldestMakeRoomInTheJournal() throws {
    let sender = sender(.dropOldest)
    fill(sender)
    #expect(sender.send(order(33)) == .queued(33))
    #expect(sender.events == [loss("dropped", 1, 1, "drop_oldest", ids: "[[1,1]]")] && sender.isBalanced)
    #expect(try next(sender).drain() == (2...33).map(order))
  }

  /// One that is on its way can't be dropped, and what is behind it gives no room.
  @Test func whatIsOnItsWayMakesNoRoom() throws {
    let sender = sender(.dropOldest)
    sender.open()
    sender.outputLimit = 1
    fill(sender)
    #expect(sender.ledger.pending == 1 && sender.outbound.outbox.count == 31)
    #expect(sender.send(order(33)) == .full && sender.outbound.counts.rejected == 1 && sender.outbound.outbox.count == 31)
    sender.write()
    #expect(sender.send(order(33)) == .queued(33) && sender.isBalanced)
    #expect(try next(sender).drain() == (2...33).map(order))
  }

  @Test func theNewestHasNoRoomInTheJournal() throws {
    let sender = sender(.dropNewest)
    fill(sender)
    #expect(sender.send(order(33)) == .queued(33) && sender.isBalanced)
    #expect(sender.events == [loss("dropped", 33, 33, "drop_newest", ids: "[[33,33]]")])
    let second = try next(sender)
    #expect(second.events == [recovery(recovered: 32, ids: "[[1,32]]", dropped: 1, droppedIDs: "[[33,33]]")])
    #expect(second.outbound.lastID == 33 && second.drain() == (1...32).map(order))
  }

  @Test func aFullOutboxTakesTheIDOfTheNewest() throws {
    let sender = sender(.dropNewest, count: 1)
    sender.send("1")
    #expect(sender.send("2") == .queued(2))
    let second = try next(sender)
    #expect(second.events == [recovery(recovered: 1, ids: "[[1,1]]", dropped: 1, droppedIDs: "[[2,2]]")])
    #expect(second.outbound.lastID == 2)
  }

  @Test(arguments: [OverflowPolicy.reject, .block])
  func aFullJournalRefuses(policy: OverflowPolicy) throws {
    let sender = sender(policy)
    fill(sender)
    #expect(sender.outbound.waitsForRoom(.journaled, 60) == (policy == .block) && !sender.outbound.waitsForRoom([], 60))
    #expect(sender.send(order(33)) == .full && sender.outbound.lastID == 32 && sender.events.isEmpty)
    #expect(try next(sender).drain() == (1...32).map(order))
  }

  @Test(arguments: [OverflowPolicy.dropOldest, .reject])
  func whatHasExpiredMakesRoomInTheJournal(policy: OverflowPolicy) throws {
    let sender = sender(policy)
    sender.send(order(1), ttl: 10)
    for number in 2...32 { sender.send(order(number)) }
    sender.now = 10
    #expect(sender.send(order(33)) == .queued(33))
    #expect(sender.events == [loss("expired", 1, 1, "time to live", ids: "[[1,1]]")] && sender.isBalanced)
    #expect(try next(sender).drain() == (2...33).map(order))
  }

  @Test func aDirectMessageNeedsRoom() {
    let sender = sender(.reject)
    sender.open()
    for number in 1...32 { #expect(sender.send(order(number)) == .framed(UInt64(number))) }
    #expect(sender.send(order(33)) == .full && sender.send("live", .liveOnly) == .framed(33))
    sender.write(5 * 66)
    #expect(sender.send(order(34)) == .framed(34) && sender.isBalanced)
  }

  @Test func aMessageInTheLimitsNeedsRoom() {
    let sender = sender(.block) { $0.rateLimits = [RateWindow(count: 100, duration: second)] }
    sender.open()
    for number in 1...32 { #expect(sender.send(order(number), inLimit: true) == .framed(UInt64(number))) }
    #expect(sender.send(order(33), inLimit: true) == .full && sender.outbound.counts.rejected == 1)
    #expect(sender.send("live", .liveOnly) == .framed(33))
  }

  /// What is written has left the journal, which a sender waits for.
  @Test func roomInTheJournalIsTold() {
    let sender = sender(.block)
    sender.open()
    fill(sender)
    #expect(!sender.outbound.hasRoomNow(.journaled, 60))
    #expect(sender.send(order(33)) == .full)
    sender.write(66)
    #expect(sender.takeDone() == ["notify"] && sender.outbound.hasRoomNow(.journaled, 60))
    sender.write(14 * 66)
    #expect(sender.takeDone().isEmpty)
    sender.write(66)
    // The half of it.
    #expect(sender.takeDone() == ["signal"])
  }

  @Test func aLoginTakesAnIDOfTheJournal() throws {
    let sender = sender(.reject)
    #expect(sender.sendFirst("login") == .framed(1))
    let second = try next(sender)
    #expect(second.outbound.lastID == 1 && second.events.isEmpty)
  }

  // MARK: What the application has to hear

  /// A sender that has dropped its first message, which an event tells.
  private func teller(before events: Int = 0) -> FakeSender {
    let sender = sender(.dropOldest, count: 1)
    for _ in 0..<events { sender.put("an event") }
    for text in ["1", "2"] { sender.send(text) }
    return sender
  }

  private func isKnown(_ sender: FakeSender) throws -> Bool {
    let told = try next(sender).events
    try #require(told.count == 1)
    return told[0].contains(#""dropped":0"#)
  }

  @Test func whatIsNotTakenIsToldByTheNext() throws {
    let sender = teller()
    #expect(try next(sender).events == [recovery(recovered: 1, ids: "[[2,2]]", dropped: 1, droppedIDs: "[[1,1]]")])
    #expect(sender.take() == [loss("dropped", 1, 1, "drop_oldest", ids: "[[1,1]]")])
    #expect(try !isKnown(sender) && sender.outbound.hasAnnounced)
    // With the next call the application has it.
    sender.take()
    #expect(try isKnown(sender) && !sender.outbound.hasAnnounced)
  }

  @Test func eventsBeforeItAreNotIt() throws {
    let sender = teller(before: 2)
    sender.put("behind")
    for _ in 1...3 {
      #expect(sender.take(1).count == 1)
      #expect(try !isKnown(sender))
    }
    sender.take(0)
    #expect(try isKnown(sender) && sender.events == ["behind"])
  }

  @Test func theApplicationMaySayWhatItHas() throws {
    let sender = teller(before: 1)
    sender.outbound.acknowledge(1)
    #expect(try !isKnown(sender))
    // From then on its calls say nothing.
    for _ in 1...3 { sender.take() }
    #expect(try !isKnown(sender))
    sender.outbound.acknowledge(2)
    #expect(try isKnown(sender) && !sender.outbound.hasAnnounced)
  }

  @Test func behindAFrontNobodyKnowsItsPlace() throws {
    let sender = sender(.dropOldest, count: 1)
    sender.hasFront = true
    for text in ["1", "2"] { sender.send(text) }
    let outbound = sender.outbound
    outbound.noteTaken(hasAll: false)
    outbound.taken(5)
    outbound.noteTaken(hasAll: false)
    #expect(try !isKnown(sender))
    // It is the second behind three of the front.
    outbound.frontEnds(passed: 3, ahead: 2)
    outbound.taken(1)
    outbound.noteTaken(hasAll: false)
    #expect(try !isKnown(sender))
    outbound.taken(1)
    outbound.noteTaken(hasAll: false)
    #expect(try isKnown(sender))
  }

  @Test func behindAFrontItsNumberIsNotKnown() throws {
    let sender = sender(.dropOldest, count: 1)
    sender.hasFront = true
    for text in ["1", "2"] { sender.send(text) }
    sender.outbound.acknowledge(100)
    #expect(try !isKnown(sender))
    sender.outbound.frontEnds(passed: 3, ahead: 1)
    sender.outbound.acknowledge(3)
    #expect(try !isKnown(sender))
    sender.outbound.acknowledge(4)
    #expect(try isKnown(sender))
  }

  @Test func aFrontThatBeginsHidesIt() throws {
    let sender = teller()
    let outbound = sender.outbound
    outbound.frontBegins()
    outbound.taken(1)
    outbound.noteTaken(hasAll: false)
    outbound.frontEnds(passed: 3, ahead: 0)
    outbound.noteTaken(hasAll: false)
    #expect(try !isKnown(sender))
    outbound.noteTaken(hasAll: true)
    #expect(try isKnown(sender))
    // Where nothing is to be heard, nothing happens.
    outbound.frontBegins()
    outbound.frontEnds(passed: 1, ahead: 0)
    outbound.taken(1)
    outbound.noteTaken(hasAll: true)
    outbound.acknowledge(5)
    #expect(!outbound.hasAnnounced)
  }

  /// The last event counts, for what was told before as well.
  @Test func doubtsAndLossesAreHeardTogether() throws {
    let first = sender(.dropOldest)
    first.open()
    first.send(order(1))
    first.die(3)
    let sender = try next(first) { $0.limits = Outbox.Limits(count: 1, bytes: 1000) }
    for text in ["2", "3"] { sender.send(text) }
    #expect(sender.events.count == 2 && sender.take(1).count == 1)
    sender.take(0)
    let told = recovery(recovered: 1, inDoubt: 1, first: 1, doubts: "[[1,1]]", ids: "[[3,3]]", dropped: 1, droppedIDs: "[[2,2]]")
    #expect(try next(sender).events == [told])
    sender.take()
    sender.take()
    #expect(try next(sender).events == [recovery(recovered: 1, ids: "[[3,3]]")])
  }

  @Test func lossesAreHeardWithDoubtsThatFollow() throws {
    let sender = teller()
    sender.outbound.noteAnnounced(ofDoubts: true, ahead: 2, sequence: 2, isBehindFront: false)
    sender.outbound.acknowledge(1)
    #expect(try !isKnown(sender))
    sender.outbound.acknowledge(2)
    #expect(try isKnown(sender))
  }

  /// A loss after the event waits for one of its own.
  @Test func onlyWhatWasToldIsHeard() throws {
    let sender = teller()
    sender.send("3")
    #expect(sender.outbound.hasNews && sender.take().count == 1)
    sender.take()
    #expect(try next(sender).events == [recovery(recovered: 1, ids: "[[3,3]]", dropped: 1, droppedIDs: "[[2,2]]")])
    sender.flow(at: Outbound.announcePause)
    #expect(sender.take() == [loss("dropped", 2, 2, "drop_oldest", ids: "[[2,2]]")])
    sender.take()
    #expect(try isKnown(sender))
  }

  @Test func aCutMessageIsInDoubtUntilItsEventIsTaken() throws {
    let sender = sender(.reject)
    sender.open()
    for number in 1...2 { sender.send(order(number)) }
    sender.write(3)
    sender.end("reset")
    #expect(sender.events == [loss("failed", 1, 1, "reset", ids: "[[1,1]]")])
    let second = try next(sender)
    #expect(second.events == [recovery(recovered: 1, inDoubt: 1, first: 1, doubts: "[[1,1]]", ids: "[[2,2]]")])
    #expect(second.outbound.outbox.book.failed == 1 && second.isBalanced)
    for _ in 1...2 { sender.take() }
    #expect(try next(sender).events == [recovery(recovered: 1, ids: "[[2,2]]")])
  }
}
