// SPDX-License-Identifier: Apache-2.0

/// Times as text: 2026-01-31T23:59:59.123Z.
package enum RFC3339 {
  /// UTC, from nanoseconds since 1970, with `digits` decimals (0 to 9); what is left of the nanoseconds is cut off.
  @inline(never) package static func append(_ realtime: Int64, to out: inout [UInt8], digits: Int = 3) {
    var seconds = realtime / 1_000_000_000
    var fraction = realtime % 1_000_000_000
    if fraction < 0 {
      fraction &+= 1_000_000_000
      seconds &-= 1
    }
    var days = seconds / 86400
    var second = seconds % 86400
    if second < 0 {
      second &+= 86400
      days &-= 1
    }
    // Years of 365.2425 days that begin with March, in cycles of 400: a leap day is the last of its year.
    days &+= 719_468
    let cycle = days / 146_097
    let day = days % 146_097
    let year = (day &- day / 1460 &+ day / 36524 &- day / 146_096) / 365
    let dayOfYear = day &- (365 &* year &+ year / 4 &- year / 100)
    let month = (5 &* dayOfYear &+ 2) / 153
    let isNextYear = month >= 10

    appendPadded(cycle &* 400 &+ year &+ (isNextYear ? 1 : 0), 4, to: &out)
    JSONText.append(UInt8(ascii: "-"), to: &out)
    appendPadded(isNextYear ? month &- 9 : month &+ 3, 2, to: &out)
    JSONText.append(UInt8(ascii: "-"), to: &out)
    appendPadded(dayOfYear &- (153 &* month &+ 2) / 5 &+ 1, 2, to: &out)
    JSONText.append(UInt8(ascii: "T"), to: &out)
    appendPadded(second / 3600, 2, to: &out)
    JSONText.append(UInt8(ascii: ":"), to: &out)
    appendPadded(second / 60 % 60, 2, to: &out)
    JSONText.append(UInt8(ascii: ":"), to: &out)
    appendPadded(second % 60, 2, to: &out)
    let count = digits < 0 ? 0 : digits > 9 ? 9 : digits
    if count > 0 {
      JSONText.append(UInt8(ascii: "."), to: &out)
      var divisor: Int64 = 1
      for _ in count..<9 { divisor &*= 10 }
      appendPadded(fraction / divisor, count, to: &out)
    }
    JSONText.append(UInt8(ascii: "Z"), to: &out)
  }

  @inline(never) private static func appendPadded(_ number: Int64, _ width: Int, to out: inout [UInt8]) {
    var divisor: Int64 = 1
    for _ in 1..<width { divisor &*= 10 }
    while divisor > 0 {
      JSONText.append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: number / divisor % 10), to: &out)
      divisor /= 10
    }
  }
}
