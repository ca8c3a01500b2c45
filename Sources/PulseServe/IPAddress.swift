// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// An IPv4 or IPv6 address. An IPv4 address inside an IPv6 one (::ffff:1.2.3.4) is an IPv4 address.
package struct IPAddress: Equatable, Sendable {
  /// The halves as numbers; an IPv4 address is ::ffff:a.b.c.d.
  package let high: UInt64
  package let low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  package init(ipv4: UInt32) { self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(ipv4)) }

  package var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

  /// Four decimal numbers, or what RFC 4291 §2.2 has for IPv6, without brackets, scope or prefix. nil for anything else.
  @inline(never) package static func parse(_ text: ArraySlice<UInt8>) -> IPAddress? {
    if text.contains(UInt8(ascii: ":")) { return parse6(text) }
    return parse4(text).map { IPAddress(ipv4: $0) }
  }

  /// Without leading zeros, which some read as octal.
  @inline(never) private static func parse4(_ text: ArraySlice<UInt8>) -> UInt32? {
    var address: UInt32 = 0
    var parts = 0
    for part in Pieces(text, separator: UInt8(ascii: ".")) {
      if part.count > 1, part.first == UInt8(ascii: "0") { return nil }
      guard parts < 4, let number = HTTPText.decimal(part, limit: 255) else { return nil }
      address = address << 8 | UInt32(truncatingIfNeeded: number)
      parts &+= 1
    }
    return parts == 4 ? address : nil
  }

  @inline(never) private static func parse6(_ text: ArraySlice<UInt8>) -> IPAddress? {
    let colon = UInt8(ascii: ":")
    var words: [UInt64] = []
    // Where "::" stands.
    var gap: Int?
    var at = text.startIndex
    let end = text.endIndex
    if text.count >= 2, text[at] == colon, text[at &+ 1] == colon {
      gap = 0
      at &+= 2
    }
    while at < end {
      let start = at
      var word: UInt64 = 0
      while at < end, at &- start < 4, let digit = HTTPText.hexValue(text[at]) {
        word = word << 4 | UInt64(digit)
        at &+= 1
      }
      if at < end, text[at] == UInt8(ascii: ".") {
        guard let tail = parse4(text[start...]) else { return nil }
        words.append(UInt64(tail >> 16))
        words.append(UInt64(tail & 0xFFFF))
        break
      }
      if at == start || words.count >= 8 { return nil }
      words.append(word)
      if at == end { break }
      if text[at] != colon { return nil }
      at &+= 1
      if at == end { return nil }
      if text[at] == colon {
        if gap != nil { return nil }
        gap = words.count
        at &+= 1
      }
    }
    return joined(words, gap)
  }

  private static func joined(_ words: [UInt64], _ gap: Int?) -> IPAddress? {
    if gap == nil ? words.count != 8 : words.count > 7 { return nil }
    var high: UInt64 = 0
    var low: UInt64 = 0
    func add(_ word: UInt64) {
      high = high << 16 | low >> 48
      low = low << 16 | word
    }
    for index in 0...words.count {
      if index == gap {
        for _ in words.count..<8 { add(0) }
      }
      if index < words.count { add(words[index]) }
    }
    return IPAddress(high: high, low: low)
  }
}
