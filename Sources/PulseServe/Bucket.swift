// SPDX-License-Identifier: Apache-2.0

/// A token bucket in 16 bytes. In place of its level it has the time at which it will be full again. What a division
/// leaves over is the peer's. `now`: monotonic, in ns.
package struct Bucket {
  private static let second: Int64 = 1_000_000_000

  private var fullAt = Int64.min
  private let rate: UInt32
  private let burst: UInt32

  /// `rate` a second, at most 1,000,000,000; at most `burst`, and at least one, at once. Rate 0: no limit.
  package init(rate: UInt32, burst: UInt32) {
    self.rate = min(rate, 1_000_000_000)
    self.burst = max(burst, 1)
  }

  /// Takes them if they are there; more than the burst never are.
  package mutating func take(_ count: Int, now: Int64) -> Bool {
    if rate == 0 { return true }
    let start = max(fullAt, now)
    let (end, isOver) = start.addingReportingOverflow(time(count))
    if isOver || end &- now > time(Int(burst)) { return false }
    fullAt = end
    return true
  }

  /// Takes them in any case. In how many ns the bucket is out of debt; 0 if it is in none.
  package mutating func charge(_ count: Int, now: Int64) -> Int64 {
    if rate == 0 { return 0 }
    let (end, isOver) = max(fullAt, now).addingReportingOverflow(time(count))
    fullAt = isOver ? Int64.max : end
    return max(0, fullAt &- now &- time(Int(burst)))
  }

  /// How long it takes for so many to come.
  private func time(_ count: Int) -> Int64 {
    let bounded = Int64(min(max(count, 0), Int(UInt32.max)))
    return bounded &* Bucket.second / Int64(rate)
  }
}
