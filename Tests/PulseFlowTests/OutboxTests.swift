// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

@discardableResult
private func append(
  _ outbox: Outbox, _ id: UInt64, _ size: Int = 1, flags: OutboxFlags = [], expiresAt: Int64 = .max, at now: Int64 = 0
) -> Outbox.Admission {
  [UInt8](repeating: UInt8(truncatingIfNeeded: id), count: size).withUnsafeBytes {
    outbox.append(id: id, kind: 1, flags: flags, payload: $0, expiresAt: expiresAt, acceptedAt: now)
  }
}

private func putBack(_ outbox: Outbox, _ ids: [UInt64], expiresAt: Int64 = .max) {
  outbox.beginPutBack()
  for id in ids {
    [UInt8](repeating: UInt8(truncatingIfNeeded: id), count: 1).withUnsafeBytes {
      outbox.putBack(
        OutboxMessage(id: id, kind: 1, flags: [], payload: $0, expiresAt: expiresAt, acceptedAt: 0))
    }
  }
  outbox.endPutBack()
}

private func drain(_ outbox: Outbox, now: Int64 = 0) -> [UInt64] {
  var ids: [UInt64] = []
  while let message = outbox.front(now: now) {
    ids.append(message.id)
    outbox.removeFront()
  }
  return ids
}

@Suite struct OutboxTests {
  @Test func givesBackWhatItWasGivenInOrder() {
    let outbox = Outbox()
    for id in 1...10 { append(outbox, UInt64(id), id, flags: .report, expiresAt: 100, at: Int64(id)) }
    #expect(outbox.count == 10)
    #expect(outbox.bytes == 55 + 10 * MessageQueue.overhead)
    let message = outbox.front(now: 99)!
    #expect(message.id == 1 && message.kind == 1 && message.flags == .report && Array(message.payload) == [1])
    #expect(message.expiresAt == 100 && message.acceptedAt == 1)
    #expect(drain(outbox) == Array(1...10))
    #expect(outbox.isEmpty && outbox.bytes == 0 && outbox.highestCount == 10)
    #expect(outbox.highestBytes == 55 + 10 * MessageQueue.overhead)
    #expect(!outbox.book.hasNews)
  }

  @Test func theOldestMakesRoom() {
    let outbox = Outbox()
    outbox.limits.count = 3
    for id in 1...5 { #expect(append(outbox, UInt64(id), flags: id == 2 ? .report : []) == .accepted) }
    let told = outbox.book.takeDiscarded()
    #expect(told.count == 1 && told[0].cause == .oldest && told[0].count == 2)
    #expect(told[0].firstID == 1 && told[0].lastID == 2)
    let reports = outbox.book.takeReports()
    #expect(reports.map(\.id) == [2] && reports[0].fate == .dropped)
    #expect(outbox.book.takeDiscarded().isEmpty && outbox.book.takeReports().isEmpty)
    #expect(outbox.book.dropped == 2)
    #expect(drain(outbox) == [3, 4, 5])
  }

  @Test func theNewestIsDroppedOrRefused() {
    let outbox = Outbox()
    outbox.limits.count = 1
    append(outbox, 1)
    outbox.policy = .dropNewest
    #expect(append(outbox, 2, flags: .report) == .dropNewest)
    #expect(outbox.book.takeDiscarded().map(\.cause) == [.newest])
    #expect(outbox.book.takeReports().map(\.id) == [2])
    outbox.policy = .reject
    #expect(append(outbox, 3) == .full)
    outbox.policy = .block
    #expect(append(outbox, 3) == .full)
    #expect(!outbox.book.hasNews && outbox.book.dropped == 1)
    #expect(drain(outbox) == [1])
  }

  @Test func anEmptyOutboxTakesAMessageOfAnySize() {
    let outbox = Outbox()
    outbox.limits = Outbox.Limits(count: 10, bytes: 100)
    #expect(outbox.hasRoom(for: 1 << 20))
    #expect(append(outbox, 1, 1 << 20) == .accepted)
    #expect(!outbox.hasRoom(for: 0))
    #expect(append(outbox, 2, 1) == .accepted)
    #expect(drain(outbox) == [2])
    #expect(outbox.hasRoom(for: .max))
    append(outbox, 3, 20)
    #expect(outbox.hasRoom(for: 0) && !outbox.hasRoom(for: 1) && !outbox.hasRoom(for: .max))
  }

  @Test func whatHasExpiredMakesRoomFirst() {
    let outbox = Outbox()
    outbox.limits.count = 2
    append(outbox, 1)
    append(outbox, 2, expiresAt: 50)
    outbox.policy = .reject
    #expect(append(outbox, 3, at: 49) == .full)
    #expect(append(outbox, 3, at: 50) == .accepted)
    #expect(outbox.book.expired == 1 && outbox.book.dropped == 0)
    #expect(drain(outbox) == [1, 3])
  }

  @Test func anExpiredMessageIsNeverAtTheFront() {
    let outbox = Outbox()
    append(outbox, 1, expiresAt: 10)
    append(outbox, 2, expiresAt: 20)
    append(outbox, 3)
    #expect(outbox.front(now: 9)?.id == 1)
    #expect(outbox.front(now: 10)?.id == 2)
    #expect(outbox.front(now: 20)?.id == 3)
    #expect(outbox.count == 1 && outbox.book.expired == 2)
    let told = outbox.book.takeDiscarded()
    #expect(told.count == 1 && told[0].cause == .expired && told[0].firstID == 1 && told[0].lastID == 2)
  }

  @Test func expiryIsKnownInAdvance() {
    let outbox = Outbox()
    #expect(outbox.nextExpiry == .max)
    append(outbox, 1)
    #expect(outbox.nextExpiry == .max)
    append(outbox, 2, expiresAt: 70)
    append(outbox, 3, expiresAt: 60)
    #expect(outbox.nextExpiry == 60)
    #expect(outbox.expire(now: 59) == 0)
    #expect(outbox.expire(now: 60) == 1)
    #expect(outbox.nextExpiry == 70)
    #expect(outbox.expire(now: 1000) == 1)
    #expect(outbox.nextExpiry == .max)
    #expect(drain(outbox, now: 1000) == [1])
  }

  @Test func whatWasPutBackGoesFirst() {
    let outbox = Outbox()
    outbox.limits.count = 2
    append(outbox, 5)
    append(outbox, 6)
    putBack(outbox, [3, 4])
    #expect(outbox.count == 4 && !outbox.hasRoom(for: 0))
    putBack(outbox, [1, 2])
    putBack(outbox, [])
    outbox.limits.count = 7
    append(outbox, 7)
    #expect(drain(outbox) == Array(1...7))
    putBack(outbox, [8, 9])
    append(outbox, 10)
    #expect(drain(outbox) == [8, 9, 10])
    putBack(outbox, [])
    append(outbox, 11)
    #expect(drain(outbox) == [11])
    #expect(!outbox.book.hasNews)
  }

  @Test func whatWasPutBackExpires() {
    let outbox = Outbox()
    append(outbox, 2)
    putBack(outbox, [1], expiresAt: 5)
    #expect(outbox.nextExpiry == 5)
    #expect(drain(outbox, now: 5) == [2])
  }

  @Test func liveOnlyMessagesGoWithTheConnection() {
    let outbox = Outbox()
    for id in 1...6 { append(outbox, UInt64(id), flags: id % 2 == 0 ? [.liveOnly, .report] : .report) }
    #expect(outbox.removeAll(withFlags: .liveOnly, cause: .notLive) == 3)
    #expect(outbox.book.failed == 3)
    #expect(outbox.book.takeReports().map(\.id) == [2, 4, 6])
    #expect(drain(outbox) == [1, 3, 5])
    #expect(outbox.removeAll(withFlags: [], cause: .connection) == 0)
  }

  @Test func purgeDropsAll() {
    let outbox = Outbox()
    for id in 1...5000 { append(outbox, UInt64(id), 100) }
    #expect(outbox.purge() == 5000)
    #expect(outbox.isEmpty && outbox.bytes == 0 && outbox.book.dropped == 5000)
    #expect(outbox.ownedBytes == 0)
    append(outbox, 1)
    #expect(drain(outbox) == [1])
  }

  @Test func whatRemainsThinlySpreadMovesTogether() {
    let outbox = Outbox()
    for id in 1...50_000 { append(outbox, UInt64(id), 200, expiresAt: id % 1000 == 0 ? .max : 10) }
    #expect(outbox.ownedBytes > 10_000_000)
    outbox.expire(now: 10)
    #expect(outbox.count == 50)
    #expect(outbox.ownedBytes < 1 << 20)
    let message = outbox.front(now: 10)!
    #expect(message.payload.count == 200 && message.payload[0] == UInt8(1000 % 256))
    #expect(drain(outbox) == stride(from: 1000, through: 50_000, by: 1000).map { UInt64($0) })
  }

  @Test func manyTimesToLiveAreNotSearchedAgainAndAgain() {
    let outbox = Outbox()
    let many = 50_000
    for id in 0..<many { append(outbox, UInt64(id), 0, expiresAt: Int64((id * 7919) % many) * 1000) }
    // 50 ms in which a message expires every microsecond.
    var searches = 0
    var now: Int64 = 0
    while outbox.count > 0 {
      let before = outbox.count
      outbox.expire(now: now)
      if outbox.count != before { searches += 1 }
      now += 20_000
    }
    #expect(searches < 40)
    #expect(outbox.book.expired == UInt64(many))
    #expect(now < 60_000_000)
  }

  @Test func theSteadyStateUsesTheSameMemory() {
    let outbox = Outbox()
    for id in 0..<2000 { append(outbox, UInt64(id), 100) }
    var addresses: Set<UnsafeRawPointer> = []
    var strangers = 0
    var inOrder = true
    for id in 2000..<30_000 {
      append(outbox, UInt64(id), 100)
      let message = outbox.front(now: 0)!
      inOrder = inOrder && message.id == UInt64(id - 2000)
      if id < 15_000 {
        addresses.insert(message.payload.baseAddress!)
      } else if !addresses.contains(message.payload.baseAddress!) {
        strangers += 1
      }
      outbox.removeFront()
    }
    #expect(inOrder && strangers == 0)
    #expect(outbox.count == 2000)
  }

  @Test func trimGivesMemoryBack() {
    let outbox = Outbox()
    for id in 0..<10_000 { append(outbox, UInt64(id), 100) }
    _ = drain(outbox)
    outbox.trim()
    #expect(outbox.ownedBytes == 0)
    append(outbox, 1)
    outbox.trim()
    #expect(drain(outbox) == [1])
  }
}

struct OutboxLowestIDTests {
  @Test func messagesThatHadOvertakenAndCameBackDoNotHideLowerOnes() {
    let outbox = Outbox()
    func message(_ id: UInt64, flags: OutboxFlags = [], expiresAt: Int64 = .max) -> OutboxMessage {
      OutboxMessage(
        id: id, kind: 1, flags: flags, payload: UnsafeRawBufferPointer(start: nil, count: 0), expiresAt: expiresAt,
        acceptedAt: 0)
    }
    #expect(outbox.lowestID(now: 0) == nil)
    for id in 3...5 as ClosedRange<UInt64> {
      _ = outbox.append(
        id: id, kind: 1, flags: [], payload: UnsafeRawBufferPointer(start: nil, count: 0), expiresAt: .max, acceptedAt: 0)
    }
    outbox.beginPutBack()
    outbox.putBack(message(9, flags: .liveOnly, expiresAt: 10))
    outbox.putBack(message(10, flags: .liveOnly))
    outbox.endPutBack()
    #expect(outbox.front(now: 0)?.id == 9)
    #expect(outbox.lowestID(now: 0) == 3)
    #expect(outbox.lowestID(now: 20) == 3)
    outbox.removeFront()
    outbox.removeFront()
    #expect(outbox.lowestID(now: 20) == 4)
  }
}
