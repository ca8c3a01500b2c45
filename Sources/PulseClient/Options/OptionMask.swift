// SPDX-License-Identifier: Apache-2.0

/// A set of options, by their place in the table: room for 128.
struct OptionMask: Sendable {
  private var low: UInt64 = 0
  private var high: UInt64 = 0

  subscript(_ key: OptionKey) -> Bool {
    get { (key.index < 64 ? low >> bit(key) : high >> bit(key)) & 1 != 0 }
    set {
      let one: UInt64 = 1 << bit(key)
      if key.index < 64 { low = newValue ? low | one : low & ~one } else { high = newValue ? high | one : high & ~one }
    }
  }

  private func bit(_ key: OptionKey) -> UInt64 { UInt64(key.rawValue & 63) }
}
