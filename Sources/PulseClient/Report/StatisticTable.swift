// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// The statistics of a client: JSON, Prometheus text and numbers come from this one table, the reference page from the
/// same contract.
package enum StatisticTable {
  package static var rows: TextTable.Rows { texts.rows }
  package static func name(_ index: Int) -> Literal { texts[index, 0] }
  package static func unit(_ index: Int) -> Literal { texts[index, 1] }
  package static func meaning(_ index: Int) -> Literal { texts[index, 2] }
}

/// What the values of statistics are made with.
extension Line {
  func seconds(_ nanoseconds: Int64) -> Double { Double(nanoseconds) / 1e9 }
  func known(_ nanoseconds: Int64) -> Double { nanoseconds < 0 ? .nan : seconds(nanoseconds) }
  func latency(_ nanoseconds: Int64) -> Double { roundTrips.count == 0 ? .nan : seconds(nanoseconds) }

  /// Bytes before compression for each byte after it.
  func ratio(_ plain: UInt64, _ compressed: UInt64) -> Double {
    compressed == 0 ? .nan : Double(plain) / Double(compressed)
  }
}
