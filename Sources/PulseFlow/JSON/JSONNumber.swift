// SPDX-License-Identifier: Apache-2.0

/// A number in a JSON text that a `JSONScanner` has checked, in the form 0.ddd x 10^e without zeros around the digits.
struct JSONNumber {
  private let raw: UnsafeRawBufferPointer
  private var isNegative = false
  /// Where the first digit is that is not 0, and how many there are from it to the last one that is not 0.
  private var start = 0
  private var digits = 0
  private var exponent = 0
  /// The exponent is too long to reckon with.
  private var isHuge = false

  /// Whether both stand for the same value: 1, 1.0 and 10e-1 do. Exact: nothing is rounded.
  static func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    if equalBytes(a, b) { return true }
    let left = JSONNumber(a)
    let right = JSONNumber(b)
    if left.digits == 0 || right.digits == 0 { return left.digits == right.digits }
    if left.isHuge || right.isHuge || left.isNegative != right.isNegative { return false }
    if left.digits != right.digits || left.exponent != right.exponent { return false }
    var i = left.start
    var j = right.start
    for _ in 0..<left.digits {
      // The point may be anywhere between the digits.
      if i < a.count, a[i] == UInt8(ascii: ".") { i &+= 1 }
      if j < b.count, b[j] == UInt8(ascii: ".") { j &+= 1 }
      if i >= a.count || j >= b.count || a[i] != b[j] { return false }
      i &+= 1
      j &+= 1
    }
    return true
  }

  @inline(never) private init(_ raw: UnsafeRawBufferPointer) {
    self.raw = raw
    // Digits so far; of these before the point; before the first that is not 0; up to the last that is not 0.
    var seen = 0
    var whole = -1
    var leading = -1
    var significant = 0
    var at = 0
    while at < raw.count {
      let byte = raw[at]
      let digit = byte &- UInt8(ascii: "0")
      if digit < 10 {
        seen &+= 1
        if digit != 0 {
          if leading < 0 {
            leading = seen &- 1
            start = at
          }
          significant = seen
        }
      } else if byte == UInt8(ascii: ".") {
        whole = seen
      } else if byte == UInt8(ascii: "-") {
        isNegative = true
      } else {
        break
      }
      at &+= 1
    }
    if leading < 0 { return }
    digits = significant &- leading
    exponent = (whole < 0 ? seen : whole) &- leading
    // Behind the e.
    var power = 0
    var isDown = false
    at &+= 1
    while at < raw.count {
      let digit = raw[at] &- UInt8(ascii: "0")
      if digit < 10 {
        power = power &* 10 &+ Int(digit)
        if power > 1 << 50 {
          isHuge = true
          return
        }
      } else if raw[at] == UInt8(ascii: "-") {
        isDown = true
      }
      at &+= 1
    }
    exponent = isDown ? exponent &- power : exponent &+ power
  }
}
