// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

@Suite struct KeyTableTests {
  @Test func agreesWithADictionary() {
    var random = SeededRandom(3)
    for limit in [0, 1, 100, 5000] {
      let table = KeyTable(seed: random.next(), limit: limit)
      var model: [[UInt8]: Int] = [:]
      var order: [[UInt8]] = []
      for _ in 0..<20_000 {
        let size = random.below(20) == 0 ? random.below(260) : random.below(4)
        let key = (0..<size).map { _ in UInt8(65 + random.below(size > 4 ? 3 : 12)) }
        var expected = model[key] ?? -1
        if random.below(4) == 0 {
          #expect(withExact(key) { table.find($0) } == expected)
          continue
        }
        if expected < 0, key.count <= 256, order.count < limit {
          expected = order.count
          model[key] = expected
          order.append(key)
        }
        #expect(withExact(key) { table.index(of: $0) } == expected)
        #expect(table.count == order.count)
      }
      for (index, key) in order.enumerated() { #expect(Array(table.key(index)) == key) }
      #expect(table.key(-1).isEmpty && table.key(order.count).isEmpty)
    }
  }

  @Test func holdsSoManyKeysAndNoMore() {
    let table = KeyTable(seed: 1)
    for index in 0..<KeyTable.maxKeys { #expect(withExact(bytes("key-\(index)")) { table.index(of: $0) } == index) }
    #expect(withExact(bytes("one more")) { table.index(of: $0) } == -1)
    for index in stride(from: 0, to: KeyTable.maxKeys, by: 997) {
      #expect(withExact(bytes("key-\(index)")) { table.index(of: $0) } == index)
    }
  }

  @Test func sizes() {
    let table = KeyTable(seed: 1)
    for size in 0...256 { #expect(withExact([UInt8](repeating: 7, count: size)) { table.index(of: $0) } == size) }
    #expect(withExact([UInt8](repeating: 7, count: 257)) { table.index(of: $0) } == -1)
  }
}
