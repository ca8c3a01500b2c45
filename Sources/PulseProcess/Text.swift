// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// Small text helpers that work the same in Embedded Swift.

package func text(_ literal: Literal) -> String { literal.description }

/// Byte for byte: no Unicode normalisation.
@inline(never) package func equal(_ a: String, _ b: String) -> Bool { a.bytes == b.bytes }

@inline(never) package func equal(_ a: Literal, _ b: String) -> Bool {
  a.count == b.byteCount && a.begins(b.bytes[...])
}

/// ASCII letters only.
@inline(never) package func lowercased(_ text: String) -> String {
  var bytes = text.bytes
  for index in 0..<bytes.count where bytes[index] >= 0x41 && bytes[index] <= 0x5A { bytes[index] |= 0x20 }
  return String(bytes: bytes)
}

/// For a sentence: at most 64 bytes of the caller's text, control bytes and quotes as \xNN.
package func quoted(_ text: String) -> String {
  var out: [UInt8] = []
  var count = 0
  let hex: Literal = "0123456789abcdef"
  for byte in text.bytes {
    if count == 64 {
      // Not in the middle of a character.
      while let last = out.last, last & 0xC0 == 0x80 { out.removeLast() }
      if let last = out.last, last >= 0xC0 { out.removeLast() }
      out.append(contentsOf: [0x2E, 0x2E, 0x2E])
      break
    }
    if byte < 0x20 || byte == 0x7F || byte == 0x22 || byte == 0x5C {
      out.append(contentsOf: [0x5C, 0x78, hex.start[Int(byte >> 4)], hex.start[Int(byte & 15)]])
    } else {
      out.add(byte)
    }
    count += 1
  }
  return String(bytes: out)
}

/// Seconds with microseconds, for JSON.
package func jsonSeconds(_ nanoseconds: Int64) -> String { sentence("\(seconds: nanoseconds)") }
