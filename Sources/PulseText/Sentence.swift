// SPDX-License-Identifier: Apache-2.0

/// A sentence for people, written as a string with parts in it: `sentence("port \(quoted: text) of \(count)")`. String's
/// own interpolation costs over a kilobyte of code for each sentence; here a part is a call. Bytes that come from
/// outside go in as `quoted` or `byte` only, which leaves nothing that could break a log line or steer a terminal.
package struct Sentence: ExpressibleByStringInterpolation {
  package var bytes: [UInt8]

  package struct StringInterpolation: StringInterpolationProtocol {
    var bytes: [UInt8] = []

    @inline(__always) package init(literalCapacity: Int, interpolationCount: Int) { self.init() }

    @inline(never) init() { bytes.reserveCapacity(128) }

    @inline(__always) package mutating func appendLiteral(_ literal: StaticString) { appendInterpolation(Literal(literal)) }

    /// Text of the library's own.
    @inline(never) package mutating func appendInterpolation(_ text: Literal) { bytes.append(contentsOf: text.bytes) }

    @inline(never) package mutating func appendInterpolation(_ part: Sentence) { bytes.append(contentsOf: part.bytes) }

    /// Text that was made as a sentence before.
    @inline(never) package mutating func appendInterpolation(_ text: String) { bytes.append(contentsOf: text.bytes) }

    @inline(never) package mutating func appendInterpolation(_ number: Int) {
      var magnitude = number.magnitude
      var digits: [UInt8] = []
      repeat {
        digits.append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: magnitude % 10))
        magnitude /= 10
      } while magnitude > 0
      if number < 0 { digits.append(UInt8(ascii: "-")) }
      while let digit = digits.popLast() { bytes.append(digit) }
    }

    @inline(never) package mutating func appendInterpolation(_ number: UInt64) {
      appendInterpolation(Int(truncatingIfNeeded: number & 0x7FFF_FFFF_FFFF_FFFF))
    }

    @inline(never) package mutating func appendInterpolation(_ number: UInt16) { appendInterpolation(Int(number)) }

    @inline(never) package mutating func appendInterpolation(_ number: Int32) { appendInterpolation(Int(number)) }

    package mutating func appendInterpolation(boolean: Bool) { appendInterpolation(boolean ? Literal("true") : Literal("false")) }

    /// A duration in ns, as seconds with microseconds.
    @inline(never) package mutating func appendInterpolation(seconds nanoseconds: Int64) {
      let micros = nanoseconds < 0 ? 0 : nanoseconds / 1000
      appendInterpolation(Int(micros / 1_000_000))
      appendLiteral(".")
      var rest = Int(micros % 1_000_000)
      var place = 100_000
      while place > 0 {
        bytes.append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest / place))
        rest %= place
        place /= 10
      }
    }

    /// A JSON string with its quotes.
    @inline(never) package mutating func appendInterpolation(json text: String) {
      appendInterpolation(character: 0x22)
      for byte in text.bytes {
        if byte == 0x22 || byte == 0x5C {
          appendInterpolation(character: 0x5C)
          appendInterpolation(character: byte)
        } else if byte < 0x20 || byte == 0x7F {
          appendLiteral("\\u00")
          appendHex(byte, UInt8(ascii: "a"))
        } else {
          appendInterpolation(character: byte)
        }
      }
      appendInterpolation(character: 0x22)
    }

    /// Between quotation marks: printable ASCII as it is, all else as \xNN; cut after `limit` bytes.
    @inline(never) package mutating func appendInterpolation(quoted text: ArraySlice<UInt8>, limit: Int = 64) {
      appendInterpolation(character: UInt8(ascii: "\""))
      for byte in text.prefix(limit) {
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
          appendInterpolation(character: UInt8(ascii: "\\"))
          appendInterpolation(character: byte)
        } else if byte >= 0x20, byte < 0x7F {
          appendInterpolation(character: byte)
        } else {
          appendInterpolation(byte: byte)
        }
      }
      appendInterpolation(character: UInt8(ascii: "\""))
      if text.count > limit { appendLiteral("...") }
    }

    /// A byte as \xNN.
    @inline(never) package mutating func appendInterpolation(byte: UInt8) {
      appendLiteral("\\x")
      appendHex(byte, UInt8(ascii: "A"))
    }

    private mutating func appendHex(_ byte: UInt8, _ ten: UInt8) {
      appendHex(digit: byte >> 4, ten)
      appendHex(digit: byte & 15, ten)
    }

    private mutating func appendHex(digit: UInt8, _ ten: UInt8) {
      appendInterpolation(character: digit < 10 ? UInt8(ascii: "0") &+ digit : ten &+ digit &- 10)
    }

    /// A byte that is known to be printable.
    @inline(never) package mutating func appendInterpolation(character: UInt8) { bytes.append(character) }
  }

  @inline(__always) package init(stringInterpolation: StringInterpolation) { bytes = stringInterpolation.bytes }

  package init(_ bytes: ArraySlice<UInt8>) { self.bytes = Array(bytes) }

  @inline(never) package static func + (left: Sentence, right: Sentence) -> Sentence {
    var sum = left
    sum.add(right)
    return sum
  }

  @inline(never) package mutating func add(_ other: Sentence) { bytes.append(contentsOf: other.bytes) }

  @inline(__always) package init(stringLiteral: StaticString) { self.init(Literal(stringLiteral)) }

  @inline(never) init(_ text: Literal) { bytes = Array(text.bytes) }
}

@inline(never) package func sentence(_ sentence: consuming Sentence) -> String { String(bytes: sentence.bytes) }
