// SPDX-License-Identifier: Apache-2.0
import PulseText

/// The date format of HTTP headers.
enum HTTPDate {
  private static let months: Literal = "JanFebMarAprMayJunJulAugSepOctNovDec"

  /// Seconds since 1970 of an IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7). Nil for anything else;
  /// the two obsolete formats are not read.
  static func seconds(_ text: [UInt8]) -> Int64? {
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
