// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// What a feed's messages become on topics, as data: rules that each say how a kind of message is recognised, and its topic,
/// key and published object. docs/HUB_FEEDS.md has the lines. Its owner's lock guards it.
package final class FeedMap {
  package static let maxSize = 64 << 10
  static let maxRules = 64

  private var first: FeedRule?
  private var last: FeedRule?
  private var count = 0
  private let output = FeedOutput()
  /// In whose place its feed stands; empty: nobody's.
  package private(set) var instead: [UInt8] = []

  private init() {}

  /// Every rule that is for the message gives `taker` what it makes of it. False if none is.
  package func apply(_ message: UnsafeRawBufferPointer, receivedAt: Int64, _ taker: FeedTaker) -> Bool {
    output.machine.receivedAt = receivedAt
    var isMatched = false
    var next = first
    while let rule = next {
      if rule.apply(message, output, taker) { isMatched = true }
      next = rule.next
    }
    return isMatched
  }

  /// How often a rule was for a message, and a field was missing or not of its form.
  package var incomplete: UInt64 { output.incomplete }

  // MARK: Reading one

  /// Lines `name=value`; empty ones and those that begin with # say nothing. A sentence for what can't be read.
  @inline(never) package static func parse(_ text: [UInt8], _ problem: inout Sentence) -> FeedMap? {
    let map = FeedMap()
    var number = 0
    var start = 0
    if text.count > maxSize { problem = "a map has at most \(maxSize) bytes" }
    while problem.bytes.isEmpty, start < text.count {
      var end = start
      while end < text.count, text[end] != 0x0A { end &+= 1 }
      number &+= 1
      if let wrong = map.add(text[start..<end]) { problem = "line \(number): \(wrong)" }
      start = end &+ 1
    }
    if problem.bytes.isEmpty, map.count == 0 { problem = "a map has at least one rule=" }
    if problem.bytes.isEmpty, let wrong = map.last?.finish() { problem = wrong }
    return problem.bytes.isEmpty ? map : nil
  }

  private static var names: TextTable {
    TextTable("match\0where\0each\0topic\0key\0time\0order\0publish\0", rows: 8, columns: 1)
  }

  private func add(_ text: ArraySlice<UInt8>) -> Sentence? {
    var line = text
    while let last = line.last, last <= 0x20 { line = line.dropLast() }
    while let first = line.first, first <= 0x20 { line = line.dropFirst() }
    if line.isEmpty || line.first == UInt8(ascii: "#") { return nil }
    guard let equals = line.firstIndex(of: UInt8(ascii: "=")) else { return "there is no = in it" }
    let name = line[..<equals]
    let value = line[(equals &+ 1)...]
    if name.count == 4, FeedText.begins(name, "rule") {
      if let problem = last?.finish() { return problem }
      if count == FeedMap.maxRules { return "a map has at most \(FeedMap.maxRules) rules" }
      let rule = FeedRule()
      if let last { last.next = rule } else { first = rule }
      last = rule
      count &+= 1
      return nil
    }
    guard let rule = last else {
      if name.count != 7 || !FeedText.begins(name, "instead") || value.isEmpty { return "rule= comes first, or instead= and a name" }
      instead = Array(value)
      return nil
    }
    var rows = FeedMap.names.rows
    while let row = rows.next() {
      if rows.text(0).count == name.count, FeedText.begins(name, rows.text(0)), let line = FeedRule.Line(rawValue: row) {
        return rule.add(line, value)
      }
    }
    return "\(quoted: name) is none of rule, match, each, where, topic, key, time, order and publish"
  }
}
