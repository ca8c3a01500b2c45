// SPDX-License-Identifier: Apache-2.0

/// Finds pieces of a JSON text without building it, so that numbers and member order stay as they were sent.
struct JSONScanner {
  private static let deepest = 64

  private let bytes: [UInt8]
  private var at = 0

  private init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// One member of an object: where it begins, its name and its value.
  private struct Member {
    let start: Int
    let name: Range<Int>
    let value: Range<Int>
  }

  /// Whether it is one value, in UTF-8, nested at most 64 deep.
  static func isValue(_ bytes: [UInt8]) -> Bool {
    if String(validating: bytes, as: UTF8.self) == nil { return false }
    var scanner = JSONScanner(bytes)
    scanner.skipBlanks()
    guard scanner.skipValue(depth: 0) else { return false }
    scanner.skipBlanks()
    return scanner.at == bytes.count
  }

  static func isObject(_ bytes: [UInt8]) -> Bool { isValue(bytes) && bytes.first { !isBlank($0) } == UInt8(ascii: "{") }

  /// The text of the value at `path` ("data.symbol") of an object: that of a string, or a number, true or false as they stand.
  static func text(_ bytes: [UInt8], at path: [String]) -> String? {
    guard let range = range(bytes, at: path) else { return nil }
    return text(bytes, range)
  }

  /// The same of the object, or with an empty path of the value, that stands at `place`.
  static func text(_ bytes: [UInt8], in place: Range<Int>, at path: [String] = []) -> String? {
    guard let range = range(bytes, in: place, at: path) else { return nil }
    return text(bytes, range)
  }

  /// Where the elements of an array stand, which is at `path` in the value at `place`; nil if it is no array.
  static func elements(_ bytes: [UInt8], in place: Range<Int>? = nil, at path: [String] = []) -> [Range<Int>]? {
    guard let range = range(bytes, in: place ?? 0..<bytes.count, at: path) else { return nil }
    var scanner = JSONScanner(bytes)
    scanner.at = range.lowerBound
    scanner.skipBlanks()
    guard scanner.take("[") else { return nil }
    var places: [Range<Int>] = []
    scanner.skipBlanks()
    if scanner.take("]") { return places }
    while true {
      scanner.skipBlanks()
      let start = scanner.at
      guard scanner.skipValue(depth: 1) else { return nil }
      places.append(start..<scanner.at)
      scanner.skipBlanks()
      if scanner.take("]") { return places }
      guard scanner.take(",") else { return nil }
    }
  }

  /// The names of the object's members at `path`; none if it is no object.
  static func names(_ bytes: [UInt8], at path: [String]) -> [String] {
    range(bytes, at: path).flatMap { members(bytes, $0) }?.compactMap { decoded(bytes, $0.name) } ?? []
  }

  /// The value at `path` as it stands.
  static func raw(_ bytes: [UInt8], at path: [String]) -> String? {
    range(bytes, at: path).map { String(decoding: bytes[$0], as: UTF8.self) }
  }

  /// The texts of an array of strings at `path`; nil if it is no such array.
  static func texts(_ bytes: [UInt8], at path: [String]) -> [String]? {
    guard let range = range(bytes, at: path) else { return nil }
    var scanner = JSONScanner(bytes)
    scanner.at = range.lowerBound
    guard scanner.take("[") else { return nil }
    var texts: [String] = []
    scanner.skipBlanks()
    if scanner.take("]") { return texts }
    while true {
      scanner.skipBlanks()
      let start = scanner.at
      guard scanner.skipString(), let text = decoded(bytes, start..<scanner.at) else { return nil }
      texts.append(text)
      scanner.skipBlanks()
      if scanner.take("]") { return texts }
      guard scanner.take(",") else { return nil }
    }
  }

  /// The elements of an array at `path`, each as it stands; none if there is no array.
  static func elements(_ bytes: [UInt8], at path: [String]) -> [[UInt8]] {
    guard let range = range(bytes, at: path) else { return [] }
    var scanner = JSONScanner(bytes)
    scanner.at = range.lowerBound
    var elements: [[UInt8]] = []
    let isWhole =
      scanner.byte == UInt8(ascii: "[")
      && scanner.skipList("]", 0) { scanner in
        let start = scanner.at
        guard scanner.skipValue(depth: 1) else { return false }
        elements.append(Array(bytes[start..<scanner.at]))
        return true
      }
    return isWhole ? elements : []
  }

  /// Without the member of that name of the outermost object, and its text; nil if it has none of that name, or two.
  static func extract(_ name: String, from bytes: [UInt8]) -> (value: String, rest: [UInt8])? {
    guard let members = JSONScanner.members(bytes, 0..<bytes.count) else { return nil }
    let found = members.indices.filter { decoded(bytes, members[$0].name) == name }
    guard found.count == 1, let index = found.first, let value = text(bytes, members[index].value) else { return nil }
    var cut = members[index].start..<members[index].value.upperBound
    if index + 1 < members.count {
      cut = cut.lowerBound..<members[index + 1].start
    } else if index > 0 {
      cut = members[index - 1].value.upperBound..<cut.upperBound
    }
    return (value, Array(bytes[..<cut.lowerBound] + bytes[cut.upperBound...]))
  }

  private static func range(_ bytes: [UInt8], at path: [String]) -> Range<Int>? { range(bytes, in: 0..<bytes.count, at: path) }

  /// Where the value stands that is at `path` in the object at `place`.
  static func range(_ bytes: [UInt8], in place: Range<Int>, at path: [String]) -> Range<Int>? {
    var range = place
    for name in path {
      guard let members = members(bytes, range) else { return nil }
      guard let found = members.first(where: { decoded(bytes, $0.name) == name }) else { return nil }
      range = found.value
    }
    return range
  }

  private static func members(_ bytes: [UInt8], _ range: Range<Int>) -> [Member]? {
    var scanner = JSONScanner(bytes)
    scanner.at = range.lowerBound
    scanner.skipBlanks()
    guard scanner.take("{") else { return nil }
    var members: [Member] = []
    scanner.skipBlanks()
    if scanner.take("}") { return members }
    while true {
      scanner.skipBlanks()
      let start = scanner.at
      guard scanner.skipString() else { return nil }
      let name = start..<scanner.at
      scanner.skipBlanks()
      guard scanner.take(":") else { return nil }
      scanner.skipBlanks()
      let value = scanner.at
      guard scanner.skipValue(depth: 1) else { return nil }
      members.append(Member(start: start, name: name, value: value..<scanner.at))
      scanner.skipBlanks()
      if scanner.take("}") { return members }
      guard scanner.take(",") else { return nil }
    }
  }

  private static func text(_ bytes: [UInt8], _ range: Range<Int>) -> String? {
    switch bytes[range].first {
    case UInt8(ascii: "\""): decoded(bytes, range)
    case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "n"), nil: nil
    default: String(decoding: bytes[range], as: UTF8.self)
    }
  }

  /// The text of a string with its quotation marks; nil for a surrogate that stands alone.
  private static func decoded(_ bytes: [UInt8], _ range: Range<Int>) -> String? {
    let inside = bytes[range].dropFirst().dropLast()
    if !inside.contains(UInt8(ascii: "\\")) { return String(validating: inside, as: UTF8.self) }
    var units: [UInt16] = []
    var plain: [UInt8] = []
    var index = inside.startIndex
    while index < inside.endIndex {
      let byte = inside[index]
      index += 1
      if byte != UInt8(ascii: "\\") {
        plain.append(byte)
        continue
      }
      guard index < inside.endIndex, let text = String(validating: plain, as: UTF8.self) else { return nil }
      units += Array(text.utf16)
      plain = []
      let escaped = inside[index]
      index += 1
      switch escaped {
      case UInt8(ascii: "n"): units.append(0x0A)
      case UInt8(ascii: "t"): units.append(0x09)
      case UInt8(ascii: "r"): units.append(0x0D)
      case UInt8(ascii: "b"): units.append(0x08)
      case UInt8(ascii: "f"): units.append(0x0C)
      case UInt8(ascii: "u"):
        let digits = String(decoding: inside[index...].prefix(4), as: UTF8.self)
        guard digits.utf8.count == 4, let unit = UInt16(digits, radix: 16) else { return nil }
        units.append(unit)
        index += 4
      default: units.append(UInt16(escaped))
      }
    }
    guard let text = String(validating: plain, as: UTF8.self) else { return nil }
    return String(validating: units + Array(text.utf16), as: UTF16.self)
  }
}

// MARK: Grammar

extension JSONScanner {
  private var byte: UInt8? { at < bytes.count ? bytes[at] : nil }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

  private mutating func skipBlanks() {
    while let byte, JSONScanner.isBlank(byte) { at += 1 }
  }

  private mutating func take(_ wanted: Unicode.Scalar) -> Bool {
    guard byte == UInt8(ascii: wanted) else { return false }
    at += 1
    return true
  }

  private mutating func skipValue(depth: Int) -> Bool {
    if depth > JSONScanner.deepest { return false }
    switch byte {
    case UInt8(ascii: "\""): return skipString()
    case UInt8(ascii: "{"):
      return skipList("}", depth) { scanner in
        guard scanner.skipString() else { return false }
        scanner.skipBlanks()
        guard scanner.take(":") else { return false }
        scanner.skipBlanks()
        return scanner.skipValue(depth: depth + 1)
      }
    case UInt8(ascii: "["): return skipList("]", depth) { $0.skipValue(depth: depth + 1) }
    case UInt8(ascii: "t"): return skipWord("true")
    case UInt8(ascii: "f"): return skipWord("false")
    case UInt8(ascii: "n"): return skipWord("null")
    default: return skipNumber()
    }
  }

  /// What stands between brackets, with commas.
  private mutating func skipList(_ end: Unicode.Scalar, _ depth: Int, _ element: (inout JSONScanner) -> Bool) -> Bool {
    at += 1
    skipBlanks()
    if take(end) { return true }
    while true {
      skipBlanks()
      guard element(&self) else { return false }
      skipBlanks()
      if take(end) { return true }
      guard take(",") else { return false }
    }
  }

  private mutating func skipWord(_ word: StaticString) -> Bool {
    let count = word.utf8CodeUnitCount
    guard count <= bytes.count - at, word.withUTF8Buffer({ $0.elementsEqual(bytes[at..<at + count]) }) else { return false }
    at += count
    return true
  }

  private mutating func skipString() -> Bool {
    guard take("\"") else { return false }
    while let byte {
      at += 1
      switch byte {
      case UInt8(ascii: "\""): return true
      case 0..<0x20: return false
      case UInt8(ascii: "\\"):
        guard let escaped = self.byte else { return false }
        at += 1
        if escaped == UInt8(ascii: "u") {
          for _ in 0..<4 {
            guard let digit = self.byte, isHexadecimal(digit) else { return false }
            at += 1
          }
        } else if !"\"\\/bfnrt".utf8.contains(escaped) {
          return false
        }
      default: break
      }
    }
    return false
  }

  private func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): true
    default: false
    }
  }

  private mutating func skipDigits() -> Bool {
    let start = at
    while let byte, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { at += 1 }
    return at > start
  }

  private mutating func skipNumber() -> Bool {
    _ = take("-")
    if take("0") {
      // Nothing but a fraction or an exponent follows.
    } else if !skipDigits() {
      return false
    }
    if take("."), !skipDigits() { return false }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      return skipDigits()
    }
    return true
  }
}
