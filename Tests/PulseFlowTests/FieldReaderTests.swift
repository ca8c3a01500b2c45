// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

private func paths(_ texts: [String]) -> [JSONPath] {
  texts.map { text in
    guard case .success(let path) = JSONPath.parse(bytes(text)) else { fatalError("\(text)") }
    return path
  }
}

private func reader(_ keys: [String], _ sequenceKeys: [String] = [], _ numbers: [String] = []) -> FieldReader {
  FieldReader(keys: paths(keys), sequenceKeys: paths(sequenceKeys), numbers: paths(numbers))!
}

private func text(_ bytes: UnsafeRawBufferPointer?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

/// What `JSONPath.value` finds for each path, against one reader of all.
private func expectSame(_ all: [String], _ reader: FieldReader, _ message: [UInt8]) {
  let parsed = paths(all)
  withExact(message) { message in
    reader.read(message)
    for (index, path) in parsed.enumerated() {
      let expected = path.value(in: message)
      let found = reader.value(index)
      #expect(
        found?.baseAddress == expected?.baseAddress && found?.count == expected?.count,
        "\(all[index]) of \(all) in \(String(decoding: message, as: UTF8.self))")
    }
  }
}

@Suite struct FieldReaderTests {
  @Test func groups() {
    let reader = reader(["stream", "data.s"], ["data.s"], ["data.U", "data.u", "data.pu"])
    withExact(bytes(#"{"stream":"btc@depth","data":{"s":"BTC","U":10,"u":"012","pu":9.0,"b":[["1"#)) {
      reader.read($0)
      #expect(text(reader.key(.key)) == "btc@depth/BTC")
      #expect(text(reader.key(.sequenceKey)) == "BTC")
      #expect(reader.number(0) == 10 && reader.number(1) == 12 && reader.number(2) == nil)
      #expect(reader.number(3) == nil && reader.number(-1) == nil && reader.value(-1) == nil && reader.value(6) == nil)
      #expect(text(reader.value(0)) == "\"btc@depth\"")
    }
    withExact(bytes(#"{"data":{"x":{"s":"A"}}}"#)) {
      reader.read($0)
      #expect(reader.key(.key) == nil && reader.key(.sequenceKey) == nil && reader.number(0) == nil)
    }
    withExact(bytes(#"{"data":{"s":-17}}"#)) {
      reader.read($0)
      #expect(text(reader.key(.key)) == "-17")
    }
    withExact(bytes(#"{"stream":"","data":{"s":""}}"#)) {
      reader.read($0)
      #expect(text(reader.key(.key)) == "/")
      #expect(text(reader.key(.sequenceKey)) == "")
    }
    #expect(FieldReader(keys: paths([String](repeating: "a", count: FieldReader.maxPaths + 1)), sequenceKeys: [], numbers: []) == nil)
  }

  @Test func numbers() {
    let reader = reader([], [], ["n"])
    for (number, expected) in [
      ("0", 0), ("1", 1), ("9223372036854775807", Int64.max), ("\"9223372036854775807\"", Int64.max),
      ("\"00000000000000000000000000007\"", 7), ("9223372036854775808", nil), ("\"92233720368547758070\"", nil),
      ("-1", nil), ("-0", nil), ("1.0", nil), ("1e3", nil), ("\"\"", nil), ("\"1 \"", nil), ("\"\\u0031\"", nil),
      ("null", nil), ("true", nil), ("[1]", nil), ("{}", nil), ("18446744073709551617", nil),
    ] as [(String, Int64?)] {
      withExact(bytes("{\"n\":\(number)}")) {
        reader.read($0)
        #expect(reader.number(0) == expected, "\(number)")
      }
    }
  }

  @Test func keysHaveALimit() {
    let reader = reader(["a", "b"], ["a"])
    let sizes = [(255, 0, true), (256, 0, false), (100, 155, true), (100, 156, false), (0, 255, true)]
    for (first, second, fits) in sizes {
      let a = String(repeating: "x", count: first)
      let b = String(repeating: "y", count: second)
      withExact(bytes("{\"b\":\"\(b)\",\"a\":\"\(a)\"}")) {
        reader.read($0)
        #expect(text(reader.key(.key)) == (fits ? a + "/" + b : nil))
      }
    }
    for (size, fits) in [(256, true), (257, false)] {
      withExact(bytes("{\"a\":\"\(String(repeating: "x", count: size))\"}")) {
        reader.read($0)
        #expect((reader.key(.sequenceKey)?.count == size) == fits)
      }
    }
  }

  @Test func agreesWithEachPathOnItsOwn() {
    var dice = JSONDice(state: 11)
    let pieces = ["a", "b", "0", "1", "c", "00", "é"]
    var foundValues = 0
    for round in 0..<6000 {
      var all: [String] = []
      for _ in 0...dice.roll(FieldReader.maxPaths - 1) {
        var path = dice.roll(8) == 0 ? "[\(dice.roll(3))]" : dice.pick(pieces)
        for _ in 0..<dice.roll(4) { path += dice.roll(4) == 0 ? "[\(dice.roll(3))]" : "." + dice.pick(pieces) }
        all.append(path)
      }
      let split = dice.roll(all.count + 1)
      let reader = reader(Array(all[..<split]), [], Array(all[split...]))
      for _ in 0..<6 {
        var message = bytes(fieldSample(&dice, 5))
        if dice.roll(2) == 0, !message.isEmpty {
          let place = dice.roll(message.count)
          switch dice.roll(4) {
          case 0: message.remove(at: place)
          case 1: message[place] = dice.pick(bytes("{}[],:\"\\ 01-.eEtu\n"))
          case 2: message.removeSubrange(place...)
          default: message.insert(dice.pick(bytes("{}[],:\"\\ 01-.eEtu\n")), at: place)
          }
        }
        expectSame(all, reader, message)
        foundValues += reader.found.nonzeroBitCount
      }
      if round % 1000 == 0 { expectSame(all, reader, []) }
    }
    #expect(foundValues > 10_000)
  }

  @Test func depth() {
    for depth in [1, 63, 64, 65, 70] {
      let message = bytes(String(repeating: "{\"a\":", count: depth) + "1" + String(repeating: "}", count: depth))
      let long = "a" + String(repeating: ".a", count: depth - 1)
      let all = [long, "a", "b", long + ".a", long + "[0]"]
      expectSame(all, reader(all), message)
    }
    let endless = [UInt8](repeating: UInt8(ascii: "["), count: 100_000)
    expectSame(["0.0.0", "1"], reader(["0.0.0", "1"]), endless)
  }
}

/// Objects with few names, so that paths meet them, some twice, and with escapes.
private func fieldSample(_ dice: inout JSONDice, _ depth: Int) -> String {
  switch dice.roll(depth > 3 ? 2 : depth > 0 ? 6 : 3) + (depth > 3 ? 4 : 0) {
  case 0: return dice.pick(["1", "-2.5", "0", "12"])
  case 1, 2: return dice.pick(["\"x\"", "\"\\\"\"", "null", "true", "\"\""])
  case 3, 4:
    let items = (0..<dice.roll(4)).map { _ in dice.space() + fieldSample(&dice, depth - 1) + dice.space() }
    return "[" + items.joined(separator: ",") + "]"
  default:
    let members = (0..<dice.roll(6)).map { _ in
      dice.space() + "\"" + dice.pick(["a", "b", "c", "0", "1", "\\u0061", "é", "\\u00e9", "00"]) + "\"" + dice.space()
        + ":" + dice.space() + fieldSample(&dice, depth - 1) + dice.space()
    }
    return "{" + members.joined(separator: ",") + "}"
  }
}
