// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import PulseWire
import Testing

/// The definition of RFC 3629 §4, with nothing clever.
private func reference(_ bytes: [UInt8]) -> Bool {
  var index = 0
  func continuation(_ at: Int) -> UInt32? {
    guard at < bytes.count, bytes[at] & 0xC0 == 0x80 else { return nil }
    return UInt32(bytes[at] & 0x3F)
  }
  while index < bytes.count {
    let lead = UInt32(bytes[index])
    let length = lead < 0x80 ? 1 : lead & 0xE0 == 0xC0 ? 2 : lead & 0xF0 == 0xE0 ? 3 : lead & 0xF8 == 0xF0 ? 4 : 0
    if length == 0 { return false }
    var value = length == 1 ? lead : lead & (0x7F >> UInt32(length))
    for offset in 1..<max(length, 1) {
      guard let low = continuation(index + offset) else { return false }
      value = value << 6 | low
    }
    let smallest: [UInt32] = [0, 0, 0x80, 0x800, 0x10000]
    if value < smallest[length] || value > 0x10FFFF || (0xD800...0xDFFF).contains(value) { return false }
    index += length
  }
  return true
}

/// Whether some text begins with these bytes.
private func canContinue(_ bytes: [UInt8]) -> Bool {
  if reference(bytes) { return true }
  let endings: [[UInt8]] = [
    [0x80], [0xA0], [0x80, 0x80], [0xA0, 0x80], [0x80, 0x80, 0x80], [0x90, 0x80, 0x80],
  ]
  return endings.contains { reference(bytes + $0) }
}

struct UTF8ValidatorTests {
  private static let variants: [Int32] = [0, 1, 2, 3].filter { $0 <= pulse_kernel_best() }

  /// Whether all variants give the right verdict; in memory of exactly the right size, for the address sanitizer.
  private func allAgree(_ bytes: [UInt8]) -> Bool {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { memory.deallocate() }
    memory.copyBytes(from: bytes)
    let expected: Int32 = !reference(bytes) ? 0 : bytes.allSatisfy { $0 < 0x80 } ? 3 : 1
    for variant in UTF8ValidatorTests.variants
    where pulse_utf8_check_with(variant, memory.baseAddress, bytes.count) != expected { return false }
    return true
  }

  /// The bytes at which a rule changes, and one between.
  private static let edges: [UInt8] = [
    0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
    0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFF,
  ]

  @Test func everySequenceOfOneAndTwoBytes() {
    for first in 0...255 {
      if !allAgree([UInt8(first)]) { Issue.record("\(first)") }
      for second in 0...255 {
        let bytes = [UInt8(first), UInt8(second)]
        if !allAgree(bytes) { Issue.record("\(bytes)") }
      }
    }
  }

  /// All bytes where they matter (the lead and the byte behind it), edges in the places after.
  @Test func sequencesOfThreeAndFourBytes() {
    for first in 0x7F...0xFF {
      for second in 0...255 {
        for third in [0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2] as [UInt8] {
          var bytes = [UInt8(first), UInt8(second), third]
          if !allAgree(bytes) { Issue.record("\(bytes)") }
          guard first >= 0xE0, second >= 0x7F else { continue }
          for fourth in [0x7F, 0x80, 0xBF, 0xC2] as [UInt8] {
            bytes = [UInt8(first), UInt8(second), third, fourth]
            if !allAgree(bytes) { Issue.record("\(bytes)") }
          }
        }
      }
    }
  }

  /// Every pair of neighbours and every triple of edges, at the seams of the vectors.
  @Test func sequencesAtEveryPlaceOfALongText() {
    var numbers = Numbers(seed: 11)
    for count in [20, 33, 64, 65, 100, 129, 300] {
      for place in 0..<count {
        for _ in 0..<40 {
          var bytes = [UInt8](repeating: 0x61, count: count)
          for offset in 0..<Int.random(in: 1...4, using: &numbers) where place + offset < count {
            bytes[place + offset] = UTF8ValidatorTests.edges.randomElement(using: &numbers) ?? 0
          }
          if !allAgree(bytes) { Issue.record("\(bytes)") }
        }
      }
    }
  }

  @Test func randomTextsWithAndWithoutDamage() {
    var numbers = Numbers(seed: 12)
    for round in 0..<6000 {
      var bytes = numbers.text(round % 400)
      if bytes != [] && round % 2 == 0 {
        let place = Int.random(in: 0..<bytes.count, using: &numbers)
        bytes[place] = UInt8(truncatingIfNeeded: numbers.next())
      }
      if round % 5 == 0 { bytes = Array(bytes.dropLast()) }
      if !allAgree(bytes) { Issue.record("\(bytes)") }
      let isValid = reference(bytes)
      bytes.withUnsafeBytes {
        #expect(isValidUTF8($0) == isValid)
        #expect(checkUTF8($0).isASCII == (isValid && bytes.allSatisfy { $0 < 0x80 }))
      }
    }
  }

  @Test func partsGiveTheVerdictOfTheWhole() {
    var numbers = Numbers(seed: 13)
    for round in 0..<3000 {
      var bytes = numbers.text(round % 150)
      if bytes != [] && round % 2 == 0 {
        bytes[Int.random(in: 0..<bytes.count, using: &numbers)] = UTF8ValidatorTests.edges.randomElement(using: &numbers) ?? 0
      }
      var validator = UTF8Validator()
      var accepted = true
      var rest = bytes[...]
      while accepted && !rest.isEmpty {
        let part = Array(rest.prefix(Int.random(in: 1...40, using: &numbers)))
        rest = rest.dropFirst(part.count)
        accepted = part.withUnsafeBytes { validator.consume($0) }
      }
      let isValid = accepted && validator.isComplete
      if isValid != reference(bytes) { Issue.record("\(bytes)") }
      if isValid { #expect(validator.isASCII == bytes.allSatisfy { $0 < 0x80 }) }
    }
  }

  /// A prefix is refused exactly when no text begins with it.
  @Test func failsAtTheFirstBadByte() {
    func check(_ bytes: [UInt8]) {
      // Whole, and byte by byte.
      var whole = UTF8Validator()
      let accepted = bytes.withUnsafeBytes { whole.consume($0) }
      var single = UTF8Validator()
      var acceptedSingly = true
      for byte in bytes where acceptedSingly {
        acceptedSingly = withUnsafeBytes(of: byte) { single.consume($0) }
      }
      let expected = canContinue(bytes)
      if accepted != expected || acceptedSingly != expected { Issue.record("\(bytes)") }
      if accepted { #expect(whole.isComplete == reference(bytes)) }
    }
    for first in 0...255 {
      check([UInt8(first)])
      for second in 0...255 {
        check([UInt8(first), UInt8(second)])
      }
    }
    for first in UTF8ValidatorTests.edges {
      for second in UTF8ValidatorTests.edges {
        for third in UTF8ValidatorTests.edges {
          check([first, second, third])
          check([0x61, first, second, third])
        }
      }
    }
  }
}
