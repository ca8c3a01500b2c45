// SPDX-License-Identifier: Apache-2.0
import PulseText

/// A place in JSON messages: `data.s`, `params[0].id`, `0.T`. A step is a member's name or, in an array, the number of
/// the element from 0; `[n]` is an element only. A dot before the first step changes nothing, nor does `$` for the whole
/// message before a dot or a bracket, nor do blanks around the path.
package struct JSONPath: Sendable {
  package static let maxSize = 1024
  private static let maxIndex = 100_000_000

  /// Its steps are read again at each use: they are a few bytes.
  private let text: [UInt8]

  package static func parse(_ text: [UInt8]) -> Result<JSONPath, PatternProblem> {
    var text = text
    while text.last == UInt8(ascii: " ") { text.removeLast() }
    while text.first == UInt8(ascii: " ") { text.removeFirst() }
    if text.count > 1, text[0] == UInt8(ascii: "$"), text[1] == UInt8(ascii: ".") || text[1] == UInt8(ascii: "[") {
      text.removeFirst()
    }
    if text.isEmpty { return .failure(PatternProblem("the path is empty")) }
    if text.count > maxSize { return .failure(PatternProblem("the path is longer than", maxSize, "bytes")) }
    let wrong = text.withUnsafeBytes { firstProblem($0) }
    if wrong >= 0 { return .failure(PatternProblem("the path is not valid at byte", wrong &+ 1, "(name.name[0])")) }
    return .success(JSONPath(text: text))
  }

  /// The value there, as it stands in the message: a string with its quotation marks. nil if there is none, or if the
  /// message is not valid JSON up to the end of the value. Of several members with one name the first counts.
  package func value(in message: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    text.withUnsafeBytes { JSONPath.value($0, message) }
  }

  package func isSame(as other: JSONPath) -> Bool {
    text.withUnsafeBytes { text in other.text.withUnsafeBytes { equalBytes(text, $0) } }
  }

  /// `$` alone: what it is looked for in.
  package var isWhole: Bool { text.count == 1 && text[0] == UInt8(ascii: "$") }

  var size: Int { text.count }

  var stepCount: Int {
    var count = 0
    forEachStep { _, _, _ in count &+= 1 }
    return count
  }

  /// With the name, whether it may be a member's, and the number of the element; -1 for what is no number.
  func forEachStep(_ body: (UnsafeRawBufferPointer, Bool, Int) -> Void) {
    text.withUnsafeBytes { path in
      var at = 0
      while at < path.count {
        guard let step = Step(path, &at) else { return }
        body(step.name, step.isName, step.index)
      }
    }
  }

  /// Where the path is not valid; -1 if it is.
  static func firstProblem(_ path: UnsafeRawBufferPointer) -> Int {
    if path.isEmpty { return 0 }
    var at = 0
    while at < path.count {
      guard let step = Step(path, &at) else { return at }
      if step.name.isEmpty { return at }
    }
    return -1
  }

  static func value(_ path: UnsafeRawBufferPointer, _ message: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    var scanner = JSONScanner(message)
    var at = 0
    while at < path.count {
      guard let step = Step(path, &at) else { return nil }
      let isObject = scanner.next() == UInt8(ascii: "{")
      if isObject ? !step.isName : step.index < 0 || scanner.next() != UInt8(ascii: "[") { return nil }
      if !scanner.enter() { return nil }
      var name = JSONString.empty
      var left = step.index
      while true {
        if (isObject ? scanner.nextMember(&name) : scanner.nextElement()) != .item { return nil }
        if isObject ? name.equals(step.name) : left == 0 { break }
        left &-= 1
        if !scanner.skipValue() { return nil }
      }
    }
    guard let value = scanner.readValue() else { return nil }
    // In 01 or truex what follows is no part of the value, but it makes it one that is not valid.
    let byte = scanner.next()
    let ends = byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]")
    return ends ? value : nil
  }

  private struct Step {
    let name: UnsafeRawBufferPointer
    let isName: Bool
    /// -1 for what is no number.
    let index: Int

    /// The step at `at`; nil if none is valid there.
    @inline(never) init?(_ path: UnsafeRawBufferPointer, _ at: inout Int) {
      if at >= path.count { return nil }
      let isBracket = path[at] == UInt8(ascii: "[")
      if isBracket || path[at] == UInt8(ascii: ".") {
        at &+= 1
      } else if at > 0 {
        return nil
      }
      let start = at
      var number = 0
      while at < path.count {
        let byte = path[at]
        if byte == UInt8(ascii: ".") || byte == UInt8(ascii: "[") || byte == UInt8(ascii: "]") { break }
        let digit = byte &- UInt8(ascii: "0")
        number = digit < 10 && number >= 0 && number < JSONPath.maxIndex ? number &* 10 &+ Int(digit) : -1
        at &+= 1
      }
      name = UnsafeRawBufferPointer(rebasing: path[start..<at])
      isName = !isBracket
      index = at == start ? -1 : number
      if isBracket {
        if index < 0 || at >= path.count || path[at] != UInt8(ascii: "]") { return nil }
        at &+= 1
      }
    }
  }
}
