// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Reads a piece of JSON into the nodes of a pattern.
struct PatternParser {
  private let text: UnsafeRawBufferPointer
  private var scanner: JSONScanner
  private var bytes: [UInt8] = []
  private var nodes: [Pattern.Node] = []
  private var problem: PatternProblem?

  init(_ text: UnsafeRawBufferPointer) {
    self.text = text
    scanner = JSONScanner(text)
  }

  mutating func parse() -> Result<Pattern, PatternProblem> {
    if readValue(JSONString.empty, depth: 1), scanner.isAtEnd() {
      return .success(Pattern(form: .json, bytes: bytes, nodes: nodes))
    }
    if let problem { return .failure(problem) }
    return .failure(PatternProblem("the pattern is not valid JSON at byte", scanner.position &+ 1, ""))
  }

  /// False if the text is not valid there, or with a `problem`.
  private mutating func readValue(_ name: JSONString, depth: Int) -> Bool {
    let index = nodes.count
    var node = Pattern.Node(kind: .any)
    node.nameStart = bytes.count
    name.append(to: &bytes)
    node.nameCount = bytes.count &- node.nameStart
    node.start = bytes.count
    nodes.append(node)

    let first = scanner.next()
    switch first {
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      node.kind = first == UInt8(ascii: "{") ? .object : .array
      guard let items = readItems(node.kind, depth: depth) else { return false }
      node.items = items
    case UInt8(ascii: "\""):
      guard let string = scanner.readString() else { return false }
      if string.raw.count == 1, string.raw[0] == UInt8(ascii: "*") { break }
      if let place = Pattern.place(string.raw) {
        node.kind = place
        break
      }
      node.kind = .string
      string.append(to: &bytes)
      node.count = bytes.count &- node.start
    case UInt8(ascii: "$"):
      var end = scanner.position
      while end < text.count, text[end] != UInt8(ascii: "}") { end &+= 1 }
      guard end < text.count,
        let place = Pattern.place(UnsafeRawBufferPointer(rebasing: text[scanner.position...end]))
      else { return false }
      node.kind = place
      scanner.reread(end &+ 1)
    default:
      guard let raw = scanner.readValue() else { return false }
      let isWord = first == UInt8(ascii: "t") || first == UInt8(ascii: "f") || first == UInt8(ascii: "n")
      node.kind = isWord ? .word : .number
      JSONText.append(raw, to: &bytes)
      node.count = raw.count
    }
    node.end = nodes.count
    nodes[index] = node
    return true
  }

  private mutating func readItems(_ kind: Pattern.Kind, depth: Int) -> UInt64? {
    if depth > Pattern.maxDepth {
      problem = PatternProblem("the pattern is nested deeper than", Pattern.maxDepth, "levels")
      return nil
    }
    if !scanner.enter() { return nil }
    var items: UInt64 = 0
    while true {
      var name = JSONString.empty
      switch kind == .object ? scanner.nextMember(&name) : scanner.nextElement() {
      case .end: return items
      case .invalid: return nil
      case .item: break
      }
      if items == UInt64.max {
        problem = PatternProblem("an object or array in the pattern has more than", Pattern.maxItems, "items")
        return nil
      }
      items = items << 1 | 1
      if !readValue(name, depth: depth &+ 1) { return nil }
    }
  }
}
