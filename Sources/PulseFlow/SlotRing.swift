// SPDX-License-Identifier: Apache-2.0

/// At most `count` in any span of `duration` nanoseconds.
package struct RateWindow: Equatable, Sendable {
  package static let maximumCount = 100_000
  package static let maximumDuration: Int64 = 86_400_000_000_000

  package let count: Int
  package let duration: Int64

  /// Values out of range are moved to the nearest that is allowed.
  package init(count: Int, duration: Int64) {
    self.count = max(1, min(RateWindow.maximumCount, count))
    self.duration = max(1, min(RateWindow.maximumDuration, duration))
  }
}

/// The times of the latest slots that were taken, in order. One history serves any number of windows: a window of n
/// has room when the n-th latest time is out of it.
struct SlotRing {
  private var times: [Int64] = []
  private var first = 0
  private(set) var used = 0

  var isEmpty: Bool { used == 0 }
  var capacity: Int { times.count }

  /// nil when nothing was taken.
  var latest: Int64? { used == 0 ? nil : time(used &- 1) }

  /// The earliest time, not before `now`, at which `ahead` more slots and then this one fit the window; nil when
  /// they never do, since some of those slots would have to age first.
  func readyAt(_ now: Int64, _ window: RateWindow, ahead: Int = 0) -> Int64? {
    let place = window.count &- ahead
    if place <= 0 { return nil }
    if used < place { return now }
    return max(now, saturatingSum(time(used &- place), window.duration))
  }

  /// Takes a slot. `count` and `duration` are the largest of the windows: an older time can be forgotten.
  mutating func take(_ now: Int64, count: Int, duration: Int64) {
    // A clock that steps back must not put times out of order: that would free slots early.
    let time = max(now, latest ?? now)
    while used > 0, used >= count || saturatingSum(self.time(0), duration) <= time { dropFirst() }
    if used == times.count { grow(count) }
    var index = first &+ used
    if index >= times.count { index &-= times.count }
    times[index] = time
    used &+= 1
  }

  mutating func removeAll() {
    first = 0
    used = 0
  }

  private func time(_ index: Int) -> Int64 {
    var place = first &+ index
    if place >= times.count { place &-= times.count }
    return times[place]
  }

  private mutating func dropFirst() {
    first = first &+ 1 == times.count ? 0 : first &+ 1
    used &-= 1
  }

  private mutating func grow(_ limit: Int) {
    var larger = [Int64](repeating: 0, count: max(1, min(limit, max(16, times.count &* 2))))
    for index in 0..<used { larger[index] = time(index) }
    times = larger
    first = 0
  }
}
