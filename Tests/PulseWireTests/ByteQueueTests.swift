// SPDX-License-Identifier: Apache-2.0
import PulseWire
import Testing

struct ByteQueueTests {
  @Test func behavesLikeAnArray() {
    var numbers = Numbers(seed: 7)
    var queue = ByteQueue()
    var model: [UInt8] = []
    for _ in 0..<4000 {
      switch numbers.next() % 4 {
      case 0, 1:
        let bytes = numbers.bytes(Int(numbers.next() % 300))
        bytes.withUnsafeBytes { queue.append($0) }
        model += bytes
      case 2:
        let count = Int(numbers.next() % 400)
        queue.consume(count)
        model.removeFirst(min(count, model.count))
      default:
        let count = Int(numbers.next() % 100)
        let place = queue.reserve(count)
        for index in 0..<count { place.storeBytes(of: UInt8(index), toByteOffset: index, as: UInt8.self) }
        queue.commit(count)
        model += (0..<count).map { UInt8($0) }
      }
      let (count, isEmpty) = (queue.count, queue.isEmpty)
      #expect(count == model.count)
      #expect(isEmpty == model.isEmpty)
      if numbers.next() % 16 == 0 {
        let content = Array(queue.readable)
        #expect(content == model)
      }
    }
  }

  @Test func emptyQueueHoldsNothing() {
    let queue = ByteQueue()
    let isNothing = queue.count == 0 && queue.allocatedBytes == 0 && queue.readable.isEmpty
    #expect(isNothing)
  }

  @Test func givesLargeMemoryBackWhenDrained() {
    var queue = ByteQueue()
    let block = [UInt8](repeating: 1, count: ByteQueue.retained + 1)
    block.withUnsafeBytes { queue.append($0) }
    queue.consume(ByteQueue.retained)
    let grown = queue.allocatedBytes
    #expect(grown > ByteQueue.retained)
    queue.consume(1)
    let drained = queue.allocatedBytes
    #expect(drained == 0)
    [UInt8(1)].withUnsafeBytes { queue.append($0) }
    queue.consume(1)
    let kept = queue.allocatedBytes
    #expect(kept > 0)
  }

  @Test func doesNotGrowInTheSteadyState() {
    var queue = ByteQueue()
    let block = [UInt8](repeating: 1, count: 100)
    for _ in 0..<10 { block.withUnsafeBytes { queue.append($0) } }
    var largest = 0
    for _ in 0..<10_000 {
      block.withUnsafeBytes { queue.append($0) }
      queue.consume(100)
      largest = max(largest, queue.allocatedBytes)
    }
    let count = queue.count
    #expect(count == 1000)
    #expect(largest <= 4096)
  }

  @Test func clampsNumbersThatMakeNoSense() {
    var queue = ByteQueue()
    [1, 2, 3].withUnsafeBytes { queue.append($0) }
    let count = queue.count
    queue.consume(-1)
    queue.commit(-5)
    let unchanged = queue.count
    #expect(unchanged == count)
    queue.consume(.max)
    let isEmpty = queue.isEmpty
    #expect(isEmpty)
  }
}
