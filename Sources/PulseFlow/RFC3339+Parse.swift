// SPDX-License-Identifier: Apache-2.0

extension RFC3339 {
  /// Nanoseconds since 1970 of 2026-01-31T23:59:59.123456789Z or with an offset such as +01:00; digits beyond nanoseconds
  /// are cut off, a leap second counts as the next one. nil for other text, and for years outside 1678 to 2261.
  @inline(never) package static func parse(_ text: UnsafeRawBufferPointer) -> Int64? {
    var reader = Reader(text: text)
    let year = reader.number(4)
    let month = reader.number(2, after: UInt8(ascii: "-"))
    let day = reader.number(2, after: UInt8(ascii: "-"))
    let mark = reader.byte() | 0x20
    let hour = reader.number(2)
    let minute = reader.number(2, after: UInt8(ascii: ":"))
    let second = reader.number(2, after: UInt8(ascii: ":"))
    let nanoseconds = reader.fraction()
    let offset = reader.offset()
    if reader.isWrong || !reader.isAtEnd || (mark != UInt8(ascii: "t") && mark != UInt8(ascii: " ")) { return nil }
    if year < 1678 || year > 2261 || month < 1 || month > 12 || day < 1 || day > days(month, of: year) { return nil }
    if hour > 23 || minute > 59 || second > 60 { return nil }
    let total = daysSince1970(year, month, day) &* 86400 &+ hour &* 3600 &+ minute &* 60 &+ second &- offset
    return total &* 1_000_000_000 &+ nanoseconds
  }

  private static func days(_ month: Int64, of year: Int64) -> Int64 {
    if month == 2 { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28 }
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31
  }

  /// In years that begin with March, so that a leap day is the last of its year.
  private static func daysSince1970(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month > 2 ? year : year &- 1
    let cycle = shifted / 400
    let ofCycle = shifted &- cycle &* 400
    let ofYear = (153 &* (month > 2 ? month &- 3 : month &+ 9) &+ 2) / 5 &+ day &- 1
    return cycle &* 146_097 &+ ofCycle &* 365 &+ ofCycle / 4 &- ofCycle / 100 &+ ofYear &- 719_468
  }

  private struct Reader {
    let text: UnsafeRawBufferPointer
    var at = 0
    var isWrong = false

    var isAtEnd: Bool { at == text.count }

    /// 0 behind the end.
    var next: UInt8 { at < text.count ? text[at] : 0 }

    @inline(never) mutating func byte() -> UInt8 {
      let byte = next
      at &+= 1
      if at > text.count { isWrong = true }
      return byte
    }

    @inline(never) mutating func number(_ digits: Int, after separator: UInt8 = 0) -> Int64 {
      if separator != 0, byte() != separator { isWrong = true }
      var number: Int64 = 0
      for _ in 0..<digits {
        let digit = byte() &- UInt8(ascii: "0")
        if digit > 9 { isWrong = true }
        number = number &* 10 &+ Int64(digit)
      }
      return number
    }

    mutating func fraction() -> Int64 {
      if next != UInt8(ascii: ".") { return 0 }
      at &+= 1
      var unit: Int64 = 1_000_000_000
      var nanoseconds: Int64 = 0
      let start = at
      while next &- UInt8(ascii: "0") < 10 {
        unit /= 10
        nanoseconds &+= unit &* Int64(next &- UInt8(ascii: "0"))
        at &+= 1
      }
      if at == start { isWrong = true }
      return nanoseconds
    }

    /// In seconds.
    mutating func offset() -> Int64 {
      let sign = byte()
      if sign | 0x20 == UInt8(ascii: "z") { return 0 }
      if sign != UInt8(ascii: "+") && sign != UInt8(ascii: "-") { isWrong = true }
      let hours = number(2)
      let minutes = number(2, after: UInt8(ascii: ":"))
      if hours > 23 || minutes > 59 { isWrong = true }
      let seconds = hours &* 3600 &+ minutes &* 60
      return sign == UInt8(ascii: "-") ? 0 &- seconds : seconds
    }
  }
}
