// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Writes pieces of JSON.
package enum JSONText {
  /// A string with its quotation marks. Bytes above 0x7F go out as they are: UTF-8 in, UTF-8 out.
  @inline(never) package static func appendString(_ bytes: UnsafeRawBufferPointer, to out: inout [UInt8]) {
    let hex: Literal = "0123456789abcdef"
    append(UInt8(ascii: "\""), to: &out)
    for byte in bytes {
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
        append(UInt8(ascii: "\\"), to: &out)
        append(byte, to: &out)
      } else if byte < 0x20 || byte == 0x7F {
        append("\\u00", to: &out)
        append(hex.start[Int(byte >> 4)], to: &out)
        append(hex.start[Int(byte & 15)], to: &out)
      } else {
        append(byte, to: &out)
      }
    }
    append(UInt8(ascii: "\""), to: &out)
  }

  package static func appendString(_ bytes: [UInt8], to out: inout [UInt8]) {
    bytes.withUnsafeBytes { appendString($0, to: &out) }
  }

  @inline(never) package static func appendNumber(_ number: UInt64, to out: inout [UInt8]) {
    var divisor: UInt64 = 1
    while number / divisor >= 10 { divisor &*= 10 }
    while divisor > 0 {
      append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: number / divisor % 10), to: &out)
      divisor /= 10
    }
  }

  package static func appendNumber(_ number: Int64, to out: inout [UInt8]) {
    if number < 0 { append(UInt8(ascii: "-"), to: &out) }
    appendNumber(number.magnitude, to: &out)
  }

  @inline(never) package static func append(_ text: Literal, to out: inout [UInt8]) {
    append(UnsafeRawBufferPointer(text.bytes), to: &out)
  }

  @inline(never) package static func append(_ bytes: UnsafeRawBufferPointer, to out: inout [UInt8]) {
    out.append(contentsOf: bytes)
  }

  /// A call: Swift's own is inlined, at a hundred bytes each time.
  @inline(never) package static func append(_ byte: UInt8, to out: inout [UInt8]) { out.append(byte) }
}
