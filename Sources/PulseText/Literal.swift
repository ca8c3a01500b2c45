// SPDX-License-Identifier: Apache-2.0

/// A text of the library's own, written as a literal: one pointer to UTF-8 bytes that end with NUL. StaticString is three
/// words, which every call and every line of a table would carry.
package struct Literal: ExpressibleByStringLiteral, @unchecked Sendable {
  package let start: UnsafePointer<UInt8>

  @inline(__always) package init(stringLiteral: StaticString) { self.init(stringLiteral) }

  /// For a literal that the language hands over as a StaticString.
  @inline(__always) package init(_ literal: StaticString) { start = literal.utf8Start }

  /// UTF-8 that ends with NUL and lives as long as the process.
  @inline(__always) init(start: UnsafePointer<UInt8>) { self.start = start }

  /// Counted anew each time.
  @inline(never) package var count: Int {
    var count = 0
    while start[count] != 0 { count &+= 1 }
    return count
  }

  package var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: start, count: count) }

  package var isEmpty: Bool { start[0] == 0 }

  /// Whether `bytes` begin with it.
  @inline(never) package func begins(_ bytes: ArraySlice<UInt8>) -> Bool {
    var next = start
    for byte in bytes {
      if next.pointee == 0 || byte != next.pointee { break }
      next += 1
    }
    return next.pointee == 0
  }
}

extension Literal: CustomStringConvertible {
  package var description: String { String(bytes: bytes) }
}
