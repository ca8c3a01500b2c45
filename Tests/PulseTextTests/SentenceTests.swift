// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseText

struct SentenceTests {
  @Test func parts() {
    let name: Literal = "static"
    let text = String("text")
    #expect(sentence("") == "")
    #expect(sentence("literal é") == "literal é")
    #expect(sentence("\(name) \(text) \(Sentence("inner"))!") == "static text inner!")
    var grown: Sentence = "a"
    grown.add("b\(1)")
    #expect(sentence(grown) == "ab1")
  }

  @Test(arguments: [0, 7, 10, 65536, -1, Int.max, Int.min]) func numbers(_ number: Int) {
    #expect(sentence("\(number)") == String(number))
  }

  @Test func quotedText() {
    func quoted(_ bytes: [UInt8], limit: Int = 64) -> String { sentence("\(quoted: bytes[...], limit: limit)") }
    #expect(quoted([]) == "\"\"")
    #expect(quoted(Array("a\"b\\c".utf8)) == #""a\"b\\c""#)
    #expect(quoted([0, 0x0A, 0x1B, 0x7F, 0x80, 0xFF]) == #""\x00\x0A\x1B\x7F\x80\xFF""#)
    #expect(quoted(Array("abcd".utf8), limit: 4) == "\"abcd\"")
    #expect(quoted(Array("abcde".utf8), limit: 4) == "\"abcd\"...")
    #expect(sentence("\(byte: 0x0D)\(character: 0x2C)") == #"\x0D,"#)
    for byte in UInt8.min...UInt8.max { #expect(quoted([byte]).utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }) }
  }
}
