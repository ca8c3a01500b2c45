// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Host names and addresses as text.
enum HostName {
  /// A DNS name or IPv4 address in lower case; nil with a sentence for anything else.
  static func checked(_ text: ArraySlice<UInt8>, _ problem: inout String) -> [UInt8]? {
    if text.isEmpty {
      problem = sentence("the URL has no host")
      return nil
    }
    for byte in text {
      let isAllowed =
        HTTPText.lower(byte) &- UInt8(ascii: "a") < 26 || HTTPText.isDigit(byte) || byte == UInt8(ascii: "-")
        || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
      if !isAllowed {
        problem = sentence(
          """
          the URL's host \(quoted: text) has the character \(character: byte); allowed are letters, digits, - . _ and an \
          IPv6 address in [ ]
          """)
        return nil
      }
    }
    // RFC 1035 §2.3.4; one dot at the end is allowed and counts for nothing.
    let name = text.last == UInt8(ascii: ".") ? text.dropLast() : text
    if name.count > 253 {
      problem = sentence("the URL's host has \(name.count) characters; at most 253 are allowed")
      return nil
    }
    var label = name.startIndex
    var last = name
    while label <= name.endIndex {
      let end = name[label...].firstIndex(of: UInt8(ascii: ".")) ?? name.endIndex
      last = name[label..<end]
      if last.isEmpty || last.count > 63 {
        problem = sentence("the URL's host \(quoted: text) has a part between dots that is empty or over 63 characters")
        return nil
      }
      label = end + 1
    }
    // What ends in a number is an IPv4 address, and only the form that all readers read alike is allowed: others would
    // be taken as octal, hexadecimal or shortened addresses by the resolver.
    let isNumber = last.allSatisfy { HTTPText.isDigit($0) } || HTTPText.startsIgnoringCase(last, "0x")
    if isNumber, !isIPv4(text) {
      problem = sentence("the URL's host \(quoted: text) is not an IPv4 address of four numbers from 0 to 255")
      return nil
    }
    return text.map { HTTPText.lower($0) }
  }

  /// Four decimal numbers from 0 to 255 without leading zeros (RFC 3986 §3.2.2).
  static func isIPv4(_ text: ArraySlice<UInt8>) -> Bool {
    var numbers = 0
    var from = text.startIndex
    while from <= text.endIndex {
      let end = text[from...].firstIndex(of: UInt8(ascii: ".")) ?? text.endIndex
      let part = text[from..<end]
      guard HTTPText.decimal(part, limit: 255) != nil, part.count == 1 || part.first != UInt8(ascii: "0") else {
        return false
      }
      numbers += 1
      from = end + 1
    }
    return numbers == 4
  }

  /// RFC 4291 §2.2: eight groups of up to four hexadecimal digits; one "::" for one group of zeros or more; the last two
  /// groups may be an IPv4 address.
  static func isIPv6(_ text: ArraySlice<UInt8>) -> Bool {
    let colon = UInt8(ascii: ":")
    var at = text.startIndex
    var groups = 0
    var hasGap = false
    if text.count >= 2, text[at] == colon {
      guard text[at + 1] == colon else { return false }
      hasGap = true
      at += 2
    }
    while at < text.endIndex {
      let end = text[at...].firstIndex(of: colon) ?? text.endIndex
      let part = text[at..<end]
      if part.contains(UInt8(ascii: ".")) {
        guard end == text.endIndex, isIPv4(part) else { return false }
        groups += 2
        at = end
        break
      }
      guard (1...4).contains(part.count), part.allSatisfy({ HTTPText.hexValue($0) != nil }) else { return false }
      groups += 1
      if end == text.endIndex {
        at = end
        break
      }
      at = end + 1
      // A colon has to be followed by a group, or by the second colon of the only gap.
      if at == text.endIndex { return false }
      if text[at] == colon {
        if hasGap { return false }
        hasGap = true
        at += 1
      }
    }
    return hasGap ? groups <= 7 : groups == 8
  }
}
