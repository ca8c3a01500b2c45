// SPDX-License-Identifier: Apache-2.0
import PulseText

package typealias HTTPHeader = (name: String, value: String)

extension [HTTPHeader] {
  @inline(never) package mutating func add(_ name: String, _ value: String) { append((name: name, value: value)) }

  @inline(never) package mutating func add(_ others: [HTTPHeader]) {
    for header in others { append(header) }
  }
}

/// The head of one HTTP/1.1 message: its bytes as they came, and where in them each part lies.
package struct HTTPHead {
  package struct Field {
    package var name: Range<Int>
    package var value: Range<Int>
  }

  package var bytes: [UInt8] = []
  package var fields: [Field] = []
  /// The last digit of the version: HTTP/1.0 or HTTP/1.1.
  package var minorVersion: UInt8 = 1
  /// Of a response.
  package var status = 0
  package var reason: Range<Int> = 0..<0
  /// Of a request.
  package var method: Range<Int> = 0..<0
  package var target: Range<Int> = 0..<0

  package init() {}

  package func text(_ range: Range<Int>) -> String { HTTPText.string(bytes[range]) }

  /// All headers in the order they came; bytes that are not UTF-8 become U+FFFD.
  package var headers: [HTTPHeader] {
    var list: [HTTPHeader] = []
    for field in fields { list.add(text(field.name), text(field.value)) }
    return list
  }

  @inline(never) package func count(of name: Literal) -> Int {
    var count = 0
    for field in fields where HTTPText.sameIgnoringCase(bytes[field.name], name) { count += 1 }
    return count
  }

  /// The value of the first header of that name (in lower case).
  @inline(never) package func value(of name: Literal) -> ArraySlice<UInt8>? {
    for field in fields where HTTPText.sameIgnoringCase(bytes[field.name], name) { return bytes[field.value] }
    return nil
  }

  /// The same for headers of which there may be one, without those that are empty. `isTwice`: there are two.
  @inline(never) package func single(_ name: Literal, isTwice: inout Bool) -> ArraySlice<UInt8>? {
    var value: ArraySlice<UInt8>?
    for field in fields where !field.value.isEmpty && HTTPText.sameIgnoringCase(bytes[field.name], name) {
      isTwice = value != nil
      value = bytes[field.value]
    }
    return value
  }

  /// The elements of a comma-separated header, over all headers of that name (RFC 9110 §5.3), trimmed; empty elements
  /// are left out (§5.6.1.2).
  @inline(never) package func list(of name: Literal) -> [ArraySlice<UInt8>] {
    var elements: [ArraySlice<UInt8>] = []
    for field in fields where HTTPText.sameIgnoringCase(bytes[field.name], name) {
      var from = field.value.lowerBound
      while from <= field.value.upperBound {
        var to = from
        while to < field.value.upperBound, bytes[to] != UInt8(ascii: ",") { to += 1 }
        let element = HTTPText.trimmed(bytes[from..<to])
        if !element.isEmpty { elements.append(element) }
        from = to + 1
      }
    }
    return elements
  }

  /// Whether a comma-separated header has an element, ignoring case.
  @inline(never) package func list(of name: Literal, has element: Literal) -> Bool {
    for found in list(of: name) where HTTPText.sameIgnoringCase(found, element) { return true }
    return false
  }
}
