// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// Carries out the programs of a rule on what its paths have found. It allocates nothing for a message.
final class FeedMachine {
  /// What functions take and give has at most so many bytes; a value without a function may have any number.
  static let maxValue = 4096

  enum Kind: UInt8 {
    /// As it stands in the message: a string with its quotation marks, a number, an object.
    case json
    /// What a function has made of a value.
    case text
    /// In `time`; written as milliseconds.
    case time
    /// A number, true or false.
    case word
  }

  var message: FieldReader?
  var element: FieldReader?
  var receivedAt: Int64 = 0
  /// ns since 1970. Whether the last expression was a time, which it then is.
  private(set) var time: Int64 = 0
  private(set) var isTime = false
  private var kind = Kind.json

  /// Two of `maxValue`, used in turn: what a function reads may lie in the other one.
  private let memory = UnsafeMutableRawPointer.allocate(byteCount: 2 * FeedMachine.maxValue, alignment: 8)
  private var isSecond = false
  private var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
  private var spare: [UInt8] = []

  deinit { memory.deallocate() }

  /// Appends the text. `asJSON`: strings with quotation marks, as values; else as they read. False if a value is missing,
  /// or not of its form.
  func run(_ program: FeedText, asJSON: Bool, into out: inout [UInt8]) -> Bool {
    program.text.withUnsafeBytes { text in
      for index in stride(from: 0, to: program.code.count &- 2, by: 3) {
        let a = Int(program.code[index &+ 1])
        let b = Int(program.code[index &+ 2])
        switch program.code[index] {
        case FeedText.Operation.literal: JSONText.append(text.piece(a, b), to: &out)
        case FeedText.Operation.path:
          guard let value = value(a) else { return false }
          kind = .json
          bytes = value
        case FeedText.Operation.mid: if !mid(a, b) { return false }
        case FeedText.Operation.received:
          kind = .time
          time = receivedAt
        case FeedText.Operation.put: if !put(asJSON, &out) { return false }
        default:
          guard let function = FeedFunction(rawValue: program.code[index] &- FeedText.Operation.function),
            apply(function, text.piece(a, b))
          else { return false }
        }
      }
      return true
    }
  }

  /// The value at a place of `FeedRule.place`.
  private func value(_ place: Int) -> UnsafeRawBufferPointer? {
    place & 1 == 0 ? element?.value(place >> 1) : message?.value(place >> 1)
  }

  private func put(_ asJSON: Bool, _ out: inout [UInt8]) -> Bool {
    isTime = kind == .time
    if isTime, !number(FeedMachine.floored(time, 1_000_000)) { return false }
    if asJSON, kind == .text {
      JSONText.appendString(bytes, to: &out)
    } else if asJSON || kind != .json || plain() {
      JSONText.append(bytes, to: &out)
    } else {
      return false
    }
    return true
  }

  // MARK: Values

  /// Puts what is in `spare` in the value's place.
  private func keep(_ kind: Kind) -> Bool {
    defer { spare.removeAll(keepingCapacity: true) }
    if spare.count > FeedMachine.maxValue { return false }
    isSecond = !isSecond
    let place = memory + (isSecond ? FeedMachine.maxValue : 0)
    spare.withUnsafeBytes { spare in
      if let start = spare.baseAddress { place.copyMemory(from: start, byteCount: spare.count) }
    }
    bytes = UnsafeRawBufferPointer(start: place, count: spare.count)
    self.kind = kind
    return true
  }

  private func number(_ number: Int64) -> Bool {
    JSONText.appendNumber(number, to: &spare)
    return keep(.word)
  }

  /// Makes text of a value: without quotation marks and escapes. False for objects and arrays.
  private func plain() -> Bool {
    if kind == .time, !number(FeedMachine.floored(time, 1_000_000)) { return false }
    if kind != .json {
      kind = .text
      return true
    }
    guard let first = bytes.first, first != UInt8(ascii: "{"), first != UInt8(ascii: "["), bytes.count <= FeedMachine.maxValue
    else { return false }
    kind = .text
    if first != UInt8(ascii: "\"") { return true }
    bytes = bytes.unquoted
    for byte in bytes where byte == UInt8(ascii: "\\") {
      JSONString(raw: bytes, hasEscapes: true).append(to: &spare)
      return keep(.text)
    }
    return true
  }

  private func mid(_ a: Int, _ b: Int) -> Bool {
    guard let low = decimal(a), let high = decimal(b), let mid = Decimal.mid(low, high) else { return false }
    mid.append(to: &spare)
    return keep(.text)
  }

  /// A side without an offer has the price 0.
  private func decimal(_ place: Int) -> Decimal? {
    guard let value = value(place) else { return nil }
    let decimal = Decimal(withoutQuotes(value))
    return decimal?.isZero == false ? decimal : nil
  }

  // MARK: Functions

  private func apply(_ function: FeedFunction, _ arguments: UnsafeRawBufferPointer) -> Bool {
    if kind == .time, function.unit > 0 { return number(FeedMachine.floored(time, function.unit)) }
    if kind == .time, function == .rfc3339 {
      RFC3339.append(time, to: &spare)
      return keep(.text)
    }
    if !plain() { return false }
    switch function {
    case .strip, .drop: cut(arguments, atEnd: function == .strip)
    case .part: return part(arguments)
    case .map: exchange(arguments)
    case .isWord:
      bytes = UnsafeRawBufferPointer((equalBytes(bytes, arguments) ? "true" : "false" as Literal).bytes)
      kind = .word
    case .lower, .upper:
      for byte in bytes {
        let isOther = byte &- (function == .lower ? UInt8(ascii: "A") : UInt8(ascii: "a")) < 26
        JSONText.append(isOther ? byte ^ 0x20 : byte, to: &spare)
      }
      return keep(.text)
    case .decimal:
      guard let decimal = Decimal(bytes) else { return false }
      decimal.append(to: &spare)
      return keep(.text)
    default: return readTime(function)
    }
    return true
  }

  /// Without the first of these that it has at its end, or its begin; never the whole of it.
  private func cut(_ list: UnsafeRawBufferPointer, atEnd: Bool) {
    var items = FeedList(list)
    while let item = items.next() {
      let rest = bytes.count &- item.count
      if rest <= 0 { continue }
      let edge = atEnd ? bytes.piece(rest, bytes.count) : bytes.piece(0, item.count)
      if !equalBytes(edge, item) { continue }
      bytes = atEnd ? bytes.piece(0, rest) : bytes.piece(item.count, bytes.count)
      return
    }
  }

  private func exchange(_ list: UnsafeRawBufferPointer) {
    var items = FeedList(list)
    while let item = items.next() {
      let equals = FeedList.equals(item)
      if !equalBytes(item.piece(0, equals), bytes) { continue }
      // It lies in the rule.
      bytes = item.piece(equals &+ 1, item.count)
      return
    }
  }

  /// The piece of that number between separators of one byte.
  private func part(_ arguments: UnsafeRawBufferPointer) -> Bool {
    var left = 0
    for digit in arguments[2...] { left = left &* 10 &+ Int(digit &- UInt8(ascii: "0")) }
    var start = 0
    for index in 0...bytes.count where index == bytes.count || bytes[index] == arguments[0] {
      if left == 0 {
        bytes = bytes.piece(start, index)
        return true
      }
      left &-= 1
      start = index &+ 1
    }
    return false
  }

  private func readTime(_ function: FeedFunction) -> Bool {
    guard let found = function == .rfc3339 ? RFC3339.parse(bytes) : FeedMachine.time(bytes, function.unit) else { return false }
    kind = .time
    time = found
    return true
  }

  /// The time of digits in a unit, with decimals down to nanoseconds. nil for other text, and for what is beyond the year
  /// 2255.
  private static func time(_ text: UnsafeRawBufferPointer, _ unit: Int64) -> Int64? {
    var number: Int64 = 0
    var fraction: Int64 = 0
    var step = unit
    var isBehindPoint = false
    for byte in text {
      let digit = byte &- UInt8(ascii: "0")
      if byte == UInt8(ascii: "."), !isBehindPoint {
        isBehindPoint = true
      } else if digit > 9 {
        return nil
      } else if isBehindPoint {
        step /= 10
        fraction &+= step &* Int64(digit)
      } else {
        if number > 900_000_000_000_000_000 / unit { return nil }
        number = number &* 10 &+ Int64(digit)
      }
    }
    return text.isEmpty ? nil : number &* unit &+ fraction
  }

  /// Rounded down.
  private static func floored(_ time: Int64, _ unit: Int64) -> Int64 {
    let quotient = time / unit
    return time % unit < 0 ? quotient &- 1 : quotient
  }
}
