// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import PulseWire
import Testing

struct MaskTests {
  private static let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
  private var word: UInt32 { MaskTests.key.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) } }

  private func naive(_ bytes: [UInt8], phase: Int = 0) -> [UInt8] {
    bytes.enumerated().map { $1 ^ MaskTests.key[($0 + phase) & 3] }
  }

  @Test func everyLengthAndAlignment() {
    var numbers = Numbers(seed: 21)
    let source = numbers.bytes(264)
    let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 400, alignment: 64)
    defer { target.deallocate() }
    for variant in 0...pulse_kernel_best() {
      for count in 0...200 {
        let expected = naive(Array(source[..<count]))
        for alignment in Array(0..<16) + [31, 32, 33, 63] {
          guard let base = target.baseAddress else { return }
          // Copied.
          target.initializeMemory(as: UInt8.self, repeating: 0xEE)
          source.withUnsafeBytes { pulse_mask_with(variant, base + 64 + alignment, $0.baseAddress, count, word) }
          if !Array(target[(64 + alignment)...].prefix(count)).elementsEqual(expected)
            || target[63 + alignment] != 0xEE || target[64 + alignment + count] != 0xEE
          {
            Issue.record("variant \(variant), copied, \(count) bytes at \(alignment)")
          }
          // In place.
          target.initializeMemory(as: UInt8.self, repeating: 0xEE)
          source.withUnsafeBytes { (base + 64 + alignment).copyMemory(from: $0.baseAddress!, byteCount: count) }
          pulse_mask_with(variant, base + 64 + alignment, base + 64 + alignment, count, word)
          if !Array(target[(64 + alignment)...].prefix(count)).elementsEqual(expected)
            || target[63 + alignment] != 0xEE || target[64 + alignment + count] != 0xEE
          {
            Issue.record("variant \(variant), in place, \(count) bytes at \(alignment)")
          }
        }
      }
    }
  }

  @Test func keyGoesOnBehindAPart() {
    var numbers = Numbers(seed: 22)
    for _ in 0..<500 {
      var bytes = numbers.bytes(Int.random(in: 0...300, using: &numbers))
      let expected = naive(bytes)
      bytes.withUnsafeMutableBytes { memory in
        var key = word
        var offset = 0
        while offset < memory.count {
          let count = min(Int.random(in: 1...70, using: &numbers), memory.count - offset)
          pulse_mask(memory.baseAddress! + offset, memory.baseAddress! + offset, count, key)
          key = pulse_mask_rotate(key, count)
          offset += count
        }
      }
      #expect(bytes == expected)
    }
  }

  @Test func exactMemory() {
    for count in 0...200 {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
      defer { memory.deallocate() }
      memory.initializeMemory(as: UInt8.self, repeating: 0)
      for variant in 0...pulse_kernel_best() {
        pulse_mask_with(variant, memory.baseAddress, memory.baseAddress, count, word)
        pulse_mask_with(variant, memory.baseAddress, memory.baseAddress, count, word)
      }
      #expect(memory.allSatisfy { $0 == 0 })
    }
  }
}
