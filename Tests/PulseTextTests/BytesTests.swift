// SPDX-License-Identifier: Apache-2.0
import PulseText
import Testing

@Suite struct BytesTests {
  /// What the standard library makes of the same bytes.
  private func check(_ bytes: [UInt8]) {
    let expected = String(decoding: bytes, as: UTF8.self)
    guard String(bytes: bytes) != expected || Array(String(bytes: bytes).utf8) != Array(expected.utf8) else { return }
    Issue.record("\(bytes) becomes \(Array(String(bytes: bytes).utf8))")
  }

  @Test func whatIsNotUTF8BecomesTheReplacementCharacter() {
    let edges: [UInt8] = [
      0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
      0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
    ]
    check([])
    for first in 0...UInt8.max {
      check([first])
      for second in 0...UInt8.max { check([first, second]) }
    }
    for first in edges {
      for second in edges {
        for third in edges {
          check([first, second, third])
          for fourth in edges { check([first, second, third, fourth, 0x41]) }
        }
      }
    }
  }

  @Test func lengthsAndTextsOfC() {
    for text in ["", "a", "0123456789abcdef0123456789", "é…😀"] {
      #expect(text.byteCount == text.utf8.count && text.bytes == Array(text.utf8) && text.hasNoBytes == text.isEmpty)
      #expect(text.cString.withUnsafeBufferPointer { String(cText: $0.baseAddress!) } == text)
    }
    for (bytes, isGood) in [([0x61, 0xC3, 0xA9, 0], true), ([0x61, 0xF0, 0x90, 0x80, 0], false)] as [([UInt8], Bool)] {
      var isUTF8 = true
      let units = bytes.map { CChar(bitPattern: $0) }
      _ = units.withUnsafeBufferPointer { String(cText: $0.baseAddress!, &isUTF8) }
      #expect(isUTF8 == isGood)
    }
  }
}
