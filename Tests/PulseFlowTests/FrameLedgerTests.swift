// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

/// A reproducible source for the property test.
private struct Dice {
  var state: UInt64
  mutating func roll(_ sides: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33) % sides
  }
}

@Suite struct FrameLedgerTests {
  @Test func aMessageIsSentWhenItsLastByteIs() {
    var ledger = FrameLedger()
    ledger.append(bytes: 10)
    ledger.append(bytes: 5)
    ledger.written(bytes: 9)
    #expect(ledger.settle() == 0)
    ledger.written(bytes: 1)
    #expect(ledger.settle() == 1)
    #expect(ledger.pending == 1)
    ledger.written(bytes: 5)
    #expect(ledger.settle() == 1)
    #expect(ledger.pending == 0)
  }

  @Test func bytesOfNoMessageCountForNone() {
    var ledger = FrameLedger()
    ledger.skip(bytes: 100)
    ledger.append(bytes: 10)
    ledger.skip(bytes: 7)
    ledger.append(bytes: 10)
    ledger.written(bytes: 110)
    #expect(ledger.settle() == 1)
    ledger.written(bytes: 16)
    #expect(ledger.settle() == 0)
    ledger.written(bytes: 1)
    #expect(ledger.settle() == 1)
  }

  @Test func manyMessagesInStepsThatDoNotMatchThem() {
    var ledger = FrameLedger()
    var settled: UInt64 = 0
    for round in 0..<20_000 {
      ledger.append(bytes: 13)
      ledger.written(bytes: round % 2 == 0 ? 6 : 20)
      settled += ledger.settle()
      #expect(settled + UInt64(ledger.pending) == UInt64(round + 1))
    }
    #expect(settled == 20_000)
  }

  @Test func aFrameThatIsNoMessageIsNotCounted() {
    var ledger = FrameLedger()
    ledger.append(bytes: 10, FrameEntry(id: 0, kind: 1, isMessage: false))
    ledger.append(bytes: 10, FrameEntry(id: 1, kind: 1))
    #expect(ledger.pending == 1 && ledger.count == 2)
    ledger.written(bytes: 10)
    #expect(ledger.settle() == 0 && ledger.count == 1)
    ledger.written(bytes: 10)
    #expect(ledger.settle() == 1)
    #expect(ledger.pending == 0 && ledger.count == 0 && ledger.entry(0) == nil)
  }

  @Test func tellsWhichMessagesMayBeSentAgain() {
    var ledger = FrameLedger()
    ledger.skip(bytes: 3)
    for id in 1...4 {
      ledger.append(
        bytes: 10,
        FrameEntry(
          id: UInt64(id), kind: 2, flags: OutboxFlags(rawValue: UInt32(id)), expiresAt: 50, acceptedAt: 7, isCompressed: id == 3))
    }
    ledger.written(bytes: 14)
    #expect(ledger.settle() == 1)
    #expect(ledger.firstUnstarted == 1)
    #expect(ledger.entry(0)?.id == 2)
    let entry = ledger.entry(1)!
    #expect(entry.id == 3 && entry.kind == 2 && entry.flags.rawValue == 3 && entry.isCompressed && entry.isMessage)
    #expect(entry.expiresAt == 50 && entry.acceptedAt == 7)
    #expect(entry.length == 10 && ledger.bytesBefore(entry) == 9)
    #expect(ledger.entry(3) == nil && ledger.entry(-1) == nil)
    ledger.reset()
    #expect(ledger.count == 0 && ledger.pending == 0 && ledger.firstUnstarted == 0)
    ledger.append(bytes: 5)
    #expect(ledger.entry(0)?.start == 0)
  }

  @Test func idsAreHandedOutOnlyWhereTheyAreAskedFor() {
    var ledger = FrameLedger()
    for id in 1...6 {
      ledger.append(bytes: 1, FrameEntry(id: UInt64(id), kind: 1, flags: id % 3 == 0 ? .report : []))
    }
    ledger.written(bytes: 5)
    #expect(ledger.settle() == 5)
    #expect(ledger.takeReported() == [3])
    #expect(ledger.takeReported().isEmpty)
    ledger.written(bytes: 1)
    #expect(ledger.settle() == 1)
    ledger.reset()
    #expect(ledger.takeReported() == [6])
  }

  @Test(arguments: 1...8)
  func agreesWithAnArray(seed: Int) throws {
    struct Frame {
      var id: UInt64
      var start: Int
      var end: Int
      var isMessage: Bool
      var isReported: Bool
    }
    var dice = Dice(state: UInt64(seed))
    var ledger = FrameLedger()
    var model: [Frame] = []
    var reported: [UInt64] = []
    var appended = 0
    var written = 0
    var id: UInt64 = 0
    for step in 0..<2000 {
      switch dice.roll(8) {
      case 0..<3:
        for _ in 0...dice.roll(8) {
          id += 1
          let size = 2 + dice.roll(100)
          let frame = Frame(
            id: id, start: appended, end: appended + size, isMessage: dice.roll(4) > 0, isReported: dice.roll(4) == 0)
          ledger.append(
            bytes: size,
            FrameEntry(
              id: id, kind: 1, flags: frame.isReported ? .report : [], isMessage: frame.isMessage))
          appended += size
          model.append(frame)
        }
      case 3:
        let size = dice.roll(20)
        ledger.skip(bytes: size)
        appended += size
      case 4..<7:
        let size = dice.roll(min(appended - written, 400) + 1)
        ledger.written(bytes: size)
        written += size
        #expect(ledger.firstUnstarted == model.filter { $0.start < written }.count, "seed \(seed), step \(step)")
        let done = model.filter { $0.end <= written }
        model.removeFirst(done.count)
        reported += done.filter { $0.isMessage && $0.isReported }.map(\.id)
        try #require(ledger.settle() == UInt64(done.filter(\.isMessage).count), "seed \(seed), step \(step)")
      default:
        #expect(ledger.takeReported() == reported, "seed \(seed), step \(step)")
        reported = []
        if dice.roll(20) == 0 {
          ledger.reset()
          model = []
          appended = 0
          written = 0
        }
      }
      try #require(ledger.count == model.count, "seed \(seed), step \(step)")
      try #require(ledger.pending == model.filter(\.isMessage).count, "seed \(seed), step \(step)")
      guard !model.isEmpty else { continue }
      let index = dice.roll(model.count)
      let entry = try #require(ledger.entry(index))
      #expect(entry.id == model[index].id && entry.length == model[index].end - model[index].start)
      #expect(ledger.bytesBefore(entry) == model[index].start - written, "seed \(seed), step \(step)")
    }
  }

  /// A write ends where a control frame may follow.
  @Test func writesEndBetweenTheFragmentsOfAMessage() {
    let frame = Int(FrameLedger.frameSize)
    var ledger = FrameLedger()
    ledger.append(bytes: 100)
    #expect(ledger.bytesToBoundary(of: 100) == 100)
    var entry = FrameEntry(id: 1, kind: 2)
    entry.isFragmented = true
    ledger.append(bytes: 2 * frame + 50, entry)
    ledger.append(bytes: 10)
    var left = 100 + 2 * frame + 60
    #expect(ledger.bytesToBoundary(of: left) == 100 + frame)
    for written in [60, 40 + 7, frame - 7] {
      ledger.written(bytes: written)
      _ = ledger.settle()
      left -= written
    }
    #expect(ledger.bytesToBoundary(of: left) == frame)
    ledger.written(bytes: frame - 1)
    #expect(ledger.bytesToBoundary(of: left - frame + 1) == 1)
    ledger.written(bytes: 1)
    left -= frame
    #expect(ledger.bytesToBoundary(of: left) == 50)
    ledger.written(bytes: 50)
    #expect(ledger.settle() == 1 && ledger.bytesToBoundary(of: left - 50) == 10)
    ledger.append(bytes: frame * 3, entry)
    ledger.removeAll(from: 1)
    #expect(ledger.bytesToBoundary(of: 10) == 10)
  }
}
