// SPDX-License-Identifier: Apache-2.0

/// A sentence for people, written as a string with parts in it: `sentence("port \(quoted: text) of \(count)")`. String's
/// own interpolation costs over a kilobyte of code for each sentence; here a part is a call. Bytes that come from
/// outside go in as `quoted` or `byte` only, which leaves nothing that could break a log line or steer a terminal.
struct Sentence: ExpressibleByStringInterpolation {
  var bytes: [UInt8]

  struct StringInterpolation: StringInterpolationProtocol {
    var bytes: [UInt8] = []

    @inline(never) init(literalCapacity: Int, interpolationCount: Int) { bytes.reserveCapacity(128) }

    @inline(never) mutating func appendLiteral(_ literal: StaticString) {
      bytes.append(contentsOf: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    /// Text of the library's own.
    @inline(never) mutating func appendInterpolation(_ text: StaticString) { appendLiteral(text) }

    @inline(never) mutating func appendInterpolation(_ part: Sentence) { bytes.append(contentsOf: part.bytes) }

    /// Text that was made as a sentence before.
    @inline(never) mutating func appendInterpolation(_ text: String) { bytes.append(contentsOf: text.utf8) }

    @inline(never) mutating func appendInterpolation(_ number: Int) {
      var magnitude = number.magnitude
      var digits: [UInt8] = []
      repeat {
        digits.append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: magnitude % 10))
        magnitude /= 10
      } while magnitude > 0
      if number < 0 { digits.append(UInt8(ascii: "-")) }
      while let digit = digits.popLast() { bytes.append(digit) }
    }

    /// Between quotation marks: printable ASCII as it is, all else as \xNN; cut after `limit` bytes.
    @inline(never) mutating func appendInterpolation(quoted text: ArraySlice<UInt8>, limit: Int = 64) {
      bytes.append(UInt8(ascii: "\""))
      for byte in text.prefix(limit) {
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
          bytes.append(UInt8(ascii: "\\"))
          bytes.append(byte)
        } else if byte >= 0x20, byte < 0x7F {
          bytes.append(byte)
        } else {
          appendInterpolation(byte: byte)
        }
      }
      bytes.append(UInt8(ascii: "\""))
      if text.count > limit { appendLiteral("...") }
    }

    /// A byte as \xNN.
    @inline(never) mutating func appendInterpolation(byte: UInt8) {
      appendLiteral("\\x")
      for digit in [byte >> 4, byte & 15] {
        bytes.append(digit < 10 ? UInt8(ascii: "0") &+ digit : UInt8(ascii: "A") &+ digit &- 10)
      }
    }

    /// A byte that is known to be printable.
    @inline(never) mutating func appendInterpolation(character: UInt8) { bytes.append(character) }
  }

  @inline(never) init(stringInterpolation: StringInterpolation) { bytes = stringInterpolation.bytes }

  init(_ bytes: ArraySlice<UInt8>) { self.bytes = Array(bytes) }

  @inline(never) mutating func add(_ other: Sentence) { bytes.append(contentsOf: other.bytes) }

  @inline(never) init(stringLiteral: StaticString) {
    bytes = Array(UnsafeBufferPointer(start: stringLiteral.utf8Start, count: stringLiteral.utf8CodeUnitCount))
  }
}

@inline(never) func sentence(_ sentence: Sentence) -> String { String(decoding: sentence.bytes, as: UTF8.self) }
