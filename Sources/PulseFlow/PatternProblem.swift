// SPDX-License-Identifier: Apache-2.0

/// Why a pattern, path or template was refused: a clause for people that does not repeat the text.
package struct PatternProblem: Error, Sendable {
  package let text: String

  init(_ text: StaticString) { self.init(text, -1, "") }

  /// "text 123 unit"; without the number if it is negative.
  @inline(never) init(_ text: StaticString, _ number: Int, _ unit: StaticString) {
    var out: [UInt8] = []
    JSONText.append(text, to: &out)
    if number >= 0 {
      JSONText.append(UInt8(ascii: " "), to: &out)
      JSONText.appendNumber(UInt64(truncatingIfNeeded: number), to: &out)
    }
    if unit.utf8CodeUnitCount > 0 {
      JSONText.append(UInt8(ascii: " "), to: &out)
      JSONText.append(unit, to: &out)
    }
    self.text = String(decoding: out, as: UTF8.self)
  }
}
