// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import PulseWire

/// Why an option was not set.
package struct OptionRefusal: Sendable {
  /// No option has that name; else it does not take that value.
  package let isUnknown: Bool
  package let sentence: [UInt8]
}

/// What the text of a value means.
package enum OptionReading {
  /// Nanoseconds, bytes, a number, 0 or 1 for false or true, or the place of a word.
  case number(Int64)
  case text([UInt8])
  case path(JSONPath)
  /// The list is to be emptied.
  case nothing
  case refused(OptionRefusal)
}

/// A set of options as one table, which parsing, `pulsews_hub_option_at` and sentences read. A row is: name, kind, default,
/// allowed, words with a blank between, minimum, maximum, most values of a list (nothing: not bounded), traits.
///
/// Minimum and maximum are in nanoseconds, bytes, or plain numbers; the maximum of a text is its length, nothing is any.
/// Traits are letters: `z` zero is allowed below the minimum, `s` a secret, and one for the form: `p` path, `t` text, `l`
/// line, `j` JSON path, `w` word, `k` token, `n` name of a topic, `o` origin.
package struct OptionSheet {
  package let count: Int
  private let texts: TextTable

  package init(packed table: Int, rows: Int) {
    texts = TextTable(packed: table, rows: rows, columns: 9)
    count = rows
  }

  package func name(_ row: Int) -> Literal { texts[row, 0] }
  package func kind(_ row: Int) -> Literal { texts[row, 1] }
  package func defaultValue(_ row: Int) -> Literal { texts[row, 2] }
  package func allowed(_ row: Int) -> Literal { texts[row, 3] }

  @inline(never) package func find(_ name: [UInt8]) -> Int? {
    var rows = texts.rows
    while let row = rows.next() {
      if HTTPText.same(name[...], rows.text(0)) { return row }
    }
    return nil
  }

  /// The sentence for a name that no option has; `owner` is "a hub" or the like.
  @inline(never) package func unknown(_ name: [UInt8], of owner: Literal) -> OptionRefusal {
    var best: Literal = ""
    var bestDistance = 4
    var rows = texts.rows
    while rows.next() != nil {
      let distance = editDistance(Array(rows.text(0).bytes), name, limit: bestDistance)
      if distance < bestDistance {
        best = rows.text(0)
        bestDistance = distance
      }
    }
    var why: Sentence = "unknown option \(quoted: name[...]) of \(owner)"
    if !best.isEmpty { why.add("; did you mean \(best)?") }
    return OptionRefusal(isUnknown: true, sentence: why.bytes)
  }

  /// There must be such a row; `held` values are in its list already.
  @inline(never) package func read(_ row: Int, _ value: [UInt8], held: Int) -> OptionReading {
    let traits = Traits(texts[row, 8])
    switch texts[row, 1].start[0] {
    case UInt8(ascii: "c"):
      guard let place = place(of: value, in: texts[row, 4]) else { return refused(row, value) }
      return .number(Int64(place))
    case UInt8(ascii: "b"):
      guard let flag = OptionValue.boolean(String(bytes: value)) else { return refused(row, value) }
      return .number(flag ? 1 : 0)
    case UInt8(ascii: "d"): return bounded(OptionValue.duration(String(bytes: value)), row, value)
    case UInt8(ascii: "s"): return bounded(OptionValue.size(String(bytes: value)), row, value)
    case UInt8(ascii: "i"): return bounded(OptionValue.integer(String(bytes: value)), row, value)
    case UInt8(ascii: "l"):
      if value.isEmpty { return .nothing }
      if !texts[row, 7].isEmpty && Int64(held) >= number(texts[row, 7]) {
        let why: Sentence = "option \(name(row)) takes at most \(texts[row, 7]) values"
        return .refused(OptionRefusal(isUnknown: false, sentence: why.bytes))
      }
      return formed(row, value, traits)
    default: return value.isEmpty ? refused(row, value) : formed(row, value, traits)
    }
  }

  private func bounded(_ number: Int64?, _ row: Int, _ value: [UInt8]) -> OptionReading {
    guard let number else { return refused(row, value) }
    let isWithin = number >= self.number(texts[row, 5]) && number <= self.number(texts[row, 6])
    return isWithin || (number == 0 && Traits(texts[row, 8]).mayBeZero) ? .number(number) : refused(row, value)
  }

  private func formed(_ row: Int, _ value: [UInt8], _ traits: Traits) -> OptionReading {
    if !texts[row, 6].isEmpty && Int64(value.count) > number(texts[row, 6]) { return refused(row, value) }
    switch traits.form {
    case UInt8(ascii: "w"):
      guard let place = place(of: value, in: texts[row, 4]) else { return refused(row, value) }
      return .number(Int64(place))
    case UInt8(ascii: "j"):
      switch JSONPath.parse(value) {
      case .failure(let wrong):
        let why: Sentence = "option \(name(row)): \(wrong.text)"
        return .refused(OptionRefusal(isUnknown: false, sentence: why.bytes))
      case .success(let path): return .path(path)
      }
    case UInt8(ascii: "k"): return HTTPText.isToken(value[...]) ? .text(value) : refused(row, value)
    case UInt8(ascii: "o"): return OptionText.isOrigin(value) ? .text(value) : refused(row, value)
    case UInt8(ascii: "n"):
      return OptionText.hasNoControls(value) && OptionText.isUTF8(value) ? .text(value) : refused(row, value)
    case UInt8(ascii: "l"): return OptionText.hasNoControls(value) ? .text(value) : refused(row, value)
    default:
      for byte in value where byte == 0 { return refused(row, value) }
      return .text(value)
    }
  }

  @inline(never) private func refused(_ row: Int, _ value: [UInt8]) -> OptionReading {
    var why: Sentence = "option \(name(row)) does not take "
    if Traits(texts[row, 8]).isSecret { why.add("this") } else { why.add("\(quoted: value[...])") }
    why.add("; allowed: \(allowed(row))")
    switch kind(row).start[0] {
    case UInt8(ascii: "d"): why.add("\(OptionValue.hint(.duration))")
    case UInt8(ascii: "s"): why.add("\(OptionValue.hint(.size))")
    default: break
    }
    return .refused(OptionRefusal(isUnknown: false, sentence: why.bytes))
  }

  /// Digits of the table.
  @inline(never) private func number(_ digits: Literal) -> Int64 {
    var number: Int64 = 0
    for digit in digits.bytes { number = number &* 10 &+ Int64(digit &- 0x30) }
    return number
  }

  @inline(never) private func place(of word: [UInt8], in words: Literal) -> Int? {
    var place = 0
    var start = 0
    let all = Array(words.bytes)
    for end in 0...all.count where end == all.count || all[end] == 0x20 {
      if HTTPText.same(all[start..<end], word[...]) { return place }
      place &+= 1
      start = end &+ 1
    }
    return nil
  }
}

private struct Traits {
  var mayBeZero = false
  var isSecret = false
  var form: UInt8 = 0

  init(_ letters: Literal) {
    for letter in letters.bytes {
      switch letter {
      case UInt8(ascii: "z"): mayBeZero = true
      case UInt8(ascii: "s"): isSecret = true
      default: form = letter
      }
    }
  }
}

/// What texts of options look like.
enum OptionText {
  static func hasNoControls(_ text: [UInt8]) -> Bool {
    for byte in text where byte < 0x20 || byte == 0x7F { return false }
    return true
  }

  static func isUTF8(_ text: [UInt8]) -> Bool { text.withUnsafeBytes { isValidUTF8($0) } }

  /// As a browser writes it (RFC 6454 §6.2): scheme://host or scheme://host:port in small letters, without a path; or *.
  static func isOrigin(_ text: [UInt8]) -> Bool {
    if HTTPText.same(text[...], Literal("*")) { return true }
    var at = 0
    while at < text.count, isSmall(text[at]) || (at > 0 && (isDigit(text[at]) || isSchemeMark(text[at]))) { at &+= 1 }
    if at == 0 || !("://" as Literal).begins(text[at...]) { return false }
    let host = text[(at &+ 3)...]
    var colon = -1
    var isInBrackets = false
    var isBehindBrackets = false
    for index in host.indices {
      let byte = host[index]
      if colon >= 0 {
        if !isDigit(byte) { return false }
      } else if byte == UInt8(ascii: "[") {
        if index != host.startIndex { return false }
        isInBrackets = true
      } else if byte == UInt8(ascii: "]") {
        if !isInBrackets { return false }
        isInBrackets = false
        isBehindBrackets = true
      } else if byte == UInt8(ascii: ":") {
        if !isInBrackets { colon = index }
      } else if isBehindBrackets || !(isSmall(byte) || isDigit(byte) || isHostMark(byte)) {
        return false
      }
    }
    // A host before the port, and digits behind the colon.
    return !host.isEmpty && !isInBrackets && colon != host.startIndex && colon != host.endIndex &- 1
      && (colon < 0 || host.endIndex &- colon <= 6)
  }

  private static func isSmall(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") }

  private static func isHostMark(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
  }

  private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

  private static func isSchemeMark(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
  }
}
