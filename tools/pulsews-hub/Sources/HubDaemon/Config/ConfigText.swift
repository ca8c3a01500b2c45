// SPDX-License-Identifier: Apache-2.0

/// Where the keys of a TOML text stand. The parser says it of syntax errors only, so the text is read a second time, for
/// positions alone: what the parser has taken is well-formed.
struct ConfigText {
  private var lines: [[String]: Int] = [:]
  /// The first table header without a name, such as `[=`: its line, and where that begins in the text. The parser aborts the
  /// process at one.
  private(set) var namelessHeader: (line: Int, start: Int)?

  init(_ text: String) {
    var scanner = Scanner(bytes: Array(text.utf8))
    scanner.run()
    lines = scanner.lines
    namelessHeader = scanner.namelessHeader
  }

  /// The line, from 1 on, of the key at `path`, or of the nearest thing that it is in.
  func line(of path: [String]) -> Int {
    var path = path
    while !path.isEmpty {
      if let line = lines[path] { return line }
      path.removeLast()
    }
    return 1
  }
}

private struct Scanner {
  let bytes: [UInt8]
  var at = 0
  var line = 1
  var lines: [[String]: Int] = [:]
  var namelessHeader: (line: Int, start: Int)?
  private var table: [String] = []

  init(bytes: [UInt8]) {
    self.bytes = bytes
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { at = 3 }
  }

  private var byte: UInt8? { at < bytes.count ? bytes[at] : nil }

  private mutating func step() {
    if byte == 0x0A { line += 1 }
    at += 1
  }

  private func starts(_ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard count <= bytes.count - at else { return false }
    return text.withUTF8Buffer { wanted in wanted.elementsEqual(bytes[at..<at + count]) }
  }

  mutating func run() {
    while let byte {
      switch byte {
      case 0x20, 0x09, 0x0A, 0x0D: step()
      case UInt8(ascii: "#"): skipLine()
      case UInt8(ascii: "["): header()
      default: pair()
      }
    }
  }

  private mutating func skipLine() {
    while let byte, byte != 0x0A { step() }
  }

  private mutating func skipBlanks() {
    while byte == 0x20 || byte == 0x09 { step() }
  }

  private mutating func note(_ path: [String], _ line: Int) {
    if lines[path] == nil { lines[path] = line }
  }

  private mutating func header() {
    let (start, place) = (line, at)
    step()
    skipBlanks()
    if byte == UInt8(ascii: "[") { step() }
    skipBlanks()
    let isNamed = byte.map { isBare($0) || [UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "]")].contains($0) }
    if isNamed == false, namelessHeader == nil { namelessHeader = (start, place) }
    table = keys()
    for count in 1...max(1, table.count) { note(Array(table.prefix(count)), start) }
    skipLine()
  }

  private mutating func pair() {
    let start = line
    let path = table + keys()
    if path.count > table.count {
      for count in (table.count + 1)...path.count { note(Array(path.prefix(count)), start) }
    }
    skipBlanks()
    if byte == UInt8(ascii: "=") { step() } else { return skipLine() }
    skipBlanks()
    value()
    skipLine()
  }

  /// A dotted key.
  private mutating func keys() -> [String] {
    var path: [String] = []
    while true {
      skipBlanks()
      guard let byte else { return path }
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
        path.append(quoted())
      } else {
        let start = at
        while let byte = self.byte, isBare(byte) { step() }
        if at == start { return path }
        path.append(String(decoding: bytes[start..<at], as: UTF8.self))
      }
      skipBlanks()
      if self.byte != UInt8(ascii: ".") { return path }
      step()
    }
  }

  private func isBare(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// A key in quotation marks. Of escapes those that keep their letter count; others are not worth a table for a position.
  private mutating func quoted() -> String {
    let mark = bytes[at]
    step()
    var text: [UInt8] = []
    while let byte, byte != mark, byte != 0x0A {
      step()
      if byte == UInt8(ascii: "\\"), mark == UInt8(ascii: "\""), let escaped = self.byte {
        text.append(escaped)
        step()
      } else {
        text.append(byte)
      }
    }
    if byte == mark { step() }
    return String(decoding: text, as: UTF8.self)
  }

  /// Behind a value, which may go over lines.
  private mutating func value() {
    var depth = 0
    while let byte {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "'"): string(byte)
      case UInt8(ascii: "["), UInt8(ascii: "{"):
        depth += 1
        step()
      case UInt8(ascii: "]"), UInt8(ascii: "}"):
        depth -= 1
        step()
      case UInt8(ascii: "#"): skipLine()
      case 0x0A where depth <= 0: return
      default: step()
      }
    }
  }

  private mutating func string(_ mark: UInt8) {
    let isBasic = mark == UInt8(ascii: "\"")
    if starts(isBasic ? "\"\"\"" : "'''") {
      for _ in 0..<3 { step() }
      while byte != nil, !starts(isBasic ? "\"\"\"" : "'''") { stepEscaped(isBasic) }
      while byte == mark { step() }
      return
    }
    step()
    while let byte, byte != mark, byte != 0x0A { stepEscaped(isBasic) }
    if byte == mark { step() }
  }

  private mutating func stepEscaped(_ isBasic: Bool) {
    if isBasic, byte == UInt8(ascii: "\\") { step() }
    if byte != nil { step() }
  }
}
