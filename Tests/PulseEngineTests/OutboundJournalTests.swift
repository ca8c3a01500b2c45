// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// The next process of a sender with a journal, that ends now.
func next(_ sender: FakeSender, after time: Int64 = 0, wallShift: Int64 = 0, _ change: (Outbound.Rules) -> Void = { _ in }) throws
  -> FakeSender
{
  let memory = JournalMemory(copyOf: try #require(sender.memory))
  return FakeSender(memory, at: sender.now + time, wallShift: sender.wallShift + wallShift, change)
}

/// The event of a journal; rows of ids as JSON has them.
func recovery(
  recovered: Int = 0, expired: Int = 0, inDoubt: Int = 0, first: Int = 0, doubts: String = "[]", cut: Int = 0, messages: String = "0",
  ids: String = "[]", expiredIDs: String = "[]", dropped: Int = 0, droppedIDs: String = "[]"
) -> String {
  #"{"event":"journal","recovered":\#(recovered),"expired":\#(expired),"in_doubt":\#(inDoubt),"first_in_doubt":\#(first),"#
    + #""in_doubt_ids":\#(doubts),"cut_bytes":\#(cut),"cut_messages":\#(messages),"recovered_ids":\#(ids),"#
    + #""expired_ids":\#(expiredIDs),"dropped":\#(dropped),"dropped_ids":\#(droppedIDs),"unlisted":0}"#
}

/// What an earlier process left.
@Suite struct OutboundJournalTests {
  private func sender(_ change: (Outbound.Rules) -> Void = { _ in }) -> FakeSender {
    FakeSender(JournalMemory(capacity: 64 << 10), at: 1000 * second, change)
  }

  @Test func anEmptyJournalIsNothingToTell() throws {
    let first = sender()
    #expect(first.events.isEmpty && first.done.isEmpty && first.outbound.lastID == 0 && first.outbound.journal != nil)
    #expect(first.outbound.journalMark == .journaled && FakeSender().outbound.journalMark.isEmpty)
    let second = try next(first)
    #expect(second.events.isEmpty && second.done.isEmpty && second.outbound.hasAnnounced == false)
  }

  @Test func whatWaitedIsSentByTheNext() throws {
    let first = sender()
    first.send("1")
    first.send("2", .report)
    first.send("live", .liveOnly)
    first.send("4")
    let second = try next(first)
    let outbound = second.outbound
    #expect(second.events == [recovery(recovered: 3, ids: "[[1,2],[4,4]]")] && outbound.lastID == 4 && second.isBalanced)
    #expect(second.takeDone() == ["INFO the journal: 3 messages to send, 0 expired, 0 dropped, 0 in doubt, 0 damaged bytes cut off"])
    #expect(outbound.counts.accepted == 3 && outbound.counts.recovered == 3 && outbound.counts.inDoubt == 0)
    #expect(outbound.nextDeadline == .max)
    second.open()
    #expect(second.send("5") == .queued(5))
    second.refill()
    second.write()
    #expect(second.receivedTexts == ["1", "2", "4", "5"] && second.events.last == fate(2, "sent") && second.isBalanced)
    // All is sent: the third has nothing, and goes on with the ids.
    let third = try next(second)
    #expect(third.events.isEmpty && third.send("6") == .queued(6))
  }

  @Test func whatIsFramedAndNotGivenAwayIsNotInDoubt() throws {
    let first = sender()
    first.open()
    #expect(first.send(order(1)) == .framed(1) && first.send(order(2), .report) == .framed(2))
    #expect(try next(first).drain() == [order(1), order(2)])
    // What the connection may write by itself is in doubt; the rest of it is as before.
    for (committed, queued) in [(0, 2), (1, 1), (66, 1), (67, 0)] {
      first.write(0, committed: committed)
      #expect(try next(first).outbound.outbox.count == queued, "\(committed) bytes")
    }
    first.write(10)
    let second = try next(first)
    #expect(second.events == [recovery(recovered: 1, inDoubt: 1, first: 1, doubts: "[[1,1]]", ids: "[[2,2]]")])
    first.write(56)
    #expect(try next(first).events == [recovery(recovered: 1, ids: "[[2,2]]")])
    first.end()
    #expect(first.outbound.counts.sent == 1 && first.isBalanced)
    #expect(try next(first).drain() == [order(2)])
  }

  /// They are told by each process until one has accepted a message and its application has taken the event.
  @Test func whatWasGivenAwayIsInDoubt() throws {
    let first = sender()
    first.open()
    for number in 1...3 { first.send(order(number), .report) }
    first.die(66 + 5)
    #expect(first.received == [1])
    let fates = (1...3).map { fate($0, "failed") }
    let told = [recovery(inDoubt: 3, first: 1, doubts: "[[1,3]]")] + fates
    let second = try next(first)
    #expect(second.events == told && second.outbound.counts.inDoubt == 3 && second.outbound.outbox.book.failed == 3)
    #expect(second.isBalanced && second.outbound.counts.accepted == 3 && second.outbound.outbox.isEmpty && second.outbound.hasAnnounced)
    #expect(
      second.takeDone() == [
        "told of doubts", "WARNING the journal: 0 messages to send, 0 expired, 0 dropped, 3 in doubt, 0 damaged bytes cut off",
        "wake",
      ])
    second.send("4")
    #expect(try next(second).events == [recovery(recovered: 1, inDoubt: 3, first: 1, doubts: "[[1,3]]", ids: "[[4,4]]")] + fates)
    #expect(second.take() == told)
    #expect(try next(second).outbound.counts.inDoubt == 3)
    #expect(second.take().isEmpty && !second.outbound.hasAnnounced)
    #expect(try next(second).events == [recovery(recovered: 1, ids: "[[4,4]]")])
    // Without a message that is accepted the file keeps them.
    let other = try next(first)
    other.take()
    other.take()
    #expect(!other.outbound.hasAnnounced)
    #expect(try next(other).events == told)
  }

  /// There is nobody to tell: the first message that is accepted ends it.
  @Test func withoutEventsDoubtsAreCounted() throws {
    let first = sender()
    first.open()
    first.send("1")
    first.die(0)
    let second = try next(first) { $0.emitsEvents = false }
    #expect(second.outbound.counts.inDoubt == 1 && !second.outbound.hasAnnounced)
    #expect(!second.done.contains("told of doubts"))
    second.send("2")
    #expect(try next(second).outbound.counts.inDoubt == 0)
  }

  // MARK: Times to live

  @Test func timesToLiveGoOnBetweenProcesses() throws {
    let first = sender()
    first.send("1", .report, ttl: 10 * second)
    first.send("2", ttl: 30 * second)
    first.send("3")
    let inTime = try next(first, after: 10 * second - 1)
    #expect(inTime.outbound.outbox.count == 3 && inTime.outbound.nextDeadline == 1010 * second)
    let late = try next(first, after: 10 * second)
    #expect(late.events.first == recovery(recovered: 2, expired: 1, ids: "[[2,3]]", expiredIDs: "[[1,1]]"))
    #expect(late.outbound.nextDeadline == 1030 * second && late.outbound.outbox.book.expired == 1 && late.isBalanced)
    #expect(late.drain() == ["2", "3"])
  }

  /// Nobody knows then how old a message is: it must not leave late.
  @Test func aClockThatWasSetBackEndsTimesToLive() throws {
    let first = sender()
    first.send("1", ttl: 10 * second)
    first.send("2")
    let small = try next(first, wallShift: -second)
    #expect(small.outbound.outbox.count == 2 && small.outbound.nextDeadline == 1010 * second)
    let large = try next(first, wallShift: -second - 1)
    #expect(large.events.first == recovery(recovered: 1, expired: 1, ids: "[[2,2]]", expiredIDs: "[[1,1]]"))
    // Its age is not known either.
    #expect(large.outbound.outbox.front(now: large.now)?.acceptedAt == 1000 * second)
    let later = try next(first, after: 5 * second)
    #expect(later.outbound.outbox.front(now: later.now)?.acceptedAt == 1000 * second)
    #expect(try next(first, wallShift: 100 * second).outbound.nextDeadline == .max)
  }

  @Test func timesThatCantBeEndNothing() throws {
    let memory = JournalMemory(capacity: 4096)
    let journal = Journal(memory.start, capacity: memory.capacity, owner: memory)
    _ = journal.recover()
    let wall = FakeClient.epoch
    let times: [(acceptedAt: Int64, expiresAt: Int64, left: Int64?)] = [
      (wall, .min, nil), (wall, 0, nil), (.min, wall + 7, 7), (wall + 900 * millisecond, wall + 20, 20),
      (wall - 5, wall + 30, 30), (wall + 10, wall + 50, 40), (0, .max, .max), (.min, .max - 1, .max - 1 - wall),
    ]
    for (place, time) in times.enumerated() {
      let isTaken = journal.append(
        id: UInt64(place) + 1, kind: 1, flags: [], payload: UnsafeRawBufferPointer(start: nil, count: 0), acceptedAt: time.acceptedAt,
        expiresAt: time.expiresAt)
      #expect(isTaken)
    }
    let outbox = FakeSender(memory).outbound.outbox
    var left: [Int64?] = [nil, nil]
    while let message = outbox.front(now: 0) {
      left.append(message.expiresAt)
      outbox.removeFront()
    }
    #expect(left == times.map(\.left) && outbox.book.expired == 2)
  }

  // MARK: Damage

  @Test func whatIsDamagedIsCutOff() throws {
    let first = sender()
    for number in 1...5 { first.send(order(number)) }
    try #require(first.memory).damage(2 * 128 + 100)
    let second = try next(first)
    #expect(second.events == [recovery(recovered: 2, cut: 3 * 128, messages: "3", ids: "[[1,2]]")] && second.outbound.lastID == 5)
    #expect(
      second.done == [
        "WARNING the journal: 2 messages to send, 0 expired, 0 dropped, 0 in doubt, 384 damaged bytes cut off with at most 3 messages"
      ])
    #expect(second.send("6") == .queued(6) && second.isBalanced)
  }

  @Test func howManyMessagesWereCutMayBeUnknown() throws {
    let first = sender()
    for number in 1...3 { first.send(order(number)) }
    let memory = try #require(first.memory)
    memory.damage(100)
    // The words of the last id, at 160 of the first page.
    for word in [160, 176] { memory.damage(word - JournalFormat.pageSize) }
    let second = try next(first)
    #expect(second.events == [recovery(cut: 3 * 128, messages: "null")])
    #expect(second.done.last?.hasSuffix("384 damaged bytes cut off with messages") == true)
  }

  // MARK: The end

  @Test func whatWaitsStaysForTheNext() throws {
    let first = sender()
    first.send("1")
    first.send("2", .liveOnly)
    #expect(first.outbound.hasQueued && !first.outbound.losesQueued)
    first.doing { $0.fail() }
    first.tell("the client has ended")
    first.doing { $0.keep() }
    #expect(first.events == [loss("failed", 2, 2, "the client has ended", ids: "[]"), #"{"event":"journal_kept","messages":1}"#])
    #expect(first.takeDone().last == "INFO 1 messages stay in the journal")
    #expect(first.outbound.isKept && !first.outbound.hasQueued && first.isBalanced)
    first.doing { $0.keep() }
    #expect(first.takeDone().isEmpty && first.events.count == 2)
    first.outbound.resume()
    #expect(first.outbound.hasQueued)
    first.doing { $0.keep() }
    #expect(first.events.count == 3)
    first.outbound.release()
    #expect(first.outbound.journal == nil && first.outbound.outbox.book.journal == nil)
    #expect(try next(first).drain() == ["1"])
  }

  @Test func anEmptyOutboxIsKeptInSilence() {
    let first = sender()
    first.doing { $0.keep() }
    #expect(first.events.isEmpty && first.done.isEmpty && first.outbound.isKept)
  }
}
