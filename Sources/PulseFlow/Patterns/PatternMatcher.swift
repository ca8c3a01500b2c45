// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Holds a message against the nodes of a pattern while it scans it. Each value of the message meets each node at most
/// once, and each node's recursion ends with the pattern's depth.
struct PatternMatcher {
  let bytes: UnsafeRawBufferPointer
  let nodes: UnsafeBufferPointer<Pattern.Node>
  var capture: PatternCapture

  private enum Verdict: UInt8 {
    case matches, differs, invalid
  }

  mutating func matches(_ message: UnsafeRawBufferPointer) -> Bool {
    var scanner = JSONScanner(message)
    guard let root = nodes.first else { return false }
    // Most feeds have objects only, or arrays only: this saves the scan of all the messages of the other kind.
    if scanner.next() != (root.kind == .object ? UInt8(ascii: "{") : UInt8(ascii: "[")) { return false }
    return match(0, &scanner) == .matches && scanner.isAtEnd()
  }

  /// Reads the value that is next.
  @inline(never) private mutating func match(_ index: Int, _ scanner: inout JSONScanner) -> Verdict {
    let node = nodes[index]
    let first = scanner.next()
    switch node.kind {
    case .any:
      return scanner.skipValue() ? .matches : .invalid
    case .object:
      if first == UInt8(ascii: "{") { return matchItems(index, &scanner) }
    case .array:
      if first == UInt8(ascii: "[") { return matchItems(index, &scanner) }
    case .string:
      if first == UInt8(ascii: "\"") {
        guard let string = scanner.readString() else { return .invalid }
        return string.equals(text(node.start, node.count)) ? .matches : .differs
      }
    case .number:
      if first == UInt8(ascii: "-") || first &- UInt8(ascii: "0") < 10 {
        guard let raw = scanner.readValue() else { return .invalid }
        return JSONNumber.equal(raw, text(node.start, node.count)) ? .matches : .differs
      }
    case .word:
      if first == bytes[node.start] { return scanner.skipValue() ? .matches : .invalid }
    case .id, .key:
      guard let raw = scanner.readValue() else { return .invalid }
      if node.kind == .id { capture.id = withoutQuotes(raw) } else { capture.key = withoutQuotes(raw) }
      return .matches
    }
    return scanner.skipValue() ? .differs : .invalid
  }

  private mutating func matchItems(_ index: Int, _ scanner: inout JSONScanner) -> Verdict {
    let node = nodes[index]
    let isObject = node.kind == .object
    // Items of the pattern that nothing has matched yet.
    var missing = node.items
    var name = JSONString.empty
    if !scanner.enter() { return .invalid }
    while true {
      switch isObject ? scanner.nextMember(&name) : scanner.nextElement() {
      case .end: return missing == 0 || lacksOnlyID(index, missing) ? .matches : .differs
      case .invalid: return .invalid
      case .item: break
      }
      let start = scanner.position
      var isRead = false
      var child = index &+ 1
      var bit: UInt64 = 1
      while bit <= missing, bit != 0, child < node.end {
        let item = nodes[child]
        if missing & bit != 0, !isObject || isName(of: item, name) {
          // Each item of the pattern begins at the same place; whichever reads, they end at the same.
          scanner.reread(start)
          isRead = true
          switch match(child, &scanner) {
          case .matches: missing &= ~bit
          case .differs: break
          case .invalid: return .invalid
          }
        }
        child = item.end
        bit <<= 1
      }
      if !isRead, !scanner.skipValue() { return .invalid }
    }
  }

  /// An answer to a request without an id has none either.
  private mutating func lacksOnlyID(_ index: Int, _ missing: UInt64) -> Bool {
    var missing = missing
    var child = index &+ 1
    while missing != 0 {
      if missing & 1 != 0 {
        if nodes[child].kind != .id { return false }
        capture.id = UnsafeRawBufferPointer(start: nil, count: 0)
      }
      missing >>= 1
      child = nodes[child].end
    }
    return true
  }

  @inline(__always) private func isName(of item: Pattern.Node, _ name: JSONString) -> Bool {
    // Most names differ in size already.
    (name.hasEscapes || name.raw.count == item.nameCount) && name.equals(text(item.nameStart, item.nameCount))
  }

  private func text(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[start..<(start &+ count)])
  }
}

/// A string's text, its escapes as they are; any other value whole.
package func withoutQuotes(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
  value.count > 1 && value[0] == UInt8(ascii: "\"") ? value.unquoted : value
}
