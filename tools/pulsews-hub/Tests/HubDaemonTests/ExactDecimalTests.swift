// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct ExactDecimalTests {
  @Test(arguments: [
    ("0.00000012", "0.00000012"), ("9.669E-05", "0.00009669"), ("16795610.22313256", "16795610.22313256"), ("1.50", "1.50"), ("0", "0"),
    ("0.00", "0.00"), ("-0.0", "0.0"), ("-1.5e1", "-15"), ("1e3", "1000"), ("1.25e+1", "12.5"), ("0e9", "0"), ("007.10", "7.10"),
    ("5E-1", "0.5"), ("123456789012345678901234567890123456", "123456789012345678901234567890123456"),
    ("1e35", "1" + String(repeating: "0", count: 35)),
    ("1e-36", "0." + String(repeating: "0", count: 35) + "1"),
  ])
  func digitsStay(_ number: String, _ text: String) { #expect(ExactDecimal.text(number) == text) }

  @Test(arguments: [
    "", "-", ".5", "5.", "1e", "1e+", "+1", "1.2.3", "1,5", "0x10", "NaN", "Infinity", "true", " 1", "1 ", "1e1001",
    "1e99999999999999999999", "1e36", "1e-37",
    "1234567890123456789012345678901234567", "--1", "1e5.5",
  ])
  func whatIsNoNumberIsNone(_ text: String) { #expect(ExactDecimal.text(text) == nil) }
}
