// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct QuantityTests {
  @Test(arguments: [
    ("30s", 30_000_000_000), ("30", 30_000_000_000), ("1.5m", 90_000_000_000), ("250ms", 250_000_000), ("0", 0), ("0.25", 250_000_000),
    ("1d", 86_400_000_000_000), ("7us", 7000), ("7ns", 7),
  ])
  func times(_ text: String, _ ns: Int64) { #expect(Quantity.time(text) == ns) }

  @Test(arguments: [("64KiB", 65_536), ("1000", 1000), ("2MiB", 2_097_152), ("1.5KiB", 1536), ("1GiB", 1 << 30)])
  func sizes(_ text: String, _ bytes: Int64) { #expect(Quantity.size(text) == bytes) }

  @Test(arguments: ["", "s", "-1s", "1x", "1 s", ".5", "5.", "1.2.3", "99999999999999999999", "9223372036854775807s", "1e3", "0x10", "٣s"])
  func others(_ text: String) {
    #expect(Quantity.time(text) == nil)
    #expect(Quantity.size(text) == nil)
  }
}
