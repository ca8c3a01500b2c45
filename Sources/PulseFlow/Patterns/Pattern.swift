// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import PulseText

/// Tells messages of a kind, such as heartbeats, from others. Its text has one of three forms:
///
/// - `{...}` or `[...]`: a piece of JSON that the message contains. `{"op":"pong"}` matches
///   `{"req_id": "1", "op": "pong", "args": []}`. An object in the message may have other members, in any order; of
///   several members with one name any will do. For each element of an array in the pattern some element of the
///   message's array has to match, the same one for two if need be. Strings compare without their escapes, numbers by
///   value (1 is 1.0). The string `"*"` stands for any value; `"\u002a"` is the string itself. The whole message has to
///   be valid JSON, nested no deeper than `JSONScanner.maxDepth`.
///   The value `${id}`, with or without quotation marks, stands for any, which `PatternCapture` then has, or for none:
///   its member may be missing. So does `"${key}"`, which has to be there.
/// - with a `*` elsewhere: the whole message, where `*` stands for any bytes, also none.
/// - other text: the whole message, byte for byte.
package struct Pattern: Sendable {
  package static let maxSize = 4096
  package static let maxDepth = 16
  /// Of one object or array: a bit each in a word while matching.
  package static let maxItems = 64

  enum Form: UInt8 {
    case whole, glob, json
  }

  enum Kind: UInt8 {
    case any, object, array, string, number, word, id, key
  }

  /// A value of the JSON piece. What is inside follows, up to `end`, which is the index of the next sibling.
  struct Node {
    var kind: Kind
    /// The name of a member, in `bytes`.
    var nameStart = 0
    var nameCount = 0
    /// A string without its escapes, a number or a word, in `bytes`.
    var start = 0
    var count = 0
    var end = 0
    /// A bit for each item that is directly inside, from the lowest on.
    var items: UInt64 = 0
  }

  let form: Form
  /// The text itself; for JSON what its nodes point to.
  let bytes: [UInt8]
  let nodes: [Node]
  /// A string of the JSON piece, in `bytes`: without it a message that has no escapes can't match, and need not be
  /// scanned.
  let needle: Range<Int>

  package var usesID: Bool { has(.id) }
  package var usesKey: Bool { has(.key) }

  @inline(never) private func has(_ kind: Kind) -> Bool {
    for node in nodes where node.kind == kind { return true }
    return false
  }

  init(form: Form, bytes: [UInt8], nodes: [Node]) {
    self.form = form
    self.bytes = bytes
    self.nodes = nodes
    var start = 0
    var count = 0
    // Values tell more than names.
    for node in nodes where node.kind == .string && node.count > count {
      start = node.start
      count = node.count
    }
    if count == 0 {
      for node in nodes where node.nameCount > count && node.kind != .id {
        start = node.nameStart
        count = node.nameCount
      }
    }
    needle = start..<(start + count)
  }

  @inline(never) package static func parse(_ text: [UInt8]) -> Result<Pattern, PatternProblem> {
    guard let first = text.first else { return .failure(PatternProblem("the pattern is empty")) }
    if text.count > maxSize { return .failure(PatternProblem("the pattern is longer than", maxSize, "bytes")) }
    if first == UInt8(ascii: "{") || first == UInt8(ascii: "[") {
      return text.withUnsafeBytes { text in
        var parser = PatternParser(text)
        return parser.parse()
      }
    }
    let mark: Literal = "${id}"
    if text.withUnsafeBytes({ pulse_contains($0.baseAddress, $0.count, mark.start, 5) }) != 0 {
      return .failure(PatternProblem("${id} needs a pattern of JSON"))
    }
    var form = Form.whole
    for byte in text where byte == UInt8(ascii: "*") { form = .glob }
    return .success(Pattern(form: form, bytes: text, nodes: []))
  }

  package func matches(_ message: UnsafeRawBufferPointer) -> Bool {
    var capture = PatternCapture()
    return matches(message, &capture)
  }

  @inline(never) package func matches(_ message: UnsafeRawBufferPointer, _ capture: inout PatternCapture) -> Bool {
    bytes.withUnsafeBytes { bytes in
      switch form {
      case .whole:
        return equalBytes(bytes, message)
      case .glob:
        return matchesGlob(bytes, message)
      case .json:
        let text = UnsafeRawBufferPointer(rebasing: bytes[needle])
        if pulse_contains(message.baseAddress, message.count, text.baseAddress, text.count) == 0
          && pulse_contains_byte(message.baseAddress, message.count, UInt8(ascii: "\\")) == 0
        {
          return false
        }
        return nodes.withUnsafeBufferPointer { nodes in
          var matcher = PatternMatcher(bytes: bytes, nodes: nodes, capture: PatternCapture())
          defer { capture = matcher.capture }
          return matcher.matches(message)
        }
      }
    }
  }
}

/// What stands in a message, which it points into, where its pattern has `${id}` and `${key}`: strings without their
/// quotation marks.
package struct PatternCapture {
  package var id: UnsafeRawBufferPointer?
  package var key: UnsafeRawBufferPointer?

  package init() {}

  /// Whether a string of JSON stands for this text.
  @inline(never) package static func isText(_ string: UnsafeRawBufferPointer, _ text: [UInt8]) -> Bool {
    text.withUnsafeBytes { JSONString(raw: string, hasEscapes: true).equals($0) }
  }
}

extension Pattern {
  /// Of the text of a value.
  static func place(_ text: UnsafeRawBufferPointer) -> Kind? {
    if isWord(text, "${id}") { return .id }
    return isWord(text, "${key}") ? .key : nil
  }
}

/// When what follows a `*` does not fit, only the last `*` has to take one byte more: what the ones before took can
/// stay.
private func matchesGlob(_ pattern: UnsafeRawBufferPointer, _ message: UnsafeRawBufferPointer) -> Bool {
  var p = 0
  var m = 0
  var star = -1
  var resume = 0
  while m < message.count {
    if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
      p &+= 1
      if p == pattern.count { return true }
      star = p
      resume = m
    } else if p < pattern.count, pattern[p] == message[m] {
      p &+= 1
      m &+= 1
    } else if star >= 0 {
      resume &+= 1
      m = resume
      p = star
    } else {
      return false
    }
  }
  while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p &+= 1 }
  return p == pattern.count
}
