// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Text to values. A value that does not fit its type gives nil; nothing here can overflow.
package enum OptionValue {
  package static func boolean(_ text: String) -> Bool? {
    let lowered = lowercased(text)
    if equal(lowered, "true") || equal(lowered, "1") || equal(lowered, "yes") || equal(lowered, "on") { return true }
    if equal(lowered, "false") || equal(lowered, "0") || equal(lowered, "no") || equal(lowered, "off") { return false }
    return nil
  }

  package static func integer(_ text: String) -> Int64? {
    guard let number = Decimal(text), number.unit.isEmpty, number.fraction == 0 else { return nil }
    return number.whole
  }

  /// A number with up to three decimals, in thousandths.
  package static func thousandths(_ text: String) -> Int64? {
    guard let number = Decimal(text), number.unit.isEmpty, number.fraction % 1_000_000 == 0 else { return nil }
    return number.times(1000)
  }

  /// Bytes: a whole number, or one with B, KB, MB, GB (powers of 1000) or KiB, MiB, GiB (of 1024).
  package static func size(_ text: String) -> Int64? {
    guard let number = Decimal(text) else { return nil }
    let unit: Int64
    if number.unit.isEmpty || number.hasUnit("b") {
      unit = 1
    } else if number.hasUnit("kb") {
      unit = 1000
    } else if number.hasUnit("mb") {
      unit = 1_000_000
    } else if number.hasUnit("gb") {
      unit = 1_000_000_000
    } else if number.hasUnit("kib") {
      unit = 1 << 10
    } else if number.hasUnit("mib") {
      unit = 1 << 20
    } else if number.hasUnit("gib") {
      unit = 1 << 30
    } else {
      return nil
    }
    if number.fraction != 0 && unit == 1 { return nil }
    return number.times(unit)
  }

  /// Nanoseconds: a number of seconds, or a number with ns, us, ms, s, m, h or d.
  package static func duration(_ text: String) -> Int64? {
    guard let number = Decimal(text) else { return nil }
    let unit: Int64
    if number.unit.isEmpty || number.hasUnit("s") {
      unit = 1_000_000_000
    } else if number.hasUnit("ms") {
      unit = 1_000_000
    } else if number.hasUnit("us") {
      unit = 1000
    } else if number.hasUnit("ns") {
      unit = 1
    } else if number.hasUnit("m") {
      unit = 60_000_000_000
    } else if number.hasUnit("h") {
      unit = 3_600_000_000_000
    } else if number.hasUnit("d") {
      unit = 86_400_000_000_000
    } else {
      return nil
    }
    return number.times(unit)
  }

  package static func hint(_ kind: OptionKind) -> String {
    switch kind {
    case .duration: " (a number of seconds, or with ns, us, ms, s, m, h, d)"
    case .size: " (bytes, or with KB, MB, GB, KiB, MiB, GiB)"
    default: ""
    }
  }
}

/// A number without a sign, with up to nine decimals that count, an optional exponent, and the unit behind it.
private struct Decimal {
  var whole: Int64 = 0
  /// In billionths.
  var fraction: Int64 = 0
  var unit: [UInt8] = []

  init?(_ text: String) {
    let bytes = text.bytes
    if bytes.count > 64 { return nil }
    var digits: [UInt8] = []
    var point = -1
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if byte >= 0x30 && byte <= 0x39 {
        digits.append(byte &- 0x30)
      } else if byte == 0x2E && point < 0 {
        point = digits.count
      } else {
        break
      }
      index += 1
    }
    if digits.isEmpty { return nil }
    if point < 0 { point = digits.count }
    // The exponent of texts like 1e-05, as languages print small numbers.
    if index + 1 < bytes.count, bytes[index] | 0x20 == 0x65 {
      var at = index + 1
      var negative = false
      if bytes[at] == 0x2D || bytes[at] == 0x2B {
        negative = bytes[at] == 0x2D
        at += 1
      }
      var exponent = 0
      var any = false
      while at < bytes.count, bytes[at] >= 0x30, bytes[at] <= 0x39, exponent < 1000 {
        exponent = exponent * 10 + Int(bytes[at] &- 0x30)
        any = true
        at += 1
      }
      if !any || exponent >= 1000 { return nil }
      point += negative ? -exponent : exponent
      index = at
    }
    var position = 0
    while position < point {
      let digit = position < digits.count ? Int64(digits[position]) : 0
      let (product, overflow) = whole.multipliedReportingOverflow(by: 10)
      let (sum, overflow2) = product.addingReportingOverflow(digit)
      if overflow || overflow2 { return nil }
      whole = sum
      position += 1
    }
    var scale: Int64 = 100_000_000
    position = point
    while scale > 0 {
      if position >= 0 && position < digits.count { fraction += Int64(digits[position]) * scale }
      scale /= 10
      position += 1
    }
    while index < bytes.count && bytes[index] == 0x20 { index += 1 }
    while index < bytes.count {
      var byte = bytes[index]
      if byte >= 0x41 && byte <= 0x5A { byte |= 0x20 }
      if byte < 0x61 || byte > 0x7A { return nil }
      unit.append(byte)
      index += 1
    }
  }

  func hasUnit(_ name: Literal) -> Bool {
    guard name.count == unit.count else { return false }
    for index in 0..<unit.count where name.start[index] != unit[index] { return false }
    return true
  }

  func times(_ factor: Int64) -> Int64? {
    let (product, overflow) = whole.multipliedReportingOverflow(by: factor)
    if overflow { return nil }
    // The fraction is below one, so that its product, halved in two words, divides to less than the factor.
    let small = Int64(1_000_000_000).dividingFullWidth(fraction.multipliedFullWidth(by: factor)).quotient
    let (sum, overflow2) = product.addingReportingOverflow(small)
    return overflow2 ? nil : sum
  }
}
