// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Bytes of URLs and answers; not characters, which would bring the tables of Unicode in.
enum ProxyText {
  static func lower(_ byte: UInt8) -> UInt8 { byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte }

  static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

  /// `text` is in lower case.
  @inline(never) static func sameIgnoringCase(_ bytes: ArraySlice<UInt8>, _ text: Literal) -> Bool {
    guard bytes.count == text.count else { return false }
    var other = text.start
    for byte in bytes {
      if lower(byte) != other.pointee { return false }
      other += 1
    }
    return true
  }

  /// Digits only, at most `limit`.
  @inline(never) static func number(_ digits: ArraySlice<UInt8>, limit: Int) -> Int? {
    if digits.isEmpty { return nil }
    var value = 0
    for byte in digits {
      guard isDigit(byte) else { return nil }
      value = value &* 10 &+ Int(byte &- UInt8(ascii: "0"))
      if value > limit { return nil }
    }
    return value
  }

  /// Without blanks, control characters and line ends at both ends.
  @inline(never) static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var bytes = bytes
    while let first = bytes.first, first <= 0x20 { bytes = bytes.dropFirst() }
    while let last = bytes.last, last <= 0x20 { bytes = bytes.dropLast() }
    return bytes
  }
}
