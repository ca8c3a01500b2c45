// SPDX-License-Identifier: Apache-2.0

/// How long to wait before the next attempt: min(base * 2^attempt, maximum), shortened at random by up to `jitter`,
/// so that clients that lost one server together do not come back together.
package struct Backoff {
  package var base: Int64
  package var maximum: Int64
  /// 0 gives the exact formula, 1000 anything from no delay to the whole of it.
  package var jitterPermille: Int
  /// Attempts before it stops; 0 never stops.
  package var limit: Int
  /// A connection that was open for so long counts as stable. Starting over as soon as one opens would hammer a
  /// server that accepts and then drops.
  package var stableAfter: Int64
  /// Attempts since the last stable connection.
  package private(set) var attempt = 0

  package init(
    base: Int64 = 1_000_000_000, maximum: Int64 = 60_000_000_000, jitterPermille: Int = 500, limit: Int = 10,
    stableAfter: Int64 = 10_000_000_000
  ) {
    self.base = base
    self.maximum = maximum
    self.jitterPermille = jitterPermille
    self.limit = limit
    self.stableAfter = stableAfter
  }

  /// The delay before the next attempt, which it counts; nil when `limit` attempts were made.
  package mutating func nextDelay(random: UInt64) -> Int64? {
    if limit > 0 && attempt >= limit { return nil }
    let delay = Backoff.delay(base: base, maximum: maximum, attempt: attempt)
    if attempt < Int.max { attempt += 1 }
    return delay - scaled(random, through: Backoff.share(of: delay, permille: jitterPermille))
  }

  package mutating func connectionEnded(openFor: Int64) {
    if openFor >= stableAfter { attempt = 0 }
  }

  package mutating func reset() { attempt = 0 }

  /// The formula without jitter. Times below zero count as zero.
  package static func delay(base: Int64, maximum: Int64, attempt: Int) -> Int64 {
    if base <= 0 || maximum <= 0 { return 0 }
    if attempt <= 0 { return min(base, maximum) }
    // base * 2^attempt > maximum exactly if base > maximum / 2^attempt rounded down; this cannot overflow.
    if attempt >= 63 || base > maximum >> Int64(attempt) { return maximum }
    return base << Int64(attempt)
  }

  /// The delay when a server closes because it restarts (1012) or is overloaded (1013). The IANA registry of close
  /// codes asks for 5 to 30 s at random: with jitter any time from `base` to six times that, without it `base`.
  package static func restartDelay(_ base: Int64, jitterPermille: Int, random: UInt64) -> Int64 {
    if base <= 0 { return 0 }
    if jitterPermille <= 0 { return base }
    let room = Int64.max - base
    return base + scaled(random, through: base > room / 5 ? room : base * 5)
  }

  /// Rounded down; not more than the whole, and without overflow.
  private static func share(of delay: Int64, permille: Int) -> Int64 {
    let part = Int64(max(0, min(1000, permille)))
    return delay / 1000 * part + delay % 1000 * part / 1000
  }
}
