// SPDX-License-Identifier: Apache-2.0
import CPulseKernels

/// What a whole text is.
package struct UTF8Verdict: Equatable, Sendable {
  package var isValid: Bool
  /// Every byte is below 0x80; false if the text is not valid.
  package var isASCII: Bool
}

/// Judges a whole text; a sequence that its end cuts off is an error.
@inline(__always)
package func checkUTF8(_ bytes: UnsafeRawBufferPointer) -> UTF8Verdict {
  let verdict = pulse_utf8_check(bytes.baseAddress, bytes.count)
  return UTF8Verdict(isValid: verdict != 0, isASCII: verdict & Int32(PULSE_UTF8_ASCII) != 0)
}

package func isValidUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
  checkUTF8(bytes).isValid
}

/// Judges a text that comes in parts, and refuses it at the first byte that no valid text can have at its place
/// (RFC 6455 §8.1), also if that byte is inside a sequence: E0 80 is refused before a third byte is there.
package struct UTF8Validator {
  private var state = pulse_utf8_state(remaining: 0, lowest: 0, highest: 0, beyond_ascii: 0)

  package init() {}

  /// False if the bytes cannot follow those before; what comes after that has no meaning.
  package mutating func consume(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.isEmpty || pulse_utf8_feed(&state, bytes.baseAddress, bytes.count)
  }

  /// No sequence is cut off here.
  package var isComplete: Bool { state.remaining == 0 }

  /// No byte so far was above 0x7F.
  package var isASCII: Bool { state.beyond_ascii == 0 }
}
