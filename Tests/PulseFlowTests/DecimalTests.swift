// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import PulseFlow

private func decimal(_ text: String) -> PulseFlow.Decimal? { withExact(bytes(text)) { PulseFlow.Decimal($0) } }

private func written(_ decimal: PulseFlow.Decimal?) -> String? {
  guard let decimal else { return nil }
  var out: [UInt8] = []
  decimal.append(to: &out)
  return String(decoding: out, as: UTF8.self)
}

private func mid(_ a: String, _ b: String) -> String? {
  guard let a = decimal(a), let b = decimal(b) else { return nil }
  return written(PulseFlow.Decimal.mid(a, b))
}

@Suite struct DecimalTests {
  @Test(arguments: [
    ("0.00000012", "0.00000012"), ("9.669E-05", "0.00009669"), ("16795610.22313256", "16795610.22313256"),
    ("187.20", "187.20"), ("1E2", "100"), ("1.5e+1", "15"), ("0", "0"), ("-0.0", "0.0"), ("-1.5", "-1.5"), ("12e-1", "1.2"),
    ("1e-36", "0." + String(repeating: "0", count: 35) + "1"), ("0.5", "0.5"), ("007", "7"), ("0e5", "0"), ("-3e-2", "-0.03"),
    (String(repeating: "9", count: 36), String(repeating: "9", count: 36)),
    ("123456789012345678.000000000000000001", "123456789012345678.000000000000000001"),
    ("100000000000000000000", "100000000000000000000"), ("1000000000000000000", "1000000000000000000"),
  ])
  func isExact(_ text: String, _ expected: String) { #expect(written(decimal(text)) == expected) }

  @Test(arguments: [
    "", "-", ".5", "1.", "1.e5", "+1", "1e", "1e+", "1e5x", "x", "1 ", " 1", "1,5", "0x10", "NaN", "--1", "1.2.3", "1e37", "1e-37",
    "1e99999999999", String(repeating: "9", count: 37), "1" + String(repeating: "0", count: 36),
  ])
  func refuses(_ text: String) { #expect(decimal(text) == nil) }

  @Test(arguments: [
    ("187.20", "187.26", "187.23"), ("187.21", "187.26", "187.235"), ("187.20", "187.20", "187.20"), ("1", "2", "1.5"),
    ("0.1", "100", "50.05"), ("-1", "2", "0.5"), ("-3", "-2", "-2.5"), ("0.00000012", "0.00000013", "0.000000125"),
    ("16795610.22313256", "16795610.22313257", "16795610.223132565"), ("9.669E-05", "0.0001", "0.000098345"),
  ])
  func midIsExact(_ a: String, _ b: String, _ expected: String) {
    #expect(mid(a, b) == expected && mid(b, a) == expected)
  }

  @Test func midHasLimits() {
    let high = String(repeating: "9", count: 36)
    #expect(mid(high, "0.1") == nil && mid("1e-36", "3e-36") == "0." + String(repeating: "0", count: 35) + "2")
    #expect(mid("1e-36", "2e-36") == nil && mid(high, high) == high)
  }

  /// Against another implementation.
  @Test func agreesWithFoundation() {
    var state: UInt64 = 7
    func roll(_ sides: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % sides
    }
    for _ in 0..<2000 {
      let a = "\(roll(1_000_000)).\(roll(100_000))"
      let b = "\(roll(1_000_000)).\(roll(100))"
      guard let left = Foundation.Decimal(string: a), let right = Foundation.Decimal(string: b), let got = mid(a, b) else {
        Issue.record("\(a) \(b)")
        return
      }
      #expect(Foundation.Decimal(string: got) == (left + right) / 2, "\(a) \(b)")
    }
  }
}

@Suite struct TimeTextTests {
  private func parse(_ text: String) -> Int64? { withExact(bytes(text)) { RFC3339.parse($0) } }

  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0), ("1970-01-01T00:00:01.5Z", 1_500_000_000), ("2026-01-31T23:59:59.123Z", 1_769_903_999_123_000_000),
    ("2026-02-01T00:59:59.123+01:00", 1_769_903_999_123_000_000), ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000),
    ("1969-12-31T23:59:59.999999999Z", -1), ("2023-08-03T17:36:00.123456789012Z", 1_691_084_160_123_456_789),
    ("2023-08-03 17:36:00z", 1_691_084_160_000_000_000), ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000),
    ("2000-03-01T00:00:00-00:30", 951_870_600_000_000_000),
  ])
  func reads(_ text: String, _ expected: Int64) { #expect(parse(text) == expected) }

  @Test(arguments: [
    "", "2026", "2026-01-31", "2026-01-31T23:59:59", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
    "2026-01-31T24:00:00Z", "2026-01-31T23:60:00Z", "2026-01-31T23:59:61Z", "2026-01-31T23:59:59.Z", "2026-01-31T23:59:59Zx",
    "2026-01-31T23:59:59+1:00", "2026-01-31T23:59:59+24:00", "1677-01-01T00:00:00Z", "2262-01-01T00:00:00Z", "2026-01-31X23:59:59Z",
    "2026-00-10T00:00:00Z", "2026-01-00T00:00:00Z", "20a6-01-01T00:00:00Z",
  ])
  func refuses(_ text: String) { #expect(parse(text) == nil) }

  @Test func readsWhatItWrites() {
    for step: Int64 in stride(from: -9_000_000_000_000_000_000, to: 9_000_000_000_000_000_000, by: 37_777_777_777_777_777) {
      var out: [UInt8] = []
      RFC3339.append(step, to: &out, digits: 9)
      #expect(out.withUnsafeBytes { RFC3339.parse($0) } == step)
    }
  }
}
