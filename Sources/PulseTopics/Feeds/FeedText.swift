// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// What stands behind a bar in an expression: `${data.s|strip(USDT)}`. The first ones take arguments.
enum FeedFunction: Int32 {
  case strip, drop, part, map, isWord, lower, upper, decimal, seconds, milliseconds, microseconds, nanoseconds, rfc3339

  private static var names: TextTable {
    TextTable("strip\0drop\0part\0map\0is\0lower\0upper\0decimal\0s\0ms\0us\0ns\0rfc3339\0", rows: 13, columns: 1)
  }

  static func named(_ name: UnsafeRawBufferPointer) -> FeedFunction? {
    var rows = names.rows
    while let row = rows.next() {
      if equalBytes(name, UnsafeRawBufferPointer(rows.text(0).bytes)) { return FeedFunction(rawValue: Int32(row)) }
    }
    return nil
  }

  /// Whether it takes these; `hasAny`: there were parentheses.
  func takes(_ arguments: UnsafeRawBufferPointer, hasAny: Bool) -> Bool {
    if rawValue > FeedFunction.isWord.rawValue { return !hasAny }
    if self == .isWord { return !arguments.isEmpty }
    if self == .part {
      if arguments.count != 3 && arguments.count != 4 || arguments[1] != UInt8(ascii: ",") { return false }
      return arguments[2] &- 0x30 < 10 && (arguments.count == 3 || arguments[3] &- 0x30 < 10)
    }
    var list = FeedList(arguments)
    var count = 0
    while let item = list.next() {
      count &+= 1
      if self == .map ? FeedList.equals(item) < 0 : item.isEmpty { return false }
    }
    return count > 0
  }

  /// How many nanoseconds the unit of a time has; 0 for what is none.
  var unit: Int64 {
    switch self {
    case .seconds: 1_000_000_000
    case .milliseconds: 1_000_000
    case .microseconds: 1000
    case .nanoseconds: 1
    default: 0
    }
  }
}

/// Items between commas; none in an empty text.
struct FeedList {
  private let text: UnsafeRawBufferPointer
  private var at = 0

  init(_ text: UnsafeRawBufferPointer) { self.text = text }

  @inline(never) mutating func next() -> UnsafeRawBufferPointer? {
    if text.isEmpty || at > text.count { return nil }
    let start = at
    while at < text.count, text[at] != UInt8(ascii: ",") { at &+= 1 }
    at &+= 1
    return text.piece(start, at &- 1)
  }

  /// Where a pair has its =; -1 if it has none.
  static func equals(_ item: UnsafeRawBufferPointer) -> Int {
    for index in 0..<item.count where item[index] == UInt8(ascii: "=") { return index }
    return -1
  }
}

/// A text with expressions in it, `price.${data.s|strip(USDT)}`, as a program: an operation with two numbers, and so on.
/// An expression begins with a path, with `received`, or with `mid(path,path)`; functions follow.
struct FeedText: Sendable {
  enum Operation {
    /// Bytes of `text` from one place to another.
    static var literal: Int32 { 0 }
    static var path: Int32 { 1 }
    static var mid: Int32 { 2 }
    static var received: Int32 { 3 }
    /// The end of an expression.
    static var put: Int32 { 4 }
    /// And above: a function, with its arguments in `text`.
    static var function: Int32 { 8 }
  }

  /// There is such a line.
  private(set) var isSet = false
  private(set) var text: [UInt8] = []
  private(set) var code: [Int32] = []

  @inline(never) private mutating func add(_ operation: Int32, _ a: Int, _ b: Int) {
    code.append(operation)
    code.append(Int32(truncatingIfNeeded: a))
    code.append(Int32(truncatingIfNeeded: b))
  }

  /// From an operation on up to its end there is one expression and nothing else.
  var isOneExpression: Bool {
    for index in stride(from: 0, to: code.count &- 3, by: 3) where code[index] == Operation.put || code[index] == Operation.literal {
      return false
    }
    return code.count > 3 && code[code.count &- 3] == Operation.put
  }

  /// A sentence about what is wrong, or nil. The rule gives paths their places.
  @inline(never) mutating func parse(_ line: ArraySlice<UInt8>, _ rule: FeedRule) -> Sentence? {
    if isSet { return "the rule has such a line" }
    isSet = true
    text = Array(line)
    var start = 0
    var at = 0
    while at < text.count {
      if text[at] != UInt8(ascii: "$") || at &+ 1 == text.count || text[at &+ 1] != UInt8(ascii: "{") {
        at &+= 1
        continue
      }
      if at > start { add(Operation.literal, start, at) }
      start = at &+ 2
      var isFirst = true
      while true {
        at &+= 1
        if at >= text.count { return "there is no } for a ${" }
        let isEnd = text[at] == UInt8(ascii: "}")
        if !isEnd && (text[at] != UInt8(ascii: "|")) { continue }
        guard isFirst ? begin(start, at, rule) : addFunction(start, at) else {
          return isFirst
            ? "\(quoted: text[start..<at]) is no path, or one more than the \(FeedRule.maxPaths) of a rule"
            : "\(quoted: text[start..<at]) is no function with such arguments"
        }
        isFirst = false
        start = at &+ 1
        if isEnd { break }
      }
      add(Operation.put, 0, 0)
      at = start
    }
    if at > start { add(Operation.literal, start, at) }
    return nil
  }

  private mutating func begin(_ start: Int, _ end: Int, _ rule: FeedRule) -> Bool {
    let part = text[start..<end]
    if FeedText.begins(part, "received"), part.count == 8 {
      add(Operation.received, 0, 0)
      return true
    }
    if FeedText.begins(part, "mid("), part.last == UInt8(ascii: ")"), let comma = part.firstIndex(of: UInt8(ascii: ",")) {
      let low = rule.place(text[(start &+ 4)..<comma])
      let high = rule.place(text[(comma &+ 1)..<(end &- 1)])
      add(Operation.mid, low, high)
      return low >= 0 && high >= 0
    }
    // Something else was meant.
    for byte in part where byte == UInt8(ascii: "(") { return false }
    let place = rule.place(part)
    add(Operation.path, place, 0)
    return place >= 0
  }

  static func begins(_ part: ArraySlice<UInt8>, _ word: Literal) -> Bool { word.begins(part) }

  private mutating func addFunction(_ start: Int, _ end: Int) -> Bool {
    var open = end
    for index in start..<end where text[index] == UInt8(ascii: "(") {
      open = index
      break
    }
    let hasAny = open < end
    if hasAny, text[end &- 1] != UInt8(ascii: ")") || open == end &- 1 { return false }
    let first = hasAny ? open &+ 1 : end
    let last = hasAny ? end &- 1 : end
    let found = text.withUnsafeBytes { text -> FeedFunction? in
      guard let function = FeedFunction.named(text.piece(start, open)),
        function.takes(text.piece(first, last), hasAny: hasAny)
      else { return nil }
      return function
    }
    guard let found else { return false }
    add(Operation.function &+ found.rawValue, first, last)
    return true
  }
}
