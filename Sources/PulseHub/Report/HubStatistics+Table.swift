// SPDX-License-Identifier: Apache-2.0
import PulseText

/// The numbers by their place in the table: they are the only members, in that order.
extension HubStatistics {
  package static var rows: TextTable.Rows { texts.rows }
  package static func name(_ index: Int) -> Literal { texts[index, 0] }
  /// "counter" or "gauge".
  package static func type(_ index: Int) -> Literal { texts[index, 1] }
  package static func unit(_ index: Int) -> Literal { texts[index, 2] }
  package static func meaning(_ index: Int) -> Literal { texts[index, 3] }

  /// 0 for a place that is none.
  package subscript(_ index: Int) -> UInt64 {
    if index < 0 || index >= HubStatistics.count { return 0 }
    return withUnsafeBytes(of: self) { $0.load(fromByteOffset: index &* 8, as: UInt64.self) }
  }

  /// Adds those of another loop.
  package mutating func add(_ other: HubStatistics) {
    withUnsafeMutableBytes(of: &self) { sums in
      withUnsafeBytes(of: other) { more in
        var at = 0
        while at < HubStatistics.count &* 8 {
          let sum = sums.load(fromByteOffset: at, as: UInt64.self) &+ more.load(fromByteOffset: at, as: UInt64.self)
          sums.storeBytes(of: sum, toByteOffset: at, as: UInt64.self)
          at &+= 8
        }
      }
    }
  }
}
