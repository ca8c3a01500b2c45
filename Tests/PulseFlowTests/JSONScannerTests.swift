// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import PulseFlow

private func isValid(_ text: [UInt8]) -> Bool {
  withExact(text) {
    var scanner = JSONScanner($0)
    return scanner.skipValue() && scanner.isAtEnd()
  }
}

/// The same through the calls that go item by item.
private func isValidByItems(_ text: [UInt8]) -> Bool {
  func visit(_ scanner: inout JSONScanner) -> Bool {
    let first = scanner.next()
    if first != UInt8(ascii: "{"), first != UInt8(ascii: "[") { return scanner.skipValue() }
    if !scanner.enter() { return false }
    var name = JSONString.empty
    while true {
      switch first == UInt8(ascii: "{") ? scanner.nextMember(&name) : scanner.nextElement() {
      case .end: return true
      case .invalid: return false
      case .item: if !visit(&scanner) { return false }
      }
    }
  }
  return withExact(text) {
    var scanner = JSONScanner($0)
    return visit(&scanner) && scanner.isAtEnd()
  }
}

private func decoded(_ text: String) -> [UInt8]? {
  withExact(bytes(text)) {
    var scanner = JSONScanner($0)
    guard scanner.next() == UInt8(ascii: "\""), let string = scanner.readString() else { return nil }
    var out: [UInt8] = []
    string.append(to: &out)
    #expect(out.withUnsafeBytes { string.equals($0) })
    #expect((out + [0]).withUnsafeBytes { !string.equals($0) })
    return out
  }
}

@Suite struct JSONScannerTests {
  @Test(arguments: [
    "0", "-0", "1", "-1", "10", "1.0", "-0.5", "1e1", "1E+10", "1.5e-300", "12345678901234567890", "true", "false",
    "null",
    "\"\"", "\"a\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"", "\"\\ud800\"", "\"\u{7F}é😀\"", "[]", "{}",
    "[ ]",
    "{ }", "[1]", "[1,2]", "[[],{}]", "{\"a\":1}", "{\"a\":{\"b\":[1,{\"c\":null}]},\"d\":\"\"}", " \t\r\n1 \t\r\n",
    " [ 1 , \"a\" , true ] ", "{ \"a\" : 1 , \"a\" : 2 }", "\"/\"", "[0,-0.0e0]",
  ])
  func valid(_ text: String) {
    #expect(isValid(bytes(text)) && isValidByItems(bytes(text)))
    // Cut off anywhere it is valid only where a number may end, or nothing but white space is missing.
    for end in 0..<text.utf8.count {
      let part = Array(bytes(text)[..<end])
      #expect(isValid(part) == isValidByItems(part))
      if isValid(part) { #expect(part.last.map { $0 <= 0x39 || $0 == 0x7D || $0 == 0x5D } == true) }
    }
    // Nothing may follow.
    for tail in ["x", "\"", ",", "]", "}", "[", ":", "\0"] {
      #expect(!isValid(bytes(text + tail)) && !isValidByItems(bytes(text + tail)))
    }
  }

  @Test(arguments: [
    "", " ", "-", "+1", "01", "-01", "00", "1.", ".5", "1.e1", "1e", "1e+", "1E-", "0x1", "1_0", "Infinity", "NaN",
    "-a",
    "tru", "truE", "True", "nul", "nulll", "falsey", "fals", "'a'", "\"", "\"a", "\"\\", "\"\\\"", "\"\\x\"", "\"\\u\"",
    "\"\\u12\"", "\"\\u12g4\"", "\"\\u123\"", "\"\\U0041\"", "\"\n\"", "\"\t\"", "\"\0\"", "\"\u{1F}\"", "[", "]",
    "[,]",
    "[1,]", "[,1]", "[1 2]", "[1,,2]", "[1}", "[1:2]", "{", "}", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
    "{\"a\" 1}",
    "{\"a\":1 \"b\":2}", "{a:1}", "{1:1}", "{'a':1}", "{\"a\":1]", "{\"a\",1}", "{:1}", "[[]", "[]]", "{}{}", "1 1",
    "[1]//",
    "/**/1", "\u{FEFF}1", "\u{0B}1", "\u{A0}1", "{null:1}", "[\"a]", "{\"a\":01}", "[1.2.3]", "[-]", "[1e5.5]",
  ])
  func invalid(_ text: String) {
    #expect(!isValid(bytes(text)) && !isValidByItems(bytes(text)))
  }

  @Test func everyControlByteAtEveryPlaceOfAString() {
    for length in 0..<20 {
      for place in 0..<max(1, length) {
        for byte in UInt8.min...UInt8.max {
          var text = [UInt8](repeating: UInt8(ascii: "x"), count: length)
          if length > 0 { text[place] = byte }
          text = [0x22] + text + [0x22]
          let isRefused = length > 0 && (byte < 0x20 || byte == 0x22 || byte == 0x5C)
          // A quotation mark ends it too early; a backslash makes an escape of an x, or takes the end.
          #expect(isValid(text) == !isRefused, "byte \(byte) at \(place) of \(length)")
        }
      }
    }
  }

  @Test func highBytesBeforeAStopDoNotHideIt() {
    for place in 0..<8 {
      for before in [UInt8(0x80), 0xA2, 0xDC, 0xFF, 0x21, 0x23, 0x5B, 0x5D, 0x20] {
        var text: [UInt8] = [0x22] + [UInt8](repeating: before, count: 16)
        text[1 + place] = 0x22
        withExact(text) {
          var scanner = JSONScanner($0)
          #expect(scanner.next() == 0x22)
          #expect(scanner.readString()?.raw.count == place)
        }
      }
    }
  }

  @Test func depth() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
      for depth in [1, 2, 63, 64, 65, 66, 1000] {
        let text = String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
        #expect(isValid(bytes(text)) == (depth <= 64), "\(depth)")
        #expect(isValidByItems(bytes(text)) == (depth <= 64), "\(depth)")
        let empty = String(repeating: open, count: depth - 1) + "[]" + String(repeating: close, count: depth - 1)
        #expect(isValid(bytes(empty)) == (depth <= 64), "\(depth)")
      }
    }
    #expect(!isValid([UInt8](repeating: UInt8(ascii: "["), count: 1 << 20)))
  }

  @Test func escapes() {
    #expect(decoded(#""\u0070ong""#) == bytes("pong"))
    #expect(decoded(#""\"\\\/\b\f\n\r\t""#) == [0x22, 0x5C, 0x2F, 8, 12, 10, 13, 9])
    #expect(decoded(#""\u0000\u007f\u0080\u07FF\u0800\uffff""#) == bytes("\0\u{7F}\u{80}\u{7FF}\u{800}\u{FFFF}"))
    #expect(decoded(#""\uD83D\uDE00\uDBFF\uDFFF\uD800\uDC00""#) == bytes("😀\u{10FFFF}\u{10000}"))
    // Lone surrogates, in each order and before other escapes.
    #expect(decoded(#""\uD800""#) == [0xED, 0xA0, 0x80])
    #expect(decoded(#""\uDC00\uD800""#) == [0xED, 0xB0, 0x80, 0xED, 0xA0, 0x80])
    #expect(decoded(#""\uD83D\n""#) == [0xED, 0xA0, 0xBD, 10])
    #expect(decoded(#""\uD83D\u0041""#) == [0xED, 0xA0, 0xBD, 0x41])
    #expect(decoded(#""\uD83D\uD83D\uDE00""#) == [0xED, 0xA0, 0xBD] + bytes("😀"))
  }

  @Test func numbersByValue() {
    func same(_ a: String, _ b: String) -> Bool {
      withExact(bytes(a)) { a in withExact(bytes(b)) { b in JSONNumber.equal(a, b) } }
    }
    let groups = [
      ["0", "-0", "0.0", "0e5", "0E-99999999999999999999", "-0.000e1"],
      ["1", "1.0", "1e0", "10e-1", "0.1e1", "0.001E+3", "1000000000000000000000e-21"],
      ["-1", "-1.00", "-10E-1"], ["10", "1e1", "0.01e3", "10.0"], ["1.5", "15e-1", "0.15e1", "1.50"],
      ["100.01", "10001e-2", "1.0001e2"], ["12345678901234567890", "1234567890123456789e1"],
      ["12345678901234567891"], ["0.1", "1e-1", "0.10"], ["1e99999999999999999999"], ["1e99999999999999999998"],
      ["1e-99999999999999999999"], ["1e1000000000000", "10e999999999999", "0.1e1000000000001"], ["101"], ["11"],
      ["1001"],
    ]
    for (i, group) in groups.enumerated() {
      for (j, other) in groups.enumerated() {
        for a in group { for b in other { #expect(same(a, b) == (i == j), "\(a) \(b)") } }
      }
    }
  }

  @Test func agreesWithFoundation() {
    var dice = JSONDice(state: 1)
    var counts = [0, 0]
    for _ in 0..<4000 {
      var text = bytes(JSONSample.random(&dice, depth: 4).text(&dice))
      for _ in 0..<dice.roll(3) where !text.isEmpty {
        let place = dice.roll(text.count)
        switch dice.roll(3) {
        case 0: text.remove(at: place)
        case 1: text[place] = dice.pick(bytes("{}[],:\"\\ 01-.eEtu\n"))
        default: text.insert(dice.pick(bytes("{}[],:\"\\ 01-.eEtu\n")), at: place)
        }
      }
      // Foundation refuses broken UTF-8 and lone surrogates, which are not looked at here.
      guard let string = String(validating: text, as: UTF8.self), !string.contains("\\u") else { continue }
      let theirs = (try? JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed)) != nil
      #expect(isValid(text) == theirs, "\(string.debugDescription)")
      #expect(isValidByItems(text) == theirs)
      counts[theirs ? 1 : 0] += 1
    }
    #expect(counts[0] > 200 && counts[1] > 200)
  }

  @Test func writesStrings() throws {
    for text in ["", "a", "\"\\/\n\r\t\0\u{1F}\u{7F}", "é€😀", "{\"a\":1}"] {
      var out: [UInt8] = []
      JSONText.appendString(bytes(text), to: &out)
      #expect(isValid(out))
      #expect(try JSONDecoder().decode(String.self, from: Data(out)) == text)
    }
    for number in [0, 1, 9, 10, 99, 100, UInt64.max, UInt64.max / 10, 10_000_000_000_000_000_000] {
      var out: [UInt8] = []
      JSONText.appendNumber(number, to: &out)
      #expect(out == bytes("\(number)"))
    }
    for number in [0, -1, Int64.min, Int64.max] {
      var out: [UInt8] = []
      JSONText.appendNumber(number, to: &out)
      #expect(out == bytes("\(number)"))
    }
  }
}
