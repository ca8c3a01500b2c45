// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

private func append(_ queue: MessageQueue, _ bytes: [UInt8], expected: Int = 0) {
  _ = bytes.withUnsafeBytes { payload in
    queue.append(kind: 1, flags: 0, payload: payload, receivedAt: 7, expected: expected)
  }
}

private func payloads(_ slice: MessageSlice) -> [[UInt8]] {
  (0..<slice.count).map { Array(slice.records[$0].payload) }
}

/// A reproducible source for the property tests.
private struct Dice {
  var state: UInt64
  mutating func roll(_ sides: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33) % sides
  }
}

@Suite struct MessageQueueTests {
  @Test func givesBackInOrderWithSequences() {
    let queue = MessageQueue()
    for index in 0..<10 { append(queue, [UInt8](repeating: UInt8(index), count: index)) }
    #expect(queue.count == 10)
    #expect(queue.bytes == 45 + 10 * MessageQueue.overhead)
    let slice = queue.take(4)!
    #expect(payloads(slice).map(\.count) == [0, 1, 2, 3])
    #expect((0..<4).map { slice.records[$0].sequence } == [1, 2, 3, 4])
    #expect(slice.records[0].receivedAt == 7)
    #expect(queue.count == 6)
    #expect(queue.take(100)!.count == 6)
    #expect(queue.take(1) == nil)
    #expect(queue.isEmpty && queue.bytes == 0)
  }

  @Test func payloadsOfABatchLieWithoutGaps() {
    let queue = MessageQueue()
    for index in 0..<200 { append(queue, [UInt8](repeating: 1, count: index % 37), expected: 64 << 10) }
    while let slice = queue.take(64) {
      var place = slice.records[0].data
      for index in 0..<slice.count {
        #expect(slice.records[index].data == place)
        place += slice.records[index].length
      }
    }
  }

  @Test func messagesOfABatchOutliveTheQueue() {
    var queue: MessageQueue? = MessageQueue()
    append(queue!, [1, 2, 3])
    let slice = queue!.take(1)!
    queue = nil
    #expect(payloads(slice) == [[1, 2, 3]])
  }

  @Test func laterMessagesLeaveABatchAlone() {
    let queue = MessageQueue()
    append(queue, [9, 9, 9])
    let slice = queue.take(1)!
    for _ in 0..<5000 {
      append(queue, [UInt8](repeating: 5, count: 100))
      queue.beginChunk()
      if let other = queue.take(10) { queue.giveBack(other.segment) }
    }
    #expect(payloads(slice) == [[9, 9, 9]])
  }

  @Test func aDrainedSegmentIsUsedAgain() {
    let queue = MessageQueue()
    var addresses: Set<UnsafeRawPointer> = []
    for _ in 0..<1000 {
      queue.beginChunk()
      for _ in 0..<50 { append(queue, [UInt8](repeating: 3, count: 128), expected: 6400) }
      while let slice = queue.take(16) {
        addresses.insert(UnsafeRawPointer(slice.records))
        queue.giveBack(slice.segment)
      }
    }
    // 50 messages in slices of 16 begin at 4 places; a queue that allocates would show many more.
    #expect(addresses.count <= 8)
  }

  @Test func aMessageLargerThanASegmentFits() {
    let queue = MessageQueue()
    append(queue, [1])
    append(queue, [UInt8](repeating: 2, count: 3 << 20))
    append(queue, [3])
    #expect(payloads(queue.take(10)!) == [[1]])
    #expect(queue.take(10)!.records[0].length == 3 << 20)
    #expect(payloads(queue.take(10)!) == [[3]])
  }

  @Test(arguments: [1, 2, 3, 4, 5])
  func agreesWithAnArray(seed: Int) {
    var dice = Dice(state: UInt64(seed))
    let queue = MessageQueue()
    var model: [[UInt8]] = []
    var next: UInt8 = 0
    var held: [(MessageSlice, [[UInt8]])] = []
    for _ in 0..<4000 {
      switch dice.roll(6) {
      case 0, 1, 2:
        queue.beginChunk()
        for _ in 0...dice.roll(20) {
          let bytes = [UInt8](repeating: next, count: dice.roll(8) == 0 ? dice.roll(20000) : dice.roll(300))
          next &+= 1
          model.append(bytes)
          append(queue, bytes, expected: dice.roll(100_000))
        }
      case 3, 4:
        if let slice = queue.take(1 + dice.roll(64)) {
          let expected = Array(model.prefix(slice.count))
          model.removeFirst(slice.count)
          #expect(payloads(slice) == expected)
          if dice.roll(2) == 0 { queue.giveBack(slice.segment) } else { held.append((slice, expected)) }
        } else {
          #expect(model.isEmpty)
        }
      default:
        if let (slice, expected) = held.popLast() {
          #expect(payloads(slice) == expected)
          queue.giveBack(slice.segment)
        }
        if dice.roll(10) == 0 { queue.trim() }
      }
      #expect(queue.count == model.count)
      #expect(queue.bytes == model.reduce(0) { $0 + $1.count + MessageQueue.overhead })
    }
  }

  @Test func aLongQueueEndsWithoutDeepRecursion() {
    let queue = MessageQueue()
    for _ in 0..<200_000 { append(queue, [UInt8](repeating: 1, count: 100)) }
    #expect(queue.count == 200_000)
  }
}
