// SPDX-License-Identifier: Apache-2.0

/// A string in a JSON text that a `JSONScanner` has checked.
package struct JSONString {
  /// Between the quotation marks, as it stands in the text.
  package let raw: UnsafeRawBufferPointer
  package let hasEscapes: Bool

  package init(raw: UnsafeRawBufferPointer, hasEscapes: Bool) {
    self.raw = raw
    self.hasEscapes = hasEscapes
  }

  package static var empty: JSONString {
    JSONString(raw: UnsafeRawBufferPointer(start: nil, count: 0), hasEscapes: false)
  }

  /// Whether it stands for `text`. A lone surrogate counts as the three bytes that UTF-8 would give it.
  @inline(never) package func equals(_ text: UnsafeRawBufferPointer) -> Bool {
    if !hasEscapes { return equalBytes(raw, text) }
    // What is decoded is never longer.
    if raw.count < text.count { return false }
    var at = 0
    var index = 0
    while at < raw.count {
      var character = decode(&at)
      repeat {
        if index >= text.count || text[index] != UInt8(truncatingIfNeeded: character) { return false }
        index &+= 1
        character >>= 8
      } while character != 0
    }
    return index == text.count
  }

  package func append(to out: inout [UInt8]) {
    var at = 0
    while at < raw.count {
      var character = decode(&at)
      repeat {
        JSONText.append(UInt8(truncatingIfNeeded: character), to: &out)
        character >>= 8
      } while character != 0
    }
  }

  /// The UTF-8 of the character at `at`, the first byte lowest; of a character without an escape only its first byte.
  @inline(never) private func decode(_ at: inout Int) -> UInt32 {
    let byte = raw[at]
    at &+= 1
    if byte != UInt8(ascii: "\\") || at >= raw.count { return UInt32(byte) }
    let kind = raw[at]
    at &+= 1
    switch kind {
    case UInt8(ascii: "b"): return 0x08
    case UInt8(ascii: "f"): return 0x0C
    case UInt8(ascii: "n"): return 0x0A
    case UInt8(ascii: "r"): return 0x0D
    case UInt8(ascii: "t"): return 0x09
    case UInt8(ascii: "u"): break
    default: return UInt32(kind)
    }
    guard var code = hexUnit(raw, at) else { return UInt32(kind) }
    at &+= 4
    if code & 0xFC00 == 0xD800, raw.count &- at >= 6, raw[at] == UInt8(ascii: "\\"), raw[at &+ 1] == UInt8(ascii: "u"),
      let low = hexUnit(raw, at &+ 2), low & 0xFC00 == 0xDC00
    {
      code = 0x10000 &+ ((code & 0x3FF) << 10 | (low & 0x3FF))
      at &+= 6
    }
    if code < 0x80 { return code }
    let last = code & 0x3F | 0x80
    if code < 0x800 { return code >> 6 | 0xC0 | last << 8 }
    let third = code >> 6 & 0x3F | 0x80
    if code < 0x10000 { return code >> 12 | 0xE0 | third << 8 | last << 16 }
    return code >> 18 | 0xF0 | (code >> 12 & 0x3F | 0x80) << 8 | third << 16 | last << 24
  }
}

/// Without memcmp, which Swift has from the platform's C module only.
package func equalBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  if a.count != b.count { return false }
  var at = 0
  while at &+ 8 <= a.count {
    if a.loadUnaligned(fromByteOffset: at, as: UInt64.self) != b.loadUnaligned(fromByteOffset: at, as: UInt64.self) {
      return false
    }
    at &+= 8
  }
  while at < a.count {
    if a[at] != b[at] { return false }
    at &+= 1
  }
  return true
}
