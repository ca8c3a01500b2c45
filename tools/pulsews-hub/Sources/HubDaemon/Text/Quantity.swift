// SPDX-License-Identifier: Apache-2.0

/// Times and sizes of the daemon's own keys, written as those of the library.
enum Quantity {
  private static let times: [(unit: String, ns: Int64)] = [
    ("ns", 1), ("us", 1000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000), ("", 1_000_000_000),
  ]
  private static let sizes: [(unit: String, bytes: Int64)] = [
    ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1), ("", 1),
  ]

  /// "30s", "1.5m", "250ms", "30": nanoseconds. nil if it is no time, or longer than 292 years.
  static func time(_ text: String) -> Int64? { read(text, times.map { ($0.unit, $0.ns) }) }

  /// "64KiB", "1000": bytes.
  static func size(_ text: String) -> Int64? { read(text, sizes.map { ($0.unit, $0.bytes) }) }

  private static func read(_ text: String, _ units: [(String, Int64)]) -> Int64? {
    let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let rest = String(text.dropFirst(number.count))
    guard let unit = units.first(where: { $0.0 == rest }), let first = number.first, first != ".", number.last != "." else { return nil }
    let parts = number.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, let whole = Int64(parts[0]) else { return nil }
    let (product, overflows) = whole.multipliedReportingOverflow(by: unit.1)
    if overflows { return nil }
    if parts.count < 2 { return product }
    guard let fraction = Double("0." + parts[1]) else { return nil }
    let (sum, isTooMuch) = product.addingReportingOverflow(Int64(fraction * Double(unit.1)))
    return isTooMuch ? nil : sum
  }
}
