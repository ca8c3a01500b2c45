// SPDX-License-Identifier: Apache-2.0
import Foundation

@testable import PulseFlow

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Runs `body` on a copy that is exactly as large as the text, so that the address sanitizer sees what goes beyond it.
func withExact<R>(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) -> R) -> R {
  let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
  defer { copy.deallocate() }
  copy.copyBytes(from: bytes)
  return body(UnsafeRawBufferPointer(copy))
}

func problem<T>(_ result: Result<T, PatternProblem>) -> String? {
  if case .failure(let problem) = result { return problem.text }
  return nil
}

/// Values for tests with random input, and how to write them in many ways.
indirect enum JSONSample {
  case null
  case bool(Bool)
  case number(String)
  case string(String)
  case array([JSONSample])
  case object([(String, JSONSample)])

  var isContainer: Bool {
    switch self {
    case .array, .object: return true
    default: return false
    }
  }

  static func random(_ dice: inout JSONDice, depth: Int) -> JSONSample {
    switch dice.roll(depth > 0 ? 8 : 5) {
    case 0: return .null
    case 1: return .bool(dice.roll(2) == 0)
    case 2: return .number(dice.pick(["0", "-0", "1", "-17", "3.25", "1e3", "1.5E-7", "1234", "0.10"]))
    case 3, 4: return .string(randomString(&dice))
    case 5: return .array((0..<dice.roll(5)).map { _ in random(&dice, depth: depth - 1) })
    default:
      var members: [(String, JSONSample)] = []
      for index in 0..<dice.roll(5) {
        members.append(("\(randomString(&dice))\(index)", random(&dice, depth: depth - 1)))
      }
      return .object(members)
    }
  }

  static func randomString(_ dice: inout JSONDice) -> String {
    let pieces = ["a", "op", "pong", "\"", "\\", "/", "\n", "\u{1}", "é", "€", "😀", " ", "{", "]", ":", "\u{7F}", "*"]
    return (0..<dice.roll(6)).map { _ in dice.pick(pieces) }.joined()
  }

  /// A piece that the value contains.
  func piece(_ dice: inout JSONDice) -> JSONSample {
    switch self {
    case .array(let items):
      return .array(items.filter { _ in dice.roll(2) == 0 }.map { $0.piece(&dice) }.reversed())
    case .object(let members):
      return .object(members.filter { _ in dice.roll(2) == 0 }.map { ($0.0, $0.1.piece(&dice)) }.reversed())
    default: return self
    }
  }

  /// The value with one leaf replaced by something that is nowhere else; nil if it has none.
  func spoiled(_ dice: inout JSONDice) -> JSONSample? {
    switch self {
    case .array(var items):
      let places = items.indices.shuffled(using: &dice)
      for index in places {
        if let other = items[index].spoiled(&dice) {
          items[index] = other
          return .array(items)
        }
      }
      return nil
    case .object(var members):
      let places = members.indices.shuffled(using: &dice)
      for index in places {
        if let other = members[index].1.spoiled(&dice) {
          members[index].1 = other
          return .object(members)
        }
      }
      return nil
    default: return dice.roll(2) == 0 ? .string("nowhere else") : .number("987654321")
    }
  }

  /// Members in any order, with white space and escapes anywhere.
  func text(_ dice: inout JSONDice) -> String {
    switch self {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .number(let text): return text
    case .string(let text): return JSONSample.quote(text, &dice)
    case .array(let items):
      return "[" + items.map { dice.space() + $0.text(&dice) + dice.space() }.joined(separator: ",") + dice.space()
        + "]"
    case .object(let members):
      let order = members.shuffled(using: &dice)
      return "{"
        + order.map {
          dice.space() + JSONSample.quote($0.0, &dice) + dice.space() + ":" + dice.space() + $0.1.text(&dice)
        }.joined(separator: ",") + dice.space() + "}"
    }
  }

  static func quote(_ text: String, _ dice: inout JSONDice) -> String {
    // In a pattern only this form is not the wildcard.
    if text == "*" { return "\"\\u002a\"" }
    var out = "\""
    for scalar in text.unicodeScalars {
      if scalar.value < 0x20 || dice.roll(4) == 0 {
        for unit in String(scalar).utf16 { out += String(format: dice.roll(2) == 0 ? "\\u%04x" : "\\u%04X", unit) }
      } else if scalar == "\"" || scalar == "\\" {
        out += "\\" + String(scalar)
      } else {
        out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}

/// A reproducible source of chance.
struct JSONDice: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    var word = state
    word ^= word >> 33
    word = word &* 0xFF51_AFD7_ED55_8CCD
    return word ^ word >> 29
  }
  mutating func roll(_ sides: Int) -> Int { Int(next() % UInt64(sides)) }
  mutating func pick<T>(_ items: [T]) -> T { items[roll(items.count)] }
  mutating func space() -> String { pick(["", "", "", " ", "\n", "\t\r ", "  "]) }
}
