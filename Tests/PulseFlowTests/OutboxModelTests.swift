// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

/// A reproducible source for the property tests.
private struct Dice {
  var state: UInt64
  mutating func roll(_ sides: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33) % sides
  }
}

private struct Message: Equatable {
  var id: UInt64
  var flags: OutboxFlags
  var payload: [UInt8]
  var expiresAt: Int64
  var acceptedAt: Int64

  var cost: Int { payload.count + MessageQueue.overhead }
}

private struct Report: Equatable {
  var id: UInt64
  var fate: Fate
}

/// The outbox as one would write it with an array.
private struct Model {
  private(set) var messages: [Message] = []
  private(set) var bytes = 0
  var limits = Outbox.Limits(count: .max, bytes: .max)
  var policy = OverflowPolicy.dropOldest
  var fates: [Fate: UInt64] = [.dropped: 0, .expired: 0, .failed: 0]
  var recent: [DiscardCause: [UInt64]] = [:]
  var reports: [Report] = []

  mutating func removeFirst() -> Message {
    bytes -= messages[0].cost
    return messages.removeFirst()
  }

  mutating func putBack(_ returned: [Message]) {
    messages = returned + messages
    for message in returned { bytes += message.cost }
  }

  mutating func discard(_ message: Message, _ cause: DiscardCause) {
    fates[cause.fate]! += 1
    recent[cause, default: []].append(message.id)
    if message.flags.contains(.report) { reports.append(Report(id: message.id, fate: cause.fate)) }
  }

  mutating func remove(_ cause: DiscardCause, where isMeant: (Message) -> Bool) {
    for message in messages where isMeant(message) {
      discard(message, cause)
      bytes -= message.cost
    }
    messages.removeAll(where: isMeant)
  }

  mutating func expire(_ now: Int64) { remove(.expired) { $0.expiresAt <= now } }

  func hasRoom(_ size: Int) -> Bool {
    messages.isEmpty || (messages.count < limits.count && bytes + size + MessageQueue.overhead <= limits.bytes)
  }

  mutating func append(_ message: Message) -> Outbox.Admission {
    if !hasRoom(message.payload.count) { expire(message.acceptedAt) }
    while !hasRoom(message.payload.count) {
      switch policy {
      case .dropOldest: discard(removeFirst(), .oldest)
      case .dropNewest:
        discard(message, .newest)
        return .dropNewest
      case .reject, .block: return .full
      }
    }
    messages.append(message)
    bytes += message.cost
    return .accepted
  }

  mutating func front(_ now: Int64) -> Message? {
    while let first = messages.first {
      if first.expiresAt > now { return first }
      discard(removeFirst(), .expired)
    }
    return nil
  }
}

private func copy(_ message: OutboxMessage) -> Message {
  Message(
    id: message.id, flags: message.flags, payload: Array(message.payload), expiresAt: message.expiresAt,
    acceptedAt: message.acceptedAt)
}

@Suite struct OutboxModelTests {
  @Test(arguments: [OverflowPolicy.dropOldest, .dropNewest, .reject, .block], 1...6)
  func agreesWithAnArray(policy: OverflowPolicy, seed: Int) throws {
    var dice = Dice(state: UInt64(seed) &* 1_000_003 &+ UInt64(policy.rawValue))
    let outbox = Outbox()
    var model = Model()
    model.policy = policy
    outbox.policy = policy
    // Of each search the model knows at once.
    outbox.shortScan = .max
    model.limits = Outbox.Limits(count: [10, 100, 600][seed % 3], bytes: [20_000, 300_000, 3_000_000][seed / 2 % 3])
    outbox.limits = model.limits
    var now: Int64 = 0
    var id: UInt64 = 0
    var accepted: UInt64 = 0
    var sent: UInt64 = 0
    // Taken, and neither written nor put back.
    var framed: [Message] = []

    for step in 0..<600 {
      now += Int64(dice.roll(50))
      switch dice.roll(20) {
      case 0..<9:
        for _ in 0...dice.roll(dice.roll(6) == 0 ? 300 : 12) {
          id += 1
          let size = dice.roll(60) == 0 ? dice.roll(100_000) : dice.roll(200)
          let message = Message(
            id: id, flags: OutboxFlags(rawValue: UInt32(dice.roll(4))),
            payload: [UInt8](repeating: UInt8(truncatingIfNeeded: id), count: size),
            expiresAt: dice.roll(2) == 0 ? .max : now + Int64(dice.roll(2000)), acceptedAt: now)
          try #require(outbox.hasRoom(for: size) == model.hasRoom(size), "seed \(seed), step \(step)")
          let admission = message.payload.withUnsafeBytes {
            outbox.append(
              id: id, kind: 1, flags: message.flags, payload: $0, expiresAt: message.expiresAt, acceptedAt: now)
          }
          try #require(admission == model.append(message), "seed \(seed), step \(step)")
          if admission != .full { accepted += 1 }
        }
      case 9..<15:
        for _ in 0...dice.roll(40) {
          let expected = model.front(now)
          let message = outbox.front(now: now)
          try #require(message.map(copy) == expected, "seed \(seed), step \(step)")
          guard let expected else { break }
          outbox.removeFront()
          _ = model.removeFirst()
          framed.append(expected)
        }
      case 15:
        sent += UInt64(framed.count)
        framed = []
      case 16:
        // The connection ends: some were written.
        let written = dice.roll(framed.count + 1)
        sent += UInt64(written)
        framed.removeFirst(written)
        model.putBack(framed)
        outbox.beginPutBack()
        for message in framed {
          message.payload.withUnsafeBytes {
            outbox.putBack(
              OutboxMessage(
                id: message.id, kind: 1, flags: message.flags, payload: $0, expiresAt: message.expiresAt,
                acceptedAt: message.acceptedAt))
          }
        }
        outbox.endPutBack()
        framed = []
        let removed = outbox.removeAll(withFlags: .liveOnly, cause: .notLive)
        let before = model.messages.count
        model.remove(.notLive) { $0.flags.contains(.liveOnly) }
        #expect(removed == before - model.messages.count)
      case 17:
        let soonest = model.messages.map(\.expiresAt).min() ?? .max
        #expect(outbox.nextExpiry <= max(soonest, now), "seed \(seed), step \(step)")
        outbox.expire(now: now)
        model.expire(now)
      case 18:
        if dice.roll(10) == 0 {
          outbox.purge()
          model.remove(.purged) { _ in true }
        }
      default:
        if dice.roll(5) == 0 { outbox.trim() }
        for told in outbox.book.takeDiscarded() {
          let expected = model.recent.removeValue(forKey: told.cause) ?? []
          #expect(told.count == expected.count, "seed \(seed), step \(step)")
          #expect(told.firstID == expected.min() && told.lastID == expected.max(), "seed \(seed), step \(step)")
        }
        #expect(model.recent.isEmpty, "seed \(seed), step \(step)")
        #expect(
          outbox.book.takeReports().map { Report(id: $0.id, fate: $0.fate) } == model.reports,
          "seed \(seed), step \(step)")
        model.reports = []
      }
      try #require(outbox.count == model.messages.count, "seed \(seed), step \(step)")
      try #require(outbox.bytes == model.bytes, "seed \(seed), step \(step)")
      let book = outbox.book
      #expect(book.dropped == model.fates[.dropped] && book.expired == model.fates[.expired])
      #expect(book.failed == model.fates[.failed])
      let queued = UInt64(outbox.count + framed.count)
      try #require(
        accepted == sent + book.dropped + book.expired + book.failed + queued, "seed \(seed), step \(step)")
      #expect(outbox.ownedBytes <= outbox.bytes * 4 + Outbox.slack + 2 * Outbox.largestSegment)
    }
    #expect(model.messages.map(\.id) == remaining(outbox, now: .min).map(\.id), "seed \(seed)")
  }

  private func remaining(_ outbox: Outbox, now: Int64) -> [Message] {
    var all: [Message] = []
    while let message = outbox.front(now: now) {
      all.append(copy(message))
      outbox.removeFront()
    }
    return all
  }
}
