// SPDX-License-Identifier: Apache-2.0
import PulseText

/// A text to send, with places to fill:
///
///     ${id}    a counter           ${time}  UTC as 2026-01-31T23:59:59.123Z
///     ${ms}    Unix milliseconds   ${keys}  the subscriptions' keys as JSON strings: "a","b"
///     ${s}     Unix seconds        ${$}     a dollar sign
///
/// Any other name is a `JSONPath` into the request that is answered, and stands for the value there as it is: a string
/// with its quotation marks. `${.id}`, with a dot before it, is the request's own id. A `$` elsewhere is itself.
package struct Template: Sendable {
  package static let maxSize = 64 << 10
  /// So that a request can't blow up its answer.
  package static let maxValueSize = 4096

  private enum Place: UInt8 {
    case text, counter, milliseconds, seconds, time, keys, request
  }

  private struct Part {
    var place: Place
    /// In `text`: what goes out as it is, or a path.
    var start = 0
    var end = 0
  }

  private var text: [UInt8] = []
  private var parts: [Part] = []

  package private(set) var usesKeys = false
  package private(set) var usesRequest = false

  private init() {}

  @inline(never) package static func parse(_ text: [UInt8]) -> Result<Template, PatternProblem> {
    if text.count > maxSize { return .failure(PatternProblem("the text is longer than", maxSize, "bytes")) }
    var template = Template()
    template.text = text
    var literal = 0
    var at = 0
    while at < text.count {
      if text[at] != UInt8(ascii: "$") || at &+ 1 == text.count || text[at &+ 1] != UInt8(ascii: "{") {
        at &+= 1
        continue
      }
      var end = at &+ 2
      while end < text.count, text[end] != UInt8(ascii: "}") { end &+= 1 }
      if end == text.count { return .failure(PatternProblem("there is no } for the ${ at byte", at &+ 1, "")) }
      template.add(.text, literal, at)
      guard let place = template.place(at &+ 2, end) else {
        return .failure(PatternProblem("there is no path in the ${} at byte", at &+ 1, ""))
      }
      template.add(place, at &+ 2, end)
      at = end &+ 1
      literal = at
    }
    template.add(.text, literal, text.count)
    return .success(template)
  }

  @inline(never) private mutating func add(_ place: Place, _ start: Int, _ end: Int) {
    if place == .keys { usesKeys = true }
    if place == .request { usesRequest = true }
    if start < end { parts.append(Part(place: place, start: start, end: end)) }
  }

  /// What the name there stands for; nil if it is none.
  private func place(_ start: Int, _ end: Int) -> Place? {
    text.withUnsafeBytes { text in
      let name = UnsafeRawBufferPointer(rebasing: text[start..<end])
      if isWord(name, "id") { return .counter }
      if isWord(name, "ms") { return .milliseconds }
      if isWord(name, "s") { return .seconds }
      if isWord(name, "time") { return .time }
      if isWord(name, "keys") { return .keys }
      if isWord(name, "$") { return .text }
      // With a dollar sign, a space or a quotation mark something else was meant.
      for byte in name where byte <= 0x20 || byte == UInt8(ascii: "$") || byte == UInt8(ascii: "\"") { return nil }
      return name.count <= JSONPath.maxSize && JSONPath.firstProblem(name) < 0 ? .request : nil
    }
  }

  /// Appends the filled text, with `realtime` in nanoseconds since 1970. False, with `out` as it was, if the request
  /// has no value at a path, or one above `maxValueSize`.
  package func render(
    into out: inout [UInt8], id: UInt64, realtime: Int64, keys: [[UInt8]], request: UnsafeRawBufferPointer?
  ) -> Bool {
    let before = out.count
    for part in parts {
      switch part.place {
      case .text:
        appendText(part, to: &out)
      case .counter:
        JSONText.appendNumber(id, to: &out)
      case .milliseconds:
        JSONText.appendNumber(floored(realtime, 1_000_000), to: &out)
      case .seconds:
        JSONText.appendNumber(floored(realtime, 1_000_000_000), to: &out)
      case .time:
        RFC3339.append(realtime, to: &out, digits: 3)
      case .keys:
        for index in 0..<keys.count {
          if index > 0 { JSONText.append(UInt8(ascii: ","), to: &out) }
          JSONText.appendString(keys[index], to: &out)
        }
      case .request:
        if !appendValue(part, request, to: &out) {
          while out.count > before { out.removeLast() }
          return false
        }
      }
    }
    return true
  }

  private func appendText(_ part: Part, to out: inout [UInt8]) {
    text.withUnsafeBytes { JSONText.append(UnsafeRawBufferPointer(rebasing: $0[part.start..<part.end]), to: &out) }
  }

  private func appendValue(_ part: Part, _ request: UnsafeRawBufferPointer?, to out: inout [UInt8]) -> Bool {
    guard let request else { return false }
    return text.withUnsafeBytes { text in
      let path = UnsafeRawBufferPointer(rebasing: text[part.start..<part.end])
      guard let value = JSONPath.value(path, request), value.count <= Template.maxValueSize else { return false }
      JSONText.append(value, to: &out)
      return true
    }
  }
}

@inline(never) func isWord(_ name: UnsafeRawBufferPointer, _ word: Literal) -> Bool {
  equalBytes(name, UnsafeRawBufferPointer(word.bytes))
}

@inline(never) private func floored(_ number: Int64, _ unit: Int64) -> Int64 {
  let quotient = number / unit
  return number % unit < 0 ? quotient &- 1 : quotient
}
