// SPDX-License-Identifier: Apache-2.0
import PulseText

extension [UInt8] {
  /// `append` by a call: in place it takes 70 bytes of code.
  @inline(never) package mutating func add(_ byte: UInt8) { append(byte) }
}

/// Classes of bytes in HTTP heads and URLs. They work on bytes and not on `Character`: what arrives need not be text,
/// and the tables of Unicode stay out of the library.
package enum HTTPText {
  /// A byte of a token (RFC 9110 §5.6.2): header names, subprotocols, extension names.
  @inline(never) package static func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"):
      true
    case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
      UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
      true
    default:
      false
    }
  }

  @inline(never) package static func isToken(_ bytes: ArraySlice<UInt8>) -> Bool {
    if bytes.isEmpty { return false }
    for byte in bytes where !isToken(byte) { return false }
    return true
  }

  /// A byte of a header value or reason phrase (RFC 9110 §5.5): visible, space, tab, or above ASCII.
  package static func isFieldText(_ byte: UInt8) -> Bool { (byte >= 0x20 && byte != 0x7F) || byte == 0x09 }

  package static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

  package static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

  package static func lower(_ byte: UInt8) -> UInt8 { byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte }

  @inline(never) package static func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte &- UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte &- UInt8(ascii: "a") &+ 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte &- UInt8(ascii: "A") &+ 10
    default: nil
    }
  }

  /// Equal byte by byte.
  @inline(never) package static func same(_ bytes: ArraySlice<UInt8>, _ text: Literal) -> Bool {
    guard bytes.count == text.count else { return false }
    var other = text.start
    for byte in bytes {
      if byte != other.pointee { return false }
      other += 1
    }
    return true
  }

  @inline(never) package static func same(_ bytes: ArraySlice<UInt8>, _ text: String) -> Bool {
    guard bytes.count == text.byteCount else { return false }
    var at = bytes.startIndex
    for byte in text.bytes {
      if byte != bytes[at] { return false }
      at += 1
    }
    return true
  }

  /// Equal but for the case of ASCII letters; `text` is in lower case.
  @inline(never) package static func sameIgnoringCase(_ bytes: ArraySlice<UInt8>, _ text: Literal) -> Bool {
    bytes.count == text.count && startsIgnoringCase(bytes, text)
  }

  /// Begins with `text` (in lower case), whatever the case of ASCII letters.
  @inline(never) package static func startsIgnoringCase(_ bytes: ArraySlice<UInt8>, _ text: Literal) -> Bool {
    guard bytes.count >= text.count else { return false }
    var at = bytes.startIndex
    for i in 0..<text.count {
      if lower(bytes[at]) != text.start[i] { return false }
      at += 1
    }
    return true
  }

  @inline(never) package static func same(_ bytes: ArraySlice<UInt8>, _ others: ArraySlice<UInt8>) -> Bool {
    guard bytes.count == others.count else { return false }
    var at = others.startIndex
    for byte in bytes {
      if byte != others[at] { return false }
      at += 1
    }
    return true
  }

  /// Without spaces and tabs at both ends.
  @inline(never) package static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var from = bytes.startIndex
    var to = bytes.endIndex
    while from < to, isBlank(bytes[from]) { from += 1 }
    while from < to, isBlank(bytes[to - 1]) { to -= 1 }
    return bytes[from..<to]
  }

  /// A decimal number of digits only, at most `limit`; nil for anything else.
  @inline(never) package static func decimal(_ bytes: ArraySlice<UInt8>, limit: Int) -> Int? {
    if bytes.isEmpty { return nil }
    var value = 0
    for byte in bytes {
      guard isDigit(byte) else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      value = product &+ Int(byte &- UInt8(ascii: "0"))
      if overflow || value < 0 || value > limit { return nil }
    }
    return value
  }

  @inline(never) package static func string(_ bytes: ArraySlice<UInt8>) -> String { String(bytes: bytes) }
}
