// SPDX-License-Identifier: Apache-2.0

/// Base64 with the standard alphabet and padding (RFC 4648 §4).
package enum Base64 {
  package static func encode(_ bytes: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    var at = 0
    while at < bytes.count {
      let left = bytes.count - at
      let group =
        UInt32(bytes[at]) << 16 | (left > 1 ? UInt32(bytes[at + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[at + 2]) : 0)
      out.add(letter(group >> 18))
      out.add(letter(group >> 12 & 63))
      out.add(left > 1 ? letter(group >> 6 & 63) : UInt8(ascii: "="))
      out.add(left > 2 ? letter(group & 63) : UInt8(ascii: "="))
      at += 3
    }
    return out
  }

  /// nil unless the text is whole groups of four letters, padding only at the end. Bits that the padding leaves over may
  /// be anything (RFC 4648 §3.5 allows that, and keys of simple clients need it).
  package static func decode(_ text: [UInt8]) -> [UInt8]? {
    guard text.count % 4 == 0 else { return nil }
    var out: [UInt8] = []
    out.reserveCapacity(text.count / 4 * 3)
    var at = 0
    while at < text.count {
      var padding = 0
      if at + 4 == text.count {
        if text[at + 3] == UInt8(ascii: "=") { padding = text[at + 2] == UInt8(ascii: "=") ? 2 : 1 }
      }
      var group: UInt32 = 0
      for i in 0..<4 {
        guard i < 4 - padding else {
          group <<= 6
          continue
        }
        guard let value = value(text[at + i]) else { return nil }
        group = group << 6 | value
      }
      out.add(UInt8(truncatingIfNeeded: group >> 16))
      if padding < 2 { out.add(UInt8(truncatingIfNeeded: group >> 8)) }
      if padding < 1 { out.add(UInt8(truncatingIfNeeded: group)) }
      at += 4
    }
    return out
  }

  /// Of the alphabet for URLs, without padding (RFC 4648 §5). Nil for anything else, also where bits are left over: a
  /// token has one spelling.
  package static func decodeURL(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    if text.count % 4 == 1 { return nil }
    var out: [UInt8] = []
    out.reserveCapacity(text.count / 4 * 3 + 2)
    var group: UInt32 = 0
    var bits = 0
    for byte in text {
      let standard = byte == UInt8(ascii: "-") ? UInt8(ascii: "+") : byte == UInt8(ascii: "_") ? UInt8(ascii: "/") : byte
      guard byte != UInt8(ascii: "+"), byte != UInt8(ascii: "/"), let value = value(standard) else { return nil }
      group = (group << 6 | value) & 0xFFFF
      bits += 6
      if bits >= 8 {
        bits -= 8
        out.add(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
      }
    }
    return group & (1 << UInt32(bits) - 1) == 0 ? out : nil
  }

  private static func letter(_ value: UInt32) -> UInt8 {
    let small = UInt8(truncatingIfNeeded: value)
    return switch value {
    case 0..<26: UInt8(ascii: "A") &+ small
    case 26..<52: UInt8(ascii: "a") &+ (small &- 26)
    case 52..<62: UInt8(ascii: "0") &+ (small &- 52)
    case 62: UInt8(ascii: "+")
    default: UInt8(ascii: "/")
    }
  }

  private static func value(_ letter: UInt8) -> UInt32? {
    switch letter {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(letter &- UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(letter &- UInt8(ascii: "a")) &+ 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(letter &- UInt8(ascii: "0")) &+ 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
