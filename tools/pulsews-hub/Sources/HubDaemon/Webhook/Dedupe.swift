// SPDX-License-Identifier: Apache-2.0

/// What was taken within a window of time, so that what is sent again is known. By hashes with a random seed; that two texts
/// have the same one of 128 bits is not to be expected.
struct Dedupe {
  struct Mark: Hashable {
    fileprivate let first: Int
    fileprivate let second: Int

    init(_ bytes: some Sequence<UInt8>) {
      var one = Hasher()
      var two = Hasher()
      two.combine(1)
      for byte in bytes {
        one.combine(byte)
        two.combine(byte)
      }
      first = one.finalize()
      second = two.finalize()
    }
  }

  /// The most that is kept; what comes beyond takes the place of the oldest.
  static let most = 100_000

  /// Until when each counts (ns).
  private var marks: [Mark: Int64] = [:]
  /// In the order in which they were taken.
  private var order: [Mark] = []
  private var first = 0

  init() {}

  func contains(_ mark: Mark, now: Int64) -> Bool { marks[mark].map { $0 > now } ?? false }

  /// Remembers it for `window` (ns).
  mutating func take(_ mark: Mark, now: Int64, window: Int64) {
    if window <= 0 { return }
    forget(now)
    let (end, overflows) = now.addingReportingOverflow(window)
    marks[mark] = overflows ? .max : end
    order.append(mark)
  }

  var count: Int { order.count - first }

  private mutating func forget(_ now: Int64) {
    while first < order.count, count >= Dedupe.most || !contains(order[first], now: now) {
      // One that was taken again after its time stands behind, too: only its own end removes it.
      if let end = marks[order[first]], end <= now || count >= Dedupe.most { marks[order[first]] = nil }
      first += 1
    }
    if first > 1024, first * 2 > order.count {
      order.removeFirst(first)
      first = 0
    }
  }
}
