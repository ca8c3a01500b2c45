// SPDX-License-Identifier: Apache-2.0

// Text and bytes by a call: the standard library's ways put one to three hundred bytes of code into every place. And
// without its `utf8.count` and the like, which bring along 6 kB for strings in UTF-16, of which there are none here.

extension String {
  /// In UTF-8.
  @inline(never) package var bytes: [UInt8] { utf8.withContiguousStorageIfAvailable { [UInt8]($0) } ?? [] }

  /// The length in UTF-8.
  @inline(never) package var byteCount: Int { utf8.withContiguousStorageIfAvailable { $0.count } ?? 0 }

  package var hasNoBytes: Bool { byteCount == 0 }

  /// For C, with NUL at the end.
  @inline(never) package var cString: [CChar] {
    var units: [CChar] = []
    units.reserveCapacity(byteCount + 1)
    for byte in bytes { units.append(CChar(bitPattern: byte)) }
    units.append(0)
    return units
  }

  /// What is not UTF-8 becomes U+FFFD.
  @inline(never) package init(bytes: UnsafeBufferPointer<UInt8>) {
    var isUTF8 = true
    self.init(bytes, &isUTF8)
  }

  /// Of C's.
  package init(cText: UnsafePointer<CChar>) {
    var isUTF8 = true
    self.init(cText: cText, &isUTF8)
  }

  /// Of C's, and whether it is UTF-8.
  @inline(never) package init(cText: UnsafePointer<CChar>, _ isUTF8: inout Bool) {
    var count = 0
    while cText[count] != 0 { count &+= 1 }
    self.init(UnsafeRawBufferPointer(start: cText, count: count).bindMemory(to: UInt8.self), &isUTF8)
  }

  @inline(never) private init(_ bytes: UnsafeBufferPointer<UInt8>, _ isUTF8: inout Bool) {
    let mended = String.mended(bytes, &isUTF8)
    self = String(copying: UTF8Span(unchecked: mended.span))
  }

  /// UTF-8, with one U+FFFD for each sequence that is cut short, and for each other byte that can't be there
  /// (Unicode 3.9, "maximal subparts").
  private static func mended(_ bytes: UnsafeBufferPointer<UInt8>, _ isUTF8: inout Bool) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
      let first = bytes[index]
      let length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0
      var end = index &+ 1
      while end < bytes.count && end &- index < length {
        var low: UInt8 = 0x80
        var high: UInt8 = 0xBF
        if end == index &+ 1 {
          if first == 0xE0 { low = 0xA0 }
          if first == 0xED { high = 0x9F }
          if first == 0xF0 { low = 0x90 }
          if first == 0xF4 { high = 0x8F }
        }
        if bytes[end] < low || bytes[end] > high { break }
        end &+= 1
      }
      if end &- index == length {
        while index < end {
          out.append(bytes[index])
          index &+= 1
        }
      } else {
        out.append(contentsOf: ("\u{FFFD}" as Literal).bytes)
        index = end
        isUTF8 = false
      }
    }
    return out
  }

  package init(bytes: UnsafeRawBufferPointer) { self.init(bytes: bytes.bindMemory(to: UInt8.self)) }

  @inline(never) package init(bytes: [UInt8]) { self = bytes.withUnsafeBufferPointer { String(bytes: $0) } }

  @inline(never) package init(bytes: ArraySlice<UInt8>) { self = bytes.withUnsafeBufferPointer { String(bytes: $0) } }
}

extension UnsafeRawBufferPointer {
  /// The bytes from one place up to another, as a call; none if they are not inside.
  @inline(never) package func piece(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
    if start < 0 || end > count || start >= end { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(start: baseAddress.map { $0 + start }, count: end &- start)
  }

  /// What is between quotation marks.
  package var unquoted: UnsafeRawBufferPointer { piece(1, count &- 1) }
}
