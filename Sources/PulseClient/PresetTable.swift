// SPDX-License-Identifier: Apache-2.0

/// Options for a known feed.
package struct PresetEntry {
  package let name: StaticString
  /// Which feed it is for, and where its facts come from.
  package let text: StaticString
  /// One line an option, "name=value", with a line feed behind each.
  package let options: StaticString
}

package enum PresetTable {
  /// The table; nil behind the last entry.
  package static func entry(_ index: Int) -> PresetEntry? {
    switch index {
    case 0:
      return PresetEntry(
        name: "binance-futures",
        text: "Binance USD-M futures market data (binance-docs.github.io)",
        options: "max_age=23h\nrate_limit=10/s\nrate_limit_control=true\n")
    default:
      return nil
    }
  }
}
