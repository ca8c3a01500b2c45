// SPDX-License-Identifier: Apache-2.0
import PulseText

package typealias HTTPHeader = (name: String, value: String)

/// The head of one HTTP/1.1 message: its bytes as they came, and where in them each part lies.
struct HTTPHead {
  struct Field {
    var name: Range<Int>
    var value: Range<Int>
  }

  var bytes: [UInt8] = []
  var fields: [Field] = []
  /// The last digit of the version: HTTP/1.0 or HTTP/1.1.
  var minorVersion: UInt8 = 1
  /// Of a response.
  var status = 0
  var reason: Range<Int> = 0..<0
  /// Of a request.
  var method: Range<Int> = 0..<0
  var target: Range<Int> = 0..<0

  func text(_ range: Range<Int>) -> String { HTTPText.string(bytes[range]) }

  /// All headers in the order they came; bytes that are not UTF-8 become U+FFFD.
  var headers: [HTTPHeader] {
    var list: [HTTPHeader] = []
    list.reserveCapacity(fields.count)
    for field in fields { list.append((name: text(field.name), value: text(field.value))) }
    return list
  }

  func count(of name: Literal) -> Int {
    var count = 0
    for field in fields where HTTPText.sameIgnoringCase(bytes[field.name], name) { count += 1 }
    return count
  }

  /// The value of the first header of that name (in lower case).
  func value(of name: Literal) -> ArraySlice<UInt8>? {
    for field in fields where HTTPText.sameIgnoringCase(bytes[field.name], name) { return bytes[field.value] }
    return nil
  }

  /// The same for headers of which there may be one, without those that are empty. `isTwice`: there are two.
  @inline(never) func single(_ name: Literal, isTwice: inout Bool) -> ArraySlice<UInt8>? {
    var value: ArraySlice<UInt8>?
    for field in fields where !field.value.isEmpty && HTTPText.sameIgnoringCase(bytes[field.name], name) {
      isTwice = value != nil
      value = bytes[field.value]
    }
    return value
  }

  /// The elements of a comma-separated header, over all headers of that name (RFC 9110 §5.3), trimmed; empty elements
  /// are left out (§5.6.1.2).
  func list(of name: Literal) -> [ArraySlice<UInt8>] {
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
  func list(of name: Literal, has element: Literal) -> Bool {
    for found in list(of: name) where HTTPText.sameIgnoringCase(found, element) { return true }
    return false
  }
}
