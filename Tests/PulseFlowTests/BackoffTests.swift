// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

@Suite struct BackoffTests {
  @Test func theFormulaWithoutJitter() {
    var backoff = Backoff(jitterPermille: 0)
    let seconds = (0..<10).map { _ in (backoff.nextDelay(random: .max) ?? -1) / second }
    #expect(seconds == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60])
    #expect(backoff.attempt == 10)
    #expect(backoff.nextDelay(random: 0) == nil)
    #expect(backoff.nextDelay(random: 0) == nil)
    #expect(backoff.attempt == 10)
  }

  @Test func onlyAStableConnectionStartsOver() {
    var backoff = Backoff(jitterPermille: 0, limit: 3)
    _ = backoff.nextDelay(random: 0)
    _ = backoff.nextDelay(random: 0)
    backoff.connectionEnded(openFor: 10 * second - 1)
    #expect(backoff.attempt == 2)
    #expect(backoff.nextDelay(random: 0) == 4 * second)
    #expect(backoff.nextDelay(random: 0) == nil)
    backoff.connectionEnded(openFor: 10 * second)
    #expect(backoff.nextDelay(random: 0) == second)
    backoff.reset()
    #expect(backoff.attempt == 0)
  }

  @Test func noLimitNeverStops() {
    var backoff = Backoff(jitterPermille: 0, limit: 0)
    for _ in 0..<1000 { #expect(backoff.nextDelay(random: 0) != nil) }
    #expect(backoff.nextDelay(random: 0) == 60 * second)
  }

  /// With integers of 128 bits, in which nothing here can overflow.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func agreesWithWideArithmetic(seed: UInt64) {
    var random = SeededRandom(seed)
    for _ in 0..<200 {
      let base = Int64(truncatingIfNeeded: random.next()) >> Int64(random.below(64))
      let maximum = Int64(truncatingIfNeeded: random.next()) >> Int64(random.below(64))
      let permille = random.below(8) == 0 ? random.below(4000) - 1000 : random.below(1001)
      var backoff = Backoff(base: base, maximum: maximum, jitterPermille: permille, limit: 0)
      for attempt in 0..<63 {
        let whole = min(max(0, Int128(base)) << Int128(attempt), max(0, Int128(maximum)))
        let share = whole * Int128(min(1000, max(0, permille))) / 1000
        guard let delay = backoff.nextDelay(random: random.next()) else { continue }
        let isRight = Int128(delay) <= whole && Int128(delay) >= whole - share
        if !isRight {
          Issue.record("seed \(seed): \(base) \(maximum) \(permille) \(attempt): \(delay)")
          return
        }
        let exact = Backoff.delay(base: base, maximum: maximum, attempt: attempt)
        if Int128(exact) != whole { Issue.record("seed \(seed): \(base) \(maximum) \(attempt): \(exact)") }
      }
    }
  }

  @Test func bothEndsOfTheJitterAreReached() {
    var backoff = Backoff(base: 1000, maximum: 1000, jitterPermille: 500, limit: 0)
    #expect(backoff.nextDelay(random: 0) == 1000)
    #expect(backoff.nextDelay(random: .max) == 500)
    backoff.jitterPermille = 1000
    #expect(backoff.nextDelay(random: .max) == 0)
    backoff.jitterPermille = 100_000
    #expect(backoff.nextDelay(random: .max) == 0)
  }

  @Test func hugeNumbersDoNotTrap() {
    for attempt in [Int.min, -1, 0, 1, 62, 63, 64, .max] {
      for base in [Int64.min, -1, 0, 1, 1_000_000_000_000_000_000, .max] {
        for maximum in [Int64.min, 0, 1, .max] {
          let delay = Backoff.delay(base: base, maximum: maximum, attempt: attempt)
          #expect(delay >= 0 && delay <= max(0, maximum))
        }
      }
    }
    #expect(Backoff.delay(base: 1, maximum: .max, attempt: 62) == 1 << 62)
    #expect(Backoff.delay(base: 1, maximum: .max, attempt: 63) == .max)
    var backoff = Backoff(base: .max, maximum: .max, jitterPermille: 1000, limit: .max)
    for random in [0, 1, UInt64.max] { #expect(backoff.nextDelay(random: random) ?? -1 >= 0) }
  }

  @Test func aRestartingServerIsGivenTime() {
    #expect(Backoff.restartDelay(5 * second, jitterPermille: 0, random: .max) == 5 * second)
    #expect(Backoff.restartDelay(5 * second, jitterPermille: 1, random: 0) == 5 * second)
    #expect(Backoff.restartDelay(5 * second, jitterPermille: 500, random: .max) == 30 * second)
    #expect(Backoff.restartDelay(-1, jitterPermille: 500, random: .max) == 0)
    #expect(Backoff.restartDelay(.max, jitterPermille: 500, random: .max) == .max)
    #expect(Backoff.restartDelay(.max / 2, jitterPermille: 500, random: .max) == .max)
    var random = SeededRandom(7)
    var sum: Int64 = 0
    for _ in 0..<10_000 {
      let delay = Backoff.restartDelay(5 * second, jitterPermille: 500, random: random.next())
      #expect(delay >= 5 * second && delay <= 30 * second)
      sum += delay / 10_000
    }
    #expect(sum > 17 * second && sum < 18 * second)
  }
}
