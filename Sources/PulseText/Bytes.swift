// SPDX-License-Identifier: Apache-2.0

// Text and bytes by a call: the standard library's ways put one to three hundred bytes of code into every place.

extension String {
  /// In UTF-8.
  @inline(never) package var bytes: [UInt8] { [UInt8](utf8) }

  /// For C, with NUL at the end.
  @inline(never) package var cString: [CChar] {
    var units: [CChar] = []
    units.reserveCapacity(utf8.count + 1)
    for byte in bytes { units.append(CChar(bitPattern: byte)) }
    units.append(0)
    return units
  }

  /// What is not UTF-8 becomes U+FFFD.
  @inline(never) package init(bytes: UnsafeBufferPointer<UInt8>) { self = String(decoding: bytes, as: UTF8.self) }

  package init(bytes: UnsafeRawBufferPointer) { self.init(bytes: bytes.bindMemory(to: UInt8.self)) }

  @inline(never) package init(bytes: [UInt8]) { self = bytes.withUnsafeBufferPointer { String(bytes: $0) } }

  @inline(never) package init(bytes: ArraySlice<UInt8>) { self = bytes.withUnsafeBufferPointer { String(bytes: $0) } }
}
