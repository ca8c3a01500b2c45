// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Why a pattern, path or template was refused: a clause for people that does not repeat the text.
package struct PatternProblem: Error, Sendable {
  package let text: String

  init(_ text: Literal) { self.init(text, -1, "") }

  /// "text 123 unit"; without the number if it is negative.
  @inline(never) init(_ text: Literal, _ number: Int, _ unit: Literal) {
    var out: [UInt8] = []
    JSONText.append(text, to: &out)
    if number >= 0 {
      JSONText.append(UInt8(ascii: " "), to: &out)
      JSONText.appendNumber(UInt64(truncatingIfNeeded: number), to: &out)
    }
    if unit.count > 0 {
      JSONText.append(UInt8(ascii: " "), to: &out)
      JSONText.append(unit, to: &out)
    }
    self.text = String(bytes: out)
  }
}
