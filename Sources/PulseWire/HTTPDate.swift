// SPDX-License-Identifier: Apache-2.0
import PulseText

/// The date format of HTTP headers.
package enum HTTPDate {
  private static let days: Literal = "ThuFriSatSunMonTueWed"
  private static let months: Literal = "JanFebMarAprMayJunJulAugSepOctNovDec"

  /// Seconds since 1970 of an IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7). Nil for anything else;
  /// the two obsolete formats are not read.
  package static func seconds(_ text: [UInt8]) -> Int64? {
    guard text.count == 29, text[3] == UInt8(ascii: ","), HTTPText.same(text[25...], " GMT"),
      let day = number(text, 5, 2), let month = month(text), let year = number(text, 12, 4),
      let hour = number(text, 17, 2), let minute = number(text, 20, 2), let second = number(text, 23, 2),
      text[19] == UInt8(ascii: ":"), text[22] == UInt8(ascii: ":"), (1...31).contains(day), year >= 1970, hour < 24,
      minute < 60, second <= 60
    else { return nil }
    // Days from civil: years begin in March, so that the leap day is the last one.
    let shifted = month > 2 ? year : year - 1
    let era = shifted / 400
    let ofEra = shifted - era * 400
    let ofYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let days = era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
    return Int64(days) * 86_400 + Int64(hour * 3600 + minute * 60 + second)
  }

  /// The same the other way round; the years 1970 to 9999.
  package static func text(_ seconds: Int64) -> [UInt8] {
    let clamped = min(max(seconds, 0), 253_402_300_799)
    let day = Int(clamped / 86_400)
    let second = Int(clamped % 86_400)
    // Civil from days, as above.
    let shifted = day + 719_468
    let era = shifted / 146_097
    let ofEra = shifted - era * 146_097
    let yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
    let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let march = (5 * ofYear + 2) / 153
    let month = march < 10 ? march + 3 : march - 9
    var text: [UInt8] = []
    text.reserveCapacity(29)
    append(days.start + day % 7 * 3, 3, to: &text)
    append(Literal(", ").start, 2, to: &text)
    append(ofYear - (153 * march + 2) / 5 + 1, 2, UInt8(ascii: " "), to: &text)
    append(months.start + (month - 1) * 3, 3, to: &text)
    append(Literal(" ").start, 1, to: &text)
    append(yearOfEra + era * 400 + (month <= 2 ? 1 : 0), 4, UInt8(ascii: " "), to: &text)
    append(second / 3600, 2, UInt8(ascii: ":"), to: &text)
    append(second / 60 % 60, 2, UInt8(ascii: ":"), to: &text)
    append(second % 60, 2, UInt8(ascii: " "), to: &text)
    append(Literal("GMT").start, 3, to: &text)
    return text
  }

  @inline(never) private static func append(_ start: UnsafePointer<UInt8>, _ count: Int, to text: inout [UInt8]) {
    for index in 0..<count { text.add(start[index]) }
  }

  /// A number with leading zeros, and what stands behind it.
  @inline(never) private static func append(_ value: Int, _ digits: Int, _ end: UInt8, to text: inout [UInt8]) {
    var divisor = digits == 4 ? 1000 : 10
    while divisor > 0 {
      text.add(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value / divisor % 10))
      divisor /= 10
    }
    text.add(end)
  }

  private static func number(_ text: [UInt8], _ at: Int, _ count: Int) -> Int? {
    var value = 0
    for index in at..<(at + count) {
      guard HTTPText.isDigit(text[index]) else { return nil }
      value = value * 10 + Int(text[index] &- 0x30)
    }
    return value
  }

  private static func month(_ text: [UInt8]) -> Int? {
    for index in 0..<12 {
      let name = months.start + index * 3
      if text[8] == name[0] && text[9] == name[1] && text[10] == name[2] { return index + 1 }
    }
    return nil
  }
}
