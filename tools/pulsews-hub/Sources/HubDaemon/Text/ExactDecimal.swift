// SPDX-License-Identifier: Apache-2.0

/// Numbers as the maps of feeds write them: `decimal` of docs/HUB_FEEDS.md.
enum ExactDecimal {
  private static let mostDigits = 36
  private static let largestExponent = 1000

  /// The number without an exponent, each digit as it was: "9.669E-05" is "0.00009669". nil for what is no number of JSON, and
  /// for more than 36 digits on either side of the point.
  static func text(_ number: String) -> String? {
    var rest = Array(number.utf8)[...]
    let isNegative = rest.first == UInt8(ascii: "-")
    if isNegative { rest = rest.dropFirst() }
    let whole = rest.prefix(while: isDigit)
    rest = rest.dropFirst(whole.count)
    var fraction: ArraySlice<UInt8> = []
    if rest.first == UInt8(ascii: ".") {
      fraction = rest.dropFirst().prefix(while: isDigit)
      if fraction.isEmpty { return nil }
      rest = rest.dropFirst(fraction.count + 1)
    }
    guard !whole.isEmpty, let exponent = readExponent(rest) else { return nil }
    return write(Array((whole + fraction).drop { $0 == UInt8(ascii: "0") }), scale: fraction.count - exponent, isNegative)
  }

  /// `digits` have no zeros at their begin; `scale` of them stand behind the point.
  private static func write(_ digits: [UInt8], scale: Int, _ isNegative: Bool) -> String? {
    var digits = digits
    var scale = scale
    if scale < 0 {
      if !digits.isEmpty { digits += Array(repeating: UInt8(ascii: "0"), count: min(-scale, mostDigits + 1)) }
      scale = 0
    }
    if digits.count > mostDigits || scale > mostDigits { return nil }
    let sign = isNegative && !digits.isEmpty ? "-" : ""
    let missing = scale + 1 - digits.count
    if missing > 0 { digits = Array(repeating: UInt8(ascii: "0"), count: missing) + digits }
    let text = String(decoding: digits.dropLast(scale), as: UTF8.self)
    return sign + (scale == 0 ? text : text + "." + String(decoding: digits.suffix(scale), as: UTF8.self))
  }

  private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

  /// Of the text behind the digits: 0 for none.
  private static func readExponent(_ text: ArraySlice<UInt8>) -> Int? {
    guard let mark = text.first else { return 0 }
    if mark | 0x20 != UInt8(ascii: "e") { return nil }
    var digits = text.dropFirst()
    let isNegative = digits.first == UInt8(ascii: "-")
    if isNegative || digits.first == UInt8(ascii: "+") { digits = digits.dropFirst() }
    if digits.isEmpty || !digits.allSatisfy(isDigit) { return nil }
    var exponent = 0
    for digit in digits {
      exponent = exponent * 10 + Int(digit - UInt8(ascii: "0"))
      if exponent > largestExponent { return nil }
    }
    return isNegative ? -exponent : exponent
  }
}
