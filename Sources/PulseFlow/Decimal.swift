// SPDX-License-Identifier: Apache-2.0
import PulseText

/// A number as a price has it: exact, without an exponent when it is written. 9.669E-05 is 0.00009669.
package struct Decimal: Equatable, Sendable {
  /// More digits than any price has; sums of two stay far below what an Int128 holds.
  package static let maxDigits = 36
  private static let block: UInt128 = 1_000_000_000_000_000_000

  /// The number times ten to the power of `scale`.
  private var units: Int128
  /// Digits behind the point; zeros at the end count, as they were written.
  private var scale: Int

  /// A number of JSON, also from between quotation marks. nil for anything else, and with more than `maxDigits` digits on
  /// either side of the point.
  @inline(never) package init?(_ text: UnsafeRawBufferPointer) {
    var at = 0
    let isNegative = text.count > 0 && text[0] == UInt8(ascii: "-")
    if isNegative { at = 1 }
    var units: UInt128 = 0
    var digits = 0
    var scale = 0
    var point = -1
    while at < text.count {
      let digit = text[at] &- UInt8(ascii: "0")
      if digit < 10 {
        // Zeros before the first other digit are no digits of the number.
        if units != 0 || digit != 0 { digits &+= 1 }
        if digits > Decimal.maxDigits { return nil }
        units = units &* 10 &+ UInt128(digit)
        if point >= 0 { scale &+= 1 }
      } else if text[at] == UInt8(ascii: "."), point < 0, Decimal.isDigit(text, at &- 1), Decimal.isDigit(text, at &+ 1) {
        point = at
      } else {
        break
      }
      at &+= 1
    }
    if at == 0 || !Decimal.isDigit(text, at &- 1) { return nil }
    var exponent = 0
    if at < text.count, !Decimal.readExponent(text, at, &exponent) { return nil }
    scale &-= exponent
    while scale < 0 {
      if units != 0 { digits &+= 1 }
      if digits > Decimal.maxDigits { return nil }
      units = units &* 10
      scale &+= 1
    }
    if scale > Decimal.maxDigits { return nil }
    self.units = isNegative ? 0 &- Int128(units) : Int128(units)
    self.scale = scale
  }

  private init(_ units: Int128, scale: Int) {
    self.units = units
    self.scale = scale
  }

  private static func isDigit(_ text: UnsafeRawBufferPointer, _ at: Int) -> Bool {
    at >= 0 && at < text.count && text[at] &- UInt8(ascii: "0") < 10
  }

  /// From the e on to the end of the text.
  private static func readExponent(_ text: UnsafeRawBufferPointer, _ start: Int, _ exponent: inout Int) -> Bool {
    if text[start] | 0x20 != UInt8(ascii: "e") { return false }
    var at = start &+ 1
    let sign = at < text.count ? text[at] : 0
    if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { at &+= 1 }
    if at == text.count { return false }
    while at < text.count {
      if !isDigit(text, at) || exponent > 1000 { return false }
      exponent = exponent &* 10 &+ Int(text[at] &- UInt8(ascii: "0"))
      at &+= 1
    }
    if sign == UInt8(ascii: "-") { exponent = 0 &- exponent }
    return true
  }

  package var isZero: Bool { units == 0 }

  /// Halfway between two, with one decimal more where that is needed; nil if it has too many digits.
  @inline(never) package static func mid(_ a: Decimal, _ b: Decimal) -> Decimal? {
    var low = a.scale < b.scale ? a : b
    let high = a.scale < b.scale ? b : a
    while low.scale < high.scale {
      if low.units.magnitude >= limit { return nil }
      low.units = low.units &* 10
      low.scale &+= 1
    }
    if low.units.magnitude >= limit || high.units.magnitude >= limit { return nil }
    let sum = low.units &+ high.units
    if sum & 1 == 0 { return Decimal(sum / 2, scale: high.scale) }
    return high.scale < maxDigits ? Decimal(sum &* 5, scale: high.scale &+ 1) : nil
  }

  /// Of numbers that can be added and multiplied by five.
  private static var limit: UInt128 { block &* block }

  @inline(never) package func append(to out: inout [UInt8]) {
    var digits: [UInt8] = []
    var high = UInt64(truncatingIfNeeded: units.magnitude / Decimal.block)
    var low = UInt64(truncatingIfNeeded: units.magnitude % Decimal.block)
    // The lowest digit first; those of `low` are eighteen as long as `high` has any.
    while high != 0 || low != 0 || digits.count <= scale {
      if digits.count == 18 {
        low = high
        high = 0
      }
      digits.append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: low % 10))
      low /= 10
    }
    if units < 0 { JSONText.append(UInt8(ascii: "-"), to: &out) }
    while let digit = digits.popLast() {
      JSONText.append(digit, to: &out)
      if digits.count == scale, scale > 0 { JSONText.append(UInt8(ascii: "."), to: &out) }
    }
  }
}
