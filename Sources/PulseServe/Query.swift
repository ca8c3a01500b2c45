// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// The query of a request: pairs as forms have them, "a=1&b=2". They are decoded when they are asked for: "+" is a blank,
/// and a percent sign that no two hex digits follow stands for itself. What comes out may be any bytes.
package struct Query {
  /// Pairs behind these are not looked at.
  package static let maxPairs = 256

  package let raw: ArraySlice<UInt8>

  package init(_ raw: ArraySlice<UInt8>) { self.raw = raw }

  /// The value of the first pair of that name; empty for a name without a value.
  package func value(of name: Literal) -> [UInt8]? { values(of: name, most: 1).first }

  package func values(of name: Literal) -> [[UInt8]] { values(of: name, most: Self.maxPairs) }

  @inline(never) private func values(of name: Literal, most: Int) -> [[UInt8]] {
    var values: [[UInt8]] = []
    var seen = 0
    for pair in Pieces(raw, separator: UInt8(ascii: "&")) {
      if seen == Self.maxPairs || values.count == most { break }
      seen += 1
      let equal = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
      if HTTPText.same(Self.decoded(pair[..<equal])[...], name) { values.append(Self.decoded(pair[equal...].dropFirst())) }
    }
    return values
  }

  @inline(never) private static func decoded(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(text.count)
    var at = text.startIndex
    while at < text.endIndex {
      let byte = text[at]
      if byte == UInt8(ascii: "%"), let decoded = RequestPath.escaped(text, at) {
        out.add(decoded)
        at += 3
      } else {
        out.add(byte == UInt8(ascii: "+") ? 0x20 : byte)
        at += 1
      }
    }
    return out
  }
}
